"""Arrays: the side of a net that holds arrays — getting, replacing, making and dropping them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

import numpy as np

from ..autodiff import Tensor, value
from ..backend import is_array
from ..errors import DataError, MinnetError, PathError, ShapeError, SpecError
from ..layers.base import Layer, Path, dotted, walk
from .fit import final_shape
from .initialize import InitialMethod, initialized
from .parts import parse_path
from .structure import Structure

__all__ = ["Arrays"]


class Arrays(Structure):
    """A layer made of layers, whose arrays can be replaced (see `Net`)."""

    def arrays(self) -> dict[Path, Any]:
        """Return every array of the net by its path, in the order of the net.

        Examples
        --------
        >>> import minnet as mn
        >>> net = mn.Chain(mn.Linear(2), mn.Ramp(), input=(3,)).initialize()
        >>> {path: array.shape for path, array in net.arrays().items()}
        {(0, 'weight'): (3, 2), (0, 'bias'): (2,)}
        """
        return {
            (*path, name): array
            for path, part in walk(self)
            for name, array in part.arrays_here.items()
        }

    # --- other arrays and layers inside -------------------------------------------------

    def with_arrays(self, arrays: Mapping[Any, Any]) -> Self:
        """Return the net with other arrays at the paths given; everything else is shared.

        Parameters
        ----------
        arrays
            By path, a tuple or dotted (`"conv1.weight"`). One somebody can still
            write to is copied, a read-only one kept as it is, a Tensor too. Lists
            of numbers become float32.

        Raises
        ------
        PathError
            If there is no such array.
        ShapeError
            If an array has another shape than the one it replaces, or than the
            net needs for its known input.
        DataError
            If one doesn't hold numbers.

        Examples
        --------
        >>> import minnet as mn
        >>> net = mn.Chain(mn.Linear(2), input=1).initialize()
        >>> new = net.with_arrays({"0.bias": [1, 2]})
        >>> new["0.bias"], new["0.weight"] is net["0.weight"]
        (array([1., 2.], dtype=float32), True)
        """
        return _with_arrays(self, arrays)

    def with_layers(self, layers: Mapping[Any, Layer]) -> Self:
        """Return the net with other layers at the paths given, at any depth.

        Unlike `replace` it takes the layers as they are: nothing is checked but that
        each can stand where it is put.

        Raises
        ------
        PathError
            If there is no layer at a path.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain([3, mn.Ramp], 2).with_layers({(0, 1): mn.Tanh()})
        Chain(Chain(Linear(3), Tanh()), Linear(2))
        """
        return _with_layers(self, {self._canonical(parse_path(p)): x for p, x in layers.items()})

    def astype(self, dtype: Any) -> Self:
        """Return the net with its floating-point arrays converted, so that it computes in `dtype`.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(2, input=3).initialize().astype("float64").dtype
        dtype('float64')
        """
        if np.dtype(dtype).kind != "f":
            raise SpecError(f"nets compute with floating-point numbers, not with {dtype!r}")
        floats = {path: a for path, a in self.arrays().items() if value(a).dtype.kind == "f"}
        return self.with_arrays({path: a.astype(dtype) for path, a in floats.items()})

    @property
    def dtype(self) -> Any:
        """The precision the net computes in: that of its first floating-point array, or float32."""
        arrays = (array for _, part in walk(self) for array in part.arrays_here.values())
        kinds = (value(array).dtype for array in arrays)  # no list of them: it's asked every step
        return next((kind for kind in kinds if kind.kind == "f"), np.dtype(np.float32))

    def initialize(
        self,
        seed: int = 0,
        method: InitialMethod = "kaiming",
        only_missing: bool = True,
        input_shape: Any = None,
        dtype: Any = None,
    ) -> Self:
        """Return the net with its arrays made.

        Parameters
        ----------
        seed
            Each array's random numbers depend on this and its own path alone, so the
            same layer begins the same whatever else is in the net.
        method
            For weights: `"kaiming"` (the default), `"xavier"`, `"orthogonal"`,
            `"identity"`, a number, or a function of an `ArraySpec` and a random
            generator. Biases begin at 0, scales at 1.
        only_missing
            Keep the arrays that are there (the default), as the very same objects;
            False makes all of them anew, but for those of `Constant`.
        input_shape
            Of one example, where the net doesn't know it (a dict by port for several
            inputs).
        dtype
            Of the new arrays: that of those there are when left out, or float32.

        Raises
        ------
        ShapeError
            If layers, arrays or the decoder don't fit each other; the message begins
            with the layer's path.
        SpecError
            If the input's shape or the size of a `Linear()` is unknown, or an option
            is wrong.

        Examples
        --------
        >>> import minnet as mn
        >>> net = mn.Chain(mn.Linear(2), mn.Softmax(), input=(3,)).initialize(seed=1)
        >>> net["0.weight"].shape
        (3, 2)
        """
        return initialized(self, seed, method, only_missing, input_shape, dtype)

    def deinitialize(self, pattern: Any = ...) -> Self:
        """Return the net without the arrays that `pattern` names; the architecture stays.

        Parameters
        ----------
        pattern
            As in the rules of `train(multipliers=...)`: a position, a name with
            wildcards, a layer class, `...` for everything. The arrays of `Constant`
            stay, since nothing could make them again.

        Raises
        ------
        SpecError
            If it names nothing in the net.

        Examples
        --------
        >>> import minnet as mn
        >>> net = mn.Chain(mn.Linear(2), mn.Linear(2), input=(3,)).initialize()
        >>> list(net.deinitialize(-1).arrays())
        [(0, 'weight'), (0, 'bias')]
        """
        from ..multipliers import matching  # at call time: rules are built on nets

        dropped = matching(self, pattern)
        changed = {}
        for path, part in walk(self):
            kept = {
                name: array
                for name, array in part.arrays_here.items()
                if (*path, name) not in dropped or name in part.constant_names
            }
            if len(kept) < len(part.arrays_here):
                changed[path] = part.with_arrays_here(kept)
        return _with_layers(self, changed)


AnyNet = TypeVar("AnyNet", bound=Structure)


def _with_arrays(net: AnyNet, arrays: Mapping[Any, Any]) -> AnyNet:
    """Return the net with other arrays at the paths given; see `Arrays.with_arrays`."""
    by_layer: dict[Path, dict[str, Any]] = {}
    is_checked = True  # by the arrays that were there
    for where, given in arrays.items():
        path = net._canonical(parse_path(where))
        part = net._at(path[:-1])
        name = str(path[-1])
        if not isinstance(part, Layer) or part.children() or name not in part.own_names():
            raise PathError(f"there is no array called {dotted(path)!r} in this net")
        array = _numbers(given, path)
        old = part.arrays_here.get(name)
        if old is not None and old.shape != array.shape:
            raise ShapeError(f"expected an array of shape {old.shape}, got {array.shape}", path)
        is_checked &= old is not None
        by_layer.setdefault(path[:-1], {})[name] = array
    layers = {}
    for path, new in by_layer.items():
        part = net._at(path)
        layers[path] = part.with_arrays_here({**part.arrays_here, **new})
    changed = _with_layers(net, layers)
    if not is_checked:
        final_shape(changed)
    return changed


def _numbers(given: Any, path: Path) -> Any:
    """Return what is given as an array, or refuse it; lists of numbers become float32."""
    array = given
    if not (isinstance(given, Tensor) or is_array(given)):
        try:
            array = np.asarray(given)
        except ValueError:
            array = np.asarray(None)  # a ragged list
        array = array.astype(np.float32) if array.dtype.kind in "buif" else array
    if value(array).dtype.kind not in "buif":
        raise DataError(f"expected an array of numbers, got {value(array).dtype}", path)
    return array


def _with_layers(net: AnyNet, layers: Mapping[Path, Layer]) -> AnyNet:
    """Return the net with other layers at the paths given; see `Arrays.with_layers`."""
    here: dict[str | int, Layer] = {}
    deeper: dict[str | int, dict[Path, Layer]] = {}
    for path, part in layers.items():
        if len(path) == 1:
            here[path[0]] = part
        else:
            deeper.setdefault(path[0], {})[path[1:]] = part
    inside = dict(net.children())
    for key in (*here, *deeper):
        if key not in inside or (key in deeper and not inside[key].children()):
            raise PathError(f"there is no layer at {key!r} to put others in or in place of")
    for key, parts in deeper.items():
        try:
            here[key] = _with_layers(inside[key], parts)  # type: ignore[type-var]  # a net
        except MinnetError as error:
            raise error.inside(key) from None
    return net.with_children(here) if here else net
