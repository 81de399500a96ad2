"""Layer: an immutable description of one step of a net, holding its arrays."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import EllipsisType, MappingProxyType
from typing import Any, ClassVar, Self, TypeAlias, TypeVar, dataclass_transform

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, Shape, move, read_only
from ..errors import PathError, ShapeError, SpecError

__all__ = [
    "ArraySpec",
    "Context",
    "Layer",
    "Path",
    "dotted",
    "layer",
    "walk",
]

Path: TypeAlias = tuple[str | int, ...]
Multiplier: TypeAlias = "float | Array | Callable[[Any], float] | None"

Class = TypeVar("Class")


@dataclass_transform(eq_default=False, frozen_default=True, field_specifiers=(dataclasses.field,))
def layer(cls: type[Class]) -> type[Class]:
    """Make a class one of layers, which all are decorated with this: its fields are its options."""
    return dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """What an array of a layer must be, and how it begins.

    Parameters
    ----------
    shape
        Its shape.
    initial
        `"weight"` (drawn by the net's initialization method), `"zeros"` or `"ones"`.
    fan_in, fan_out
        For weights: how many numbers go into one output, and come out of one input.
    """

    shape: Shape
    initial: str = "weight"
    fan_in: int = 1
    fan_out: int = 1


@dataclasses.dataclass(slots=True)
class Context:
    """What a layer is told in training and not in inference, where there is no context.

    Parameters
    ----------
    random
        Where dropout and augmentation draw from.
    path
        Where in the net the layer stands.
    updates
        Where a layer leaves new values for its state arrays (running statistics), and
        finds those that earlier batches left.
    share
        Of the batch, what the layer is given; the rest is with other threads.
    """

    random: np.random.Generator
    path: Path = ()
    updates: dict[Path, Array] = dataclasses.field(default_factory=dict)
    share: float = 1.0

    def inside(self, key: str | int) -> Context:
        """Return the context for the part called `key`."""
        return self.at((key,))

    def at(self, path: Path) -> Context:
        """Return the context for the part at a path."""
        return Context(self.random, (*self.path, *path), self.updates, self.share)

    def run(self, key: str | int, part: Layer, x: Any) -> Any:
        """Return what the part called `key` gives in training."""
        return part.apply(x, self.inside(key))


@layer
class Layer:
    """The base of all layers, nets included.

    A layer is a value: its options never change and its arrays are read-only. What
    looks like a change (`with_arrays`, `renamed`) returns a new layer that shares
    everything else.

    Parameters
    ----------
    name
        What a net calls this layer; its position when left out.
    multiplier
        How fast its arrays learn where no rule of `train(multipliers=...)` says
        otherwise; None or 0 freezes them. 1 when left out.
    """

    name: str | None = dataclasses.field(default=None, kw_only=True)
    multiplier: Multiplier | EllipsisType = dataclasses.field(default=..., kw_only=True)

    # Names of the arrays, in the order they are shown and saved in.
    array_names: ClassVar[tuple[str, ...]] = ()
    # Those among them that training never differentiates: running statistics, constants.
    state_names: ClassVar[tuple[str, ...]] = ()
    # Those given by the user for good, which initialization neither makes nor drops.
    constant_names: ClassVar[tuple[str, ...]] = ()
    # Gives other results each time in training, so it can't be computed once.
    is_random: ClassVar[bool] = False
    # How many inputs it takes; None is any number, given as one tuple.
    input_count: ClassVar[int | None] = 1
    # Takes whole numbers (indices) rather than floating-point ones.
    wants_integers: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.name is not None and not (
            isinstance(self.name, str) and self.name and not set(self.name) & set(".*?[]/ ")
        ):
            raise SpecError(
                f"a layer's name is a non-empty string without dots, spaces, slashes "
                f"and the wildcards * ? [ ], got {self.name!r}"
            )
        self._settle(_arrays={}, _checked_shape=None)

    # --- what subclasses define -----------------------------------------------------

    def output_shape(self, shape: Any) -> Any:
        """Return the shape of one output example, given that of one input example.

        Layers of several inputs take a tuple of shapes.

        Raises
        ------
        ShapeError
            If the layer can't take such an input.
        """
        return shape

    def array_specs(self, shape: Any) -> dict[str, ArraySpec]:
        """Return what arrays the layer needs for input examples of this shape."""
        return {}

    def apply(self, x: Any, context: Context | None = None) -> Any:
        """Compute the outputs for a batch of inputs.

        Parameters
        ----------
        x
            A batch, first axis the examples: an array or a Tensor (a tuple of them
            for a layer of several inputs).
        context
            Given in training only.
        """
        raise NotImplementedError

    def __call__(self, x: Any) -> Any:
        if self.input_count == 1 and not getattr(x, "shape", ()):
            raise ShapeError(
                f"{type(self).__name__} takes a batch, an array whose first axis is the examples, "
                f"got {'a single number' if hasattr(x, 'shape') else type(x).__name__}"
            )
        return self.apply(x)

    # --- arrays -----------------------------------------------------------------------

    def own_names(self) -> tuple[str, ...]:
        """Return the names of the arrays this very layer has or will have.

        An option of an array's name that is False does without it (`bias=False`).
        """
        return tuple(name for name in self.array_names if getattr(self, name, True) is not False)

    @property
    def arrays_here(self) -> Mapping[str, Any]:
        """The layer's own arrays by name; those not initialized yet are missing."""
        return MappingProxyType(self._arrays)

    def with_arrays_here(self, arrays: Mapping[str, Any]) -> Self:
        """Return the same layer with `arrays` in place of all its own.

        An array somebody could still write to is copied; a read-only one is kept
        as the very object it is. Tensors are kept too: that is how training
        differentiates by them.
        """
        names = self.own_names()
        unknown = [name for name in arrays if name not in names]
        if unknown:
            raise PathError(
                f"{type(self).__name__} has no array {unknown[0]!r}: "
                f"it has {', '.join(names) or 'none'}"
            )
        new = copy.copy(self)
        kept = {name: _kept(arrays[name]) for name in names if name in arrays}
        new._settle(_arrays=kept, _checked_shape=None)
        return new

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        new.__setstate__(self.__dict__)
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = memo[id(self)] = object.__new__(type(self))
        new.__setstate__({name: copy.deepcopy(one, memo) for name, one in self.__dict__.items()})
        return new

    def __getstate__(self) -> dict[str, Any]:
        # For pickling alone: whoever unpickles it may have no GPU.
        arrays = {name: _on_host(array) for name, array in self._arrays.items()}
        return {**self.__dict__, "_arrays": arrays}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Copying and unpickling make arrays that can be written to.
        arrays = {name: _kept(array) for name, array in state["_arrays"].items()}
        self.__dict__.update(state, _arrays=arrays)

    def check_arrays(self, shape: Any) -> None:
        """Raise a ShapeError if an array present doesn't fit input examples of this shape."""
        if shape == self._checked_shape:
            return  # every batch of a training comes by here
        for name, spec in self.array_specs(shape).items():
            array = self._arrays.get(name)
            if array is not None and array.shape != spec.shape:
                raise ShapeError(
                    f"its {name} has shape {array.shape}, but an input of shape {shape} "
                    f"needs {spec.shape}"
                )
        self._settle(_checked_shape=shape)

    def _settle(self, **options: Any) -> None:
        """Set attributes of a layer that nobody has yet, such as options in their standard form."""
        for name, option in options.items():
            object.__setattr__(self, name, option)

    def _need(self, name: str) -> Any:
        """Return the array `name`, or say that it is not there yet."""
        try:
            return self._arrays[name]
        except KeyError:
            raise SpecError(
                f"{type(self).__name__} has no {name} yet: "
                "initialize(...) the net, train it, or load a trained one"
            ) from None

    # --- parts ------------------------------------------------------------------------

    def children(self) -> tuple[tuple[str | int, Layer], ...]:
        """Return the layers inside this one with their keys; only nets have any."""
        return ()

    def with_children(self, children: Mapping[str | int, Layer]) -> Self:
        """Return the same net with some of the layers inside it replaced, by key."""
        return self

    # --- descriptions -----------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, by name."""
        given = {}
        for field in dataclasses.fields(self):
            option = getattr(self, field.name)
            default = field.default
            if isinstance(option, np.ndarray) or not (option is default or option == default):
                given[field.name] = option
        return given

    def renamed(self, name: str | None) -> Self:
        """Return the same layer, with the same arrays, under another name."""
        if name == self.name:
            return self
        return self.with_options(name=name)

    def with_options(self, **options: Any) -> Self:
        """Return the same layer with the same arrays and other options.

        An array that the new options do without (`bias=False`) is left behind.
        """
        new = dataclasses.replace(self, **options)
        arrays = {name: self._arrays[name] for name in new.own_names() if name in self._arrays}
        new._settle(_arrays=arrays)
        return new

    def __repr__(self) -> str:
        options = self.options()
        positional = []
        for field in dataclasses.fields(self):  # leading options read well without their names
            if field.kw_only:
                continue
            option = options.get(field.name)
            if isinstance(option, bool) or not isinstance(option, int | tuple):
                break
            positional.append(repr(options.pop(field.name)))
        named = [
            f"{name}={getattr(option, '__name__', None) or repr(option)}"
            for name, option in options.items()
        ]
        return f"{type(self).__name__}({', '.join(positional + named)})"

    # Set by __post_init__ and with_arrays_here; not options, so not dataclass fields.
    _arrays: ClassVar[dict[str, Any]]
    _checked_shape: ClassVar[Any]  # of input examples that the arrays are known to fit


def _kept(array: Any) -> Any:
    """Return an array as a layer keeps it: read-only, unless it is a Tensor."""
    return array if isinstance(array, Tensor) else read_only(array)


def _on_host(array: Any) -> Any:
    return array if isinstance(array, Tensor) else move(array, "cpu")


def walk(part: Layer, path: Path = ()) -> Iterator[tuple[Path, Layer]]:
    """Yield every layer that is not a net, with its path, in the order of the net."""
    children = part.children()
    if not children:
        yield path, part
    for key, child in children:
        yield from walk(child, (*path, key))


def dotted(path: Path) -> str:
    """Return a path as it is printed: `("conv1", "weight")` is `conv1.weight`."""
    return ".".join(str(part) for part in path)
