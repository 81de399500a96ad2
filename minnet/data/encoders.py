"""Encoders: what makes numbers of the things a net is asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, Shape
from ..checks import positive
from ..errors import DataError, FormatError, SpecError
from .labels import Label, check_labels, label_indices, plain

__all__ = ["ClassEncoder", "Encoder", "FunctionEncoder"]


class Encoder:
    """The base of all encoders: immutable, and travelling with the net.

    An encoder of your own defines `encode`, and `shape` where it is known.
    """

    @property
    def shape(self) -> Shape | None:
        """The shape of one encoded example, or None if it isn't known."""
        return None

    def is_example(self, x: Any) -> bool:
        """Tell whether `x` is one example; here: anything but a list, tuple or array."""
        return not (isinstance(x, list | tuple) or hasattr(x, "shape"))

    def encode(self, batch: Any, dtype: DTypeLike | None = None) -> Array:
        """Return a batch of examples (or a single one) as an array (N, *shape).

        float32 unless another `dtype` is asked for.
        """
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """Return what to make an equal encoder from, in terms that JSON has.

        Raises
        ------
        FormatError
            If no file can hold this encoder.
        """
        raise FormatError(
            f"{type(self).__name__} can't be saved in a file: save the net without it "
            "and give it again after loading"
        )


@dataclass(frozen=True)
class ClassEncoder(Encoder):
    """Makes the position of each label among `labels`, or a vector with a 1 there.

    Parameters
    ----------
    labels
        The labels, strings or whole numbers, each once.
    one_hot
        Give vectors (as Linear takes them) instead of whole numbers (as Embedding does).

    Examples
    --------
    >>> from minnet.data import ClassEncoder
    >>> ClassEncoder(["red", "green"]).encode(["green", "red", "red"])
    array([1, 0, 0])
    >>> ClassEncoder(["red", "green"], one_hot=True).encode("green")
    array([[0., 1.]], dtype=float32)
    """

    labels: tuple[Label, ...]
    one_hot: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", check_labels(self.labels))
        if not isinstance(self.one_hot, bool):
            raise SpecError(f"one_hot is True or False, got {self.one_hot!r}")

    @property
    def shape(self) -> Shape:
        """The shape of one encoded label: () or (number of labels,)."""
        return (len(self.labels),) if self.one_hot else ()

    def is_example(self, x: Any) -> bool:
        """Tell whether `x` is one label."""
        return isinstance(plain(x), str | int)

    def encode(self, batch: Any, dtype: DTypeLike | None = None) -> Array:
        """Return labels as an array int64 (N,), or (N, number of labels) if `one_hot`.

        `dtype` is that of the vectors, float32 when left out; positions are always int64.

        Raises
        ------
        DataError
            If there are labels that the encoder doesn't have.
        """
        indices = label_indices(self.labels, [batch] if self.is_example(batch) else batch)
        if not self.one_hot:
            return indices
        encoded = np.zeros((len(indices), len(self.labels)), dtype=dtype or np.float32)
        encoded[np.arange(len(indices)), indices] = 1
        return encoded

    def options(self) -> dict[str, Any]:
        """Return what to make an equal encoder from, in terms that JSON has."""
        return {"labels": list(self.labels), "one_hot": self.one_hot}


@dataclass(frozen=True)
class FunctionEncoder(Encoder):
    """Makes an array of each example by a function of yours. No file can hold it.

    Parameters
    ----------
    function
        Takes one example, returns an array or a list of numbers.
    shape
        The shape of what it returns, if the net is to infer its sizes from it.

    Examples
    --------
    >>> from minnet.data import FunctionEncoder
    >>> FunctionEncoder(lambda word: [len(word), word.count("e")]).encode(["tree", "elephant"])
    array([[4., 2.],
           [8., 2.]], dtype=float32)
    """

    function: Callable[[Any], Any]
    shape: Shape | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise SpecError(f"expected a function of one example, got {self.function!r}")
        if self.shape is not None:
            shape = tuple(positive(side, "a side of shape") for side in self.shape)
            object.__setattr__(self, "shape", shape)

    def encode(self, batch: Any, dtype: DTypeLike | None = None) -> Array:
        """Return what the function makes of each example, as one array.

        Raises
        ------
        DataError
            If that isn't an array of numbers, of the same shape for all of them.
        """
        examples = [batch] if self.is_example(batch) else batch
        arrays = [np.asarray(self.function(example)) for example in examples]
        if not arrays:
            raise DataError("expected at least one example, got none")
        expected = arrays[0].shape if self.shape is None else self.shape
        for i, array in enumerate(arrays):
            if array.shape != expected or array.dtype.kind not in "buif":
                raise DataError(
                    f"the encoder's function must give numbers of shape {expected}, but gave "
                    f"{array.dtype} of shape {array.shape} for example {i}"
                )
        return np.stack(arrays).astype(dtype or np.float32)
