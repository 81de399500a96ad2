"""What array modules and devices differ in: the module of an array, where it is, moving it."""

from .arrays import Array, Shape, add_at, array_module, is_array, is_finite, read_only
from .devices import device_of, move, named, using
from .usage import free, memory

__all__ = [
    "Array",
    "Shape",
    "add_at",
    "array_module",
    "device_of",
    "free",
    "is_array",
    "is_finite",
    "memory",
    "move",
    "named",
    "read_only",
    "using",
]
