"""Structure: a layer made of layers — what goes in, what comes out, and what stands where."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import FrozenInstanceError
from typing import Any, NoReturn, Self, TypeAlias

import numpy as np

from ..errors import PathError, SpecError
from ..layers.base import Layer, Path
from .fit import check_fit, check_input, sized
from .parts import Step, checked_input, checked_output, shape_of

__all__ = ["Structure", "alone"]

# What is done with a layer as something passes through a net: (key, layer, input) -> output.
Run: TypeAlias = Callable[[Any, Layer, Any], Any]


def alone(key: Any, part: Layer, x: Any) -> Any:
    """Return what a layer gives in use, where there is no training and no context."""
    return part.apply(x, None)


class Structure(Layer):
    """A layer made of layers, without what can be done with it (see `Net`).

    A net is a value: it is never changed, and whatever looks like a change returns
    a new net that shares every layer and array that stayed.

    Attributes
    ----------
    input
        The encoder, the shape of one example, or None; for several inputs, by port.
    output
        The decoder or None.
    input_names, output_names
        The names of the ports.

    Examples
    --------
    >>> import minnet as mn
    >>> isinstance(mn.Chain(3, mn.Ramp), mn.layers.Layer)
    True
    """

    input: Any
    output: Any
    input_names: tuple[str, ...] = ("input",)
    output_names: tuple[str, ...] = ("output",)

    # --- defined by Chain and Graph -----------------------------------------------------

    def _flow(self, x: Any, run: Run) -> Any:
        """Send something (arrays, shapes) through all layers; `run` says what each does with it."""
        raise NotImplementedError

    def _by_port(self, x: Any) -> dict[str, Any]:
        """Return what goes into each input port."""
        return dict(x) if isinstance(x, Mapping) else {self.input_names[0]: x}

    def _sized(self, size: int) -> Self | None:
        """Do for a net what `fit.sized` does for any layer."""
        raise NotImplementedError

    def _integer_ports(self) -> frozenset[str]:
        """Return the names of the inputs that take whole numbers."""
        raise NotImplementedError

    @property
    def input_shape(self) -> Any:
        """The shape of one input example, or None while it is unknown (by port if several)."""
        if isinstance(self.input, Mapping):
            return {port: shape_of(end) for port, end in self.input.items()}
        return shape_of(self.input)

    @property
    def wants_integers(self) -> bool:  # type: ignore[override]
        """Whether it takes whole numbers; of a net of several inputs, whether any does."""
        return bool(self._integer_ports())

    # --- a net is a value ---------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise FrozenInstanceError(
            f"can't assign {name!r}: a net is never changed, its methods return new ones"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"can't delete {name!r}: a net is never changed")

    def _settle(self, **options: Any) -> None:
        # Worked out from what is changed now.
        for name in ("_entrances", "_order", "_place", "_segments"):
            vars(self).pop(name, None)
        super()._settle(**options)

    def _changed(self, **attributes: Any) -> Self:
        """Return a copy with other attributes, unchecked."""
        new = copy.copy(self)
        new._settle(**attributes)
        return new

    def with_options(self, **options: Any) -> Self:
        """Return the same net under another name or with another default multiplier.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(3).with_options(name="head", multiplier=0.1)
        Chain(Linear(3), name='head', multiplier=0.1)
        """
        unknown = set(options) - {"name", "multiplier"}
        if unknown:
            raise SpecError(f"a net has the options name and multiplier, not {unknown.pop()!r}")
        new = self._changed(**options)
        new.__post_init__()  # checks the name
        return new

    def options(self) -> dict[str, Any]:
        """Return the net's own options that differ from their defaults."""
        given: dict[str, Any] = {} if self.name is None else {"name": self.name}
        return given if self.multiplier is ... else {**given, "multiplier": self.multiplier}

    def _shown_ends(self) -> list[str]:
        """Return what repr shows besides the layers."""
        ends = {"input": self.input, "output": self.output}
        shown = {key: end for key, end in ends.items() if end is not None} | self.options()
        return [f"{key}={end!r}" for key, end in shown.items()]

    # --- what it takes and gives --------------------------------------------------------

    def _complete(self) -> None:
        """Give the last Linear() its size and find misfits; ends every construction."""
        if self.output is not None:
            new = sized(self, self.output.size)
            self._settle(**vars(self if new is None else new))
        check_fit(self)

    def _ends(self) -> dict[str, Any]:
        """Return the encoder, shape or None of each input port."""
        one = isinstance(self.input, Mapping)
        return dict(self.input) if one else dict.fromkeys(self.input_names, self.input)

    def with_ends(self, input: Any = ..., output: Any = ...) -> Self:
        """Return the net with another encoder (or input shape) or decoder; None takes it off.

        Raises
        ------
        ShapeError
            If the net doesn't fit it.
        SpecError
            If it isn't one, or a decoder is given to a net of several outputs.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(3, mn.Linear()).with_ends(input=4, output=mn.ScalarDecoder())
        Chain(Linear(3), Linear(1), input=(4,), output=ScalarDecoder())
        """
        new = self._changed(
            input=self.input if input is ... else self._checked_input(input),
            output=self.output if output is ... else self._checked_output(output),
        )
        new._complete()
        return new

    def _checked_input(self, input: Any) -> Any:
        """Return what is given as `input=` in its standard form: a dict where there are several."""
        names = self.input_names
        if input is None:
            return None if names else {}
        if len(names) == 1 and not isinstance(input, Mapping):
            return checked_input(input)
        if not isinstance(input, Mapping) or set(input) != set(names):
            raise SpecError(f"the inputs {', '.join(names)} are described by a dict of them")
        ends = {port: checked_input(input[port]) for port in names}
        return ends[names[0]] if len(names) == 1 else ends

    def _checked_output(self, output: Any) -> Any:
        """Return what is given as `output=`, if it can be that."""
        if output is not None and len(self.output_names) > 1:
            raise SpecError("a net of several outputs takes no decoder: decode each yourself")
        return checked_output(output)

    def _with_input_shape(self, shape: Any) -> Self:
        """Return the net knowing the shape of its input, which must fit what it knew."""
        shapes = self._by_port(self._checked_input(shape))
        check_input(self, shapes)
        new = {p: shapes[p] if end is None else end for p, end in self._ends().items()}
        return self._changed(input=new[self.input_names[0]] if len(new) == 1 else new)

    def trace(self, shape: Any) -> tuple[list[Step], Any]:
        """Return the layers with the shapes they see for inputs of `shape`, and what comes out.

        Raises
        ------
        ShapeError
            If layers don't fit; the message begins with the layer's path.
        SpecError
            If the size of a `Linear()` is missing.

        Examples
        --------
        >>> import minnet as mn
        >>> steps, final = mn.Chain(mn.Flatten(), a=mn.Linear(3)).trace((2, 5))
        >>> [(step.key, step.input_shape) for step in steps], final
        ([(0, (2, 5)), ('a', (10,))], (3,))
        """
        steps: list[Step] = []

        def run(key: str | int, part: Layer, taken: Any) -> Any:
            steps.append(Step(key, part, taken, part.output_shape(taken)))
            return steps[-1].output_shape

        check_input(self, shape)
        final = self._flow(shape, run)
        return steps, final

    def output_shape(self, shape: Any) -> Any:
        """Return the shape of one output for inputs of `shape`; by port if there are several.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(mn.Conv(8, 3), mn.MaxPool(2)).output_shape((28, 28, 1))
        (13, 13, 8)
        """
        return self.trace(shape)[1]

    # --- looking inside -----------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.children())

    def __iter__(self) -> Iterator[Layer]:
        return (part for _, part in self.children())

    def keys(self) -> tuple[str | int, ...]:
        """Return what the layers are called: their names, or positions where they have none.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(3, head=2).keys()
        (0, 'head')
        """
        return tuple(key for key, _ in self.children())

    def position(self, where: Any) -> int:
        """Return the position of the layer called `where`: a name, or a position from either end.

        Raises
        ------
        PathError
            If there is no such layer; it says which there are.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(3, head=2).position("head")
        1
        """
        keys = self.keys()
        if isinstance(where, int | np.integer) and not isinstance(where, bool):
            if -len(keys) <= where < len(keys):
                return int(where) % len(keys)
            raise PathError(f"there is no layer {where}: this net has {len(keys)} layers")
        if isinstance(where, str) and where in keys:
            return keys.index(where)
        names = ", ".join(str(key) for key in keys)
        raise PathError(f"there is no layer {where!r}: this net has {names or 'none'}")

    def _at(self, path: Path) -> Any:
        """Return the layer or array at a path."""
        part: Any = self
        for depth, key in enumerate(path):
            try:
                part = _inside(part, key)
            except PathError as error:
                raise PathError(error.message, path[:depth]) from None
        return part

    def _canonical(self, path: Path) -> Path:
        """Return the path with each part as `children()` spells it."""
        part: Layer = self
        parts: list[str | int] = []
        for key in path:
            if part.children():
                try:
                    key, part = part.children()[part.position(key)]  # type: ignore[attr-defined]
                except PathError as error:
                    raise PathError(error.message, tuple(parts)) from None
            parts.append(key)
        return tuple(parts)


def _inside(part: Any, key: Any) -> Any:
    """Return what a net or layer calls `key`: a layer of the net, an array of the layer."""
    if isinstance(part, Structure):
        return part.children()[part.position(key)][1]
    if not isinstance(part, Layer):
        raise PathError(f"this is an array, there is nothing called {key!r} in it")
    if key in part.arrays_here:
        return part.arrays_here[key]
    if key in part.own_names():
        raise PathError(
            f"its {key} is not there yet: initialize(...) the net, train it or load one"
        )
    names = ", ".join(part.own_names())
    raise PathError(f"there is nothing called {key!r} here, only {names or 'no array at all'}")
