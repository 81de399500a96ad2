"""Decoders: what a net's last numbers mean, and the targets that training aims at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..backend import Array, Shape
from ..checks import positive
from ..errors import DataError, FormatError, ShapeError, SpecError
from .labels import Label, check_labels, class_list, label_indices

__all__ = ["ClassDecoder", "Decoder", "ScalarDecoder"]


class Decoder:
    """The base of all decoders: immutable, and travelling with the net.

    A decoder of your own defines `size`, `encode`, `decode` and `fits`.
    """

    @property
    def size(self) -> int:
        """How many numbers the net's last layer must give."""
        raise NotImplementedError

    def fits(self, shape: Shape) -> bool:
        """Tell whether outputs of this shape, one example's, can be decoded."""
        return tuple(shape) == (self.size,)

    def encode(self, targets: Any) -> Array:
        """Return what the net should say, as the array that a loss compares with."""
        raise NotImplementedError

    def decode(self, outputs: Any, give: Any = None) -> list[Any]:
        """Return what a batch of outputs says, one value an example."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """Return what to make an equal decoder from, in terms that JSON has.

        Raises
        ------
        FormatError
            If no file can hold this decoder.
        """
        raise FormatError(
            f"{type(self).__name__} can't be saved in a file: save the net without it "
            "and give it again after loading"
        )


@dataclass(frozen=True)
class ClassDecoder(Decoder):
    """Says which class: outputs are one number a class, the highest wins.

    Parameters
    ----------
    labels
        What the classes are called, in the order of the outputs: strings or whole
        numbers, each once.

    Raises
    ------
    SpecError
        If a label comes twice or is neither a string nor a whole number.

    Examples
    --------
    >>> from minnet.data import ClassDecoder
    >>> decoder = ClassDecoder(["cat", "dog"])
    >>> decoder.decode([[0.25, 0.75], [0.5, 0.5]])
    ['dog', 'cat']
    >>> decoder.decode([[0.25, 0.75]], give="probabilities")
    [{'cat': 0.25, 'dog': 0.75}]
    >>> decoder.decode([[0.25, 0.75]], give=("top", 1))
    [[('dog', 0.75)]]
    >>> decoder.encode(["dog", "cat"])
    array([1, 0])
    """

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", check_labels(self.labels))

    @classmethod
    def of(cls, y: Any) -> Self:
        """Make a decoder from the distinct labels in `y`, sorted.

        Examples
        --------
        >>> from minnet.data import ClassDecoder
        >>> ClassDecoder.of(["dog", "cat", "dog"])
        ClassDecoder(labels=('cat', 'dog'))
        """
        return cls(class_list(y))

    @property
    def size(self) -> int:
        """How many numbers the net's last layer must give: one a label."""
        return len(self.labels)

    def encode(self, targets: Any) -> Array:
        """Return the position of each label, int64 (N,).

        Raises
        ------
        DataError
            If there are labels that the decoder doesn't have.
        """
        return label_indices(self.labels, targets)

    def decode(self, outputs: Any, give: Any = None) -> list[Any]:
        """Return what each example is.

        Parameters
        ----------
        outputs
            An array (N, number of labels).
        give
            None or `"label"`: the label. `"probabilities"`: a dict of them by label.
            `("top", k)`: the `k` likeliest as (label, probability), best first, equal
            ones in the order of the labels. Probabilities are the outputs themselves,
            so the net should end in a Softmax (or Sigmoid) for these two.

        Raises
        ------
        ShapeError
            If the outputs aren't one number a label.
        DataError
            If probabilities are asked for and the outputs are none.
        """
        values = _outputs(outputs)
        if values.shape[1:] != (self.size,):
            raise ShapeError(
                f"expected outputs of shape (N, {self.size}), one for each label, "
                f"got {values.shape}"
            )
        if give is None or give == "label":
            return [self.labels[i] for i in values.argmax(axis=1).tolist()]
        if give == "probabilities":
            rows = _probabilities(values).tolist()
            return [dict(zip(self.labels, row, strict=True)) for row in rows]
        if isinstance(give, list | tuple) and len(give) == 2 and give[0] == "top":
            return self._top(_probabilities(values), positive(give[1], "k"))
        raise SpecError(f"give is 'label', 'probabilities' or ('top', k), got {give!r}")

    def _top(self, values: Array, k: int) -> list[Any]:
        """Return the `k` likeliest labels of each example with their probabilities."""
        if k > self.size:
            raise SpecError(f"can't give the top {k} of {self.size} labels")
        best = np.argsort(-values, axis=1, kind="stable")[:, :k]
        return [
            [(self.labels[i], float(row[i])) for i in places.tolist()]
            for row, places in zip(values, best, strict=True)
        ]

    def options(self) -> dict[str, Any]:
        """Return what to make an equal decoder from, in terms that JSON has."""
        return {"labels": list(self.labels)}


@dataclass(frozen=True)
class ScalarDecoder(Decoder):
    """Says a number: the one output of the net, as it is.

    Examples
    --------
    >>> from minnet.data import ScalarDecoder
    >>> ScalarDecoder().decode([[0.5], [2.0]])
    [0.5, 2.0]
    >>> ScalarDecoder().encode([1, 2])
    array([[1.],
           [2.]], dtype=float32)
    """

    @property
    def size(self) -> int:
        """How many numbers the net's last layer must give: one."""
        return 1

    def fits(self, shape: Shape) -> bool:
        """Tell whether outputs of this shape, one example's, can be decoded."""
        return tuple(shape) in ((), (1,))

    def encode(self, targets: Any) -> Array:
        """Return numbers (N,) or (N, 1) as float32 (N, 1).

        Raises
        ------
        DataError
            If they aren't one number an example.
        """
        try:
            values = np.asarray(targets)
        except ValueError as error:
            raise DataError(f"expected one number an example: {error}") from error
        if values.dtype.kind not in "buif" or values.ndim == 0 or not self.fits(values.shape[1:]):
            raise DataError(
                "expected one number an example, an array (N,) or (N, 1), "
                f"got {values.dtype} of shape {values.shape}"
            )
        return values.reshape(-1, 1).astype(np.float32)

    def decode(self, outputs: Any, give: Any = None) -> list[Any]:
        """Return the outputs (N,) or (N, 1) as Python numbers; `give` has no choices here.

        Raises
        ------
        ShapeError
            If the outputs aren't one number an example.
        """
        if give is not None:
            raise SpecError(f"a ScalarDecoder gives numbers only, got give={give!r}")
        values = _outputs(outputs)
        if not self.fits(values.shape[1:]):
            raise ShapeError(f"expected outputs of shape (N,) or (N, 1), got {values.shape}")
        return [float(value) for value in values.reshape(-1)]

    def options(self) -> dict[str, Any]:
        """Return what to make an equal decoder from, in terms that JSON has."""
        return {}


def _outputs(outputs: Any) -> Array:
    """Return a batch of outputs as an array."""
    values = np.asarray(outputs)
    if values.ndim == 0 or values.dtype.kind not in "buif":
        raise ShapeError(
            f"expected a batch of outputs, numbers with the examples along the first axis, "
            f"got {values.dtype} of shape {values.shape}"
        )
    return values


def _probabilities(values: Array) -> Array:
    """Return the values if they can be probabilities."""
    if not ((values >= -1e-6) & (values <= 1 + 1e-6)).all():
        raise DataError(
            "the outputs are no probabilities, which lie between 0 and 1: "
            "let the net end in Softmax()"
        )
    return values
