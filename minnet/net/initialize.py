"""How the arrays of a net begin: Kaiming, Xavier, orthogonal, identity or a constant."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from ..backend import Array, move
from ..checks import number, positive
from ..errors import MinnetError, SpecError
from ..layers.base import ArraySpec, Layer, Path, dotted
from .fit import check_fit
from .parts import is_known, parse_shape
from .place import place_of

if TYPE_CHECKING:
    from .structure import Structure

__all__ = ["METHODS", "InitialMethod", "initialized"]

# In quotes, because NumPy imports its random generators only when they are asked for.
Draw: TypeAlias = "Callable[[ArraySpec, np.random.Generator], Any]"
InitialMethod: TypeAlias = "str | float | Draw"

AnyNet = TypeVar("AnyNet", bound="Structure")


# --- methods ----------------------------------------------------------------------------


def kaiming(spec: ArraySpec, random: np.random.Generator) -> Array:
    """Draw normally with variance 2 / fan_in (He et al. 2015, equation 10): for Ramp layers."""
    return random.normal(0.0, np.sqrt(2.0 / spec.fan_in), spec.shape)


def xavier(spec: ArraySpec, random: np.random.Generator) -> Array:
    """Draw uniformly within sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16)."""
    limit = np.sqrt(6.0 / (spec.fan_in + spec.fan_out))
    return random.uniform(-limit, limit, spec.shape)


def orthogonal(spec: ArraySpec, random: np.random.Generator) -> Array:
    """Draw a matrix with orthonormal columns or rows (Saxe et al. 2014)."""
    rows, columns = int(np.prod(spec.shape[:-1])), spec.shape[-1]
    q, r = np.linalg.qr(random.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # makes the draw uniform over such matrices
    return (q if rows >= columns else q.T).reshape(spec.shape)


def identity(spec: ArraySpec, random: np.random.Generator) -> Array:
    """Pass inputs through: ones from input i to output i, in the middle of a window.

    An even window has its first middle, which is where `padding="same"` has it.
    """
    if len(spec.shape) < 2:
        raise SpecError(f"the identity is a matrix, but an array of shape {spec.shape} is needed")
    window, inputs, outputs = int(np.prod(spec.shape[:-2])), *spec.shape[-2:]
    # In a Conv with groups, one input reaches the outputs of its own group only.
    has_groups = spec.fan_in == window * inputs and (window * outputs) % spec.fan_out == 0
    groups = window * outputs // spec.fan_out if has_groups else 1
    weight = np.zeros(spec.shape)
    middle = tuple((n - 1) // 2 for n in spec.shape[:-2])
    weight[middle] = np.tile(np.eye(inputs, outputs // groups), groups)
    return weight


METHODS: dict[str, Draw] = {
    "kaiming": kaiming,
    "xavier": xavier,
    "orthogonal": orthogonal,
    "identity": identity,
}


def method_called(method: InitialMethod) -> Draw:
    """Return the function for a method's name, a constant, or a function itself."""
    if isinstance(method, str) and method in METHODS:
        return METHODS[method]
    if callable(method) and not isinstance(method, Layer | type):
        return method
    try:
        constant = number(method, "method")
    except SpecError:
        raise SpecError(
            f"method must be one of {', '.join(METHODS)}, a finite number or a function, "
            f"got {method!r}"
        ) from None
    return lambda spec, random: np.full(spec.shape, constant)


# --- making arrays ----------------------------------------------------------------------


@dataclass(frozen=True)
class Maker:
    """How missing arrays are made."""

    seed: int
    draw: Draw
    only_missing: bool
    dtype: Any
    place: str

    def array(self, spec: ArraySpec, path: Path) -> Array:
        """Make one array; its random numbers depend on the seed and its own path alone."""
        if spec.initial != "weight":
            value = 1.0 if spec.initial == "ones" else 0.0
            return move(np.full(spec.shape, value, self.dtype), self.place)
        random = np.random.default_rng([self.seed, zlib.crc32(dotted(path).encode())])
        drawn = np.asarray(self.draw(spec, random))
        if drawn.shape != spec.shape or drawn.dtype.kind not in "buif":
            raise SpecError(
                f"the method must give numbers of shape {spec.shape}, but gave {drawn.dtype} "
                f"of shape {drawn.shape}",
                path[-1:],
            )
        return move(drawn.astype(self.dtype), self.place)

    def fill(self, part: Layer, shape: Any, path: Path = ()) -> Layer:
        """Return `part` with its arrays for inputs of `shape`; itself if nothing is to make."""
        if part.children():
            return self._fill_net(part, shape, path)
        if self.only_missing:
            part.check_arrays(shape)
        arrays: Mapping[str, Any] = part.arrays_here
        made = {
            name: self.array(spec, (*path, name))
            for name, spec in part.array_specs(shape).items()
            if name not in arrays or not (self.only_missing or name in part.constant_names)
        }
        return part.with_arrays_here({**arrays, **made}) if made else part

    def _fill_net(self, net: Layer, shape: Any, path: Path) -> Layer:
        new: dict[str | int, Layer] = {}
        for step in net.trace(shape)[0]:  # type: ignore[attr-defined]  # only nets have children
            try:
                child = self.fill(step.layer, step.input_shape, (*path, step.key))
            except MinnetError as error:
                raise error.inside(step.key) from None
            if child is not step.layer:
                new[step.key] = child
        return net.with_children(new) if new else net


def initialized(
    net: AnyNet, seed: int, method: Any, only_missing: bool, input_shape: Any, dtype: Any
) -> AnyNet:
    """Return the net with its arrays made; see `Arrays.initialize`."""
    dtype = np.dtype(net.dtype if dtype is None else dtype)  # type: ignore[attr-defined]
    if dtype.kind != "f":
        raise SpecError(f"nets compute with floating-point numbers, not with {dtype}")
    seed, draw, place = positive(seed, "seed", 0), method_called(method), place_of(net) or "cpu"
    maker = Maker(seed, draw, bool(only_missing), dtype, place)
    given = None if input_shape is None else net._checked_input(parse_shape(input_shape))
    shape = net.input_shape if given is None else given
    if not is_known(shape):
        raise SpecError(
            "the shape of the input isn't known: give input_shape=, or make the net "
            "with input= (a shape or an encoder)"
        )
    new = maker.fill(net._with_input_shape(shape), shape)
    check_fit(new)  # type: ignore[arg-type]
    return new  # type: ignore[return-value]
