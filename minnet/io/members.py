"""Reading the parts of an archive: no size is believed before it is checked, nothing unpickled."""

from __future__ import annotations

import io
import math
import zipfile

import numpy as np

from ..backend import Array
from ..errors import FormatError

__all__ = ["read_array", "read_bytes"]


def read_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return a part's content, which must be stored as it is: what is packed could burst."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise FormatError(f"{info.filename[:80]!r} is compressed, which minnet doesn't do")
    with archive.open(info) as member:  # compares the names, and at the end the checksum
        content = member.read()
    if len(content) != info.file_size:
        raise FormatError(f"{info.filename[:80]!r} is shorter than it says")
    return content


def read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    """Return a part that is an array in NumPy's format, read-only."""
    content = read_bytes(archive, info)
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise FormatError(f"{info.filename[:80]!r} is in a format minnet doesn't use")
    if dtype.kind not in "buif":
        raise FormatError(f"{info.filename[:80]!r} holds {dtype}, a net holds only numbers")
    size = math.prod(shape) * dtype.itemsize
    if any(n < 0 for n in shape) or size != len(content) - file.tell():
        raise FormatError(f"{info.filename[:80]!r} doesn't hold as many numbers as it says")
    flat = np.frombuffer(content, dtype, offset=file.tell())
    # A copy in the same memory order: sums in another would round differently.
    array = flat.reshape(shape, order="F" if is_fortran else "C").copy(order="K")
    array.flags.writeable = False
    return array
