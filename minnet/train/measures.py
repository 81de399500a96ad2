"""What is measured besides the loss: accuracy, top-k, the confusion matrix, or any function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array, array_module, device_of, is_array, move
from ..checks import positive
from ..errors import ShapeError, SpecError
from .objective import Objective

__all__ = ["Measure", "Tally", "accuracy", "chosen_measures", "confusion", "top"]


@dataclass(frozen=True)
class Measure:
    """A number or array measured on batches of outputs and targets, and put together.

    Parameters
    ----------
    name
        What it is called in the history.
    function
        Of the net's outputs and the encoded targets of a batch, plain arrays (dicts by
        port for nets of several outputs): classes as whole numbers (N,) or as
        probabilities (N, C), numbers in the shape of the outputs. Returns a number or
        an array of numbers.
    add
        Whether batches are added up (counts); else their mean is taken, each
        weighted by its number of examples.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> surest = mn.Measure("surest", lambda outputs, targets: outputs.max(-1).mean())
    >>> net = mn.Chain(mn.Softmax(), input=2, output=mn.ClassDecoder(["a", "b"]))
    >>> data = np.log([[0.75, 0.25], [0.5, 0.5]]), ["a", "b"]
    >>> round(mn.evaluate(net, data, measure=surest)["surest"], 3)
    0.625
    """

    name: str
    function: Callable[[Any, Any], Any]
    add: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or not callable(self.function):
            raise SpecError(
                f"a Measure has a name and a function, got {self.name!r} and {self.function!r}"
            )

    def __repr__(self) -> str:
        return f"Measure(name={self.name!r}, add={self.add})"


class ClassMeasure(Measure):
    """A measure of one output that tells classes."""


# --- measures of classes ----------------------------------------------------------------


def _classes(outputs: Array, targets: Array) -> Array:
    """Return the right classes, given as such or as probabilities for each."""
    if targets.shape == outputs.shape:
        return targets.argmax(-1)  # type: ignore[no-any-return]
    if targets.shape != outputs.shape[:-1] or targets.dtype.kind not in "iu":
        raise ShapeError(
            "measures of classes compare outputs (N, C) with classes (N,) or probabilities "
            f"(N, C), got outputs {outputs.shape} and targets {targets.shape} of {targets.dtype}"
        )
    return targets


def _share(is_right: Array) -> Any:
    """Return how many are True, as a share; on a GPU that stays there."""
    count = is_right.sum()
    return (int(count) if isinstance(is_right, np.ndarray) else count) / is_right.size


def _accuracy(outputs: Array, targets: Array) -> Any:
    return _share(outputs.argmax(-1) == _classes(outputs, targets))


def _yes_or_no(outputs: Array, targets: Array) -> Any:
    return _share((outputs > 0.5) == (targets > 0.5))


def _confusion(outputs: Array, targets: Array) -> Any:
    size = outputs.shape[-1]
    if not isinstance(outputs, np.ndarray):
        return _confusion_there(outputs, _classes(outputs, targets))
    pairs = _classes(outputs, targets).ravel() * size + outputs.argmax(-1).ravel()
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def _confusion_there(outputs: Array, classes: Array) -> Any:
    """Return the same on a GPU, as a product of ones: to count there the host would have to wait.

    float32 counts exactly as long as a batch has less than 16 million examples.
    """
    each = array_module(outputs).arange(outputs.shape[-1])
    given = (classes.ravel()[:, None] == each).astype(np.float32)
    told = (outputs.argmax(-1).ravel()[:, None] == each).astype(np.float32)
    return (given.T @ told).astype(np.int64)


accuracy = ClassMeasure("accuracy", _accuracy)
accuracy_of_answers = Measure("accuracy", _yes_or_no)
confusion = ClassMeasure("confusion", _confusion, add=True)


def top(k: int) -> Measure:
    """Return the measure of how often the right class is among the `k` likeliest.

    Of equally likely classes the first count as likelier, as they do for the accuracy;
    so `top(1)` is the accuracy.

    Raises
    ------
    SpecError
        If `k` is not a positive whole number, or (when it measures) above the number of
        classes.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> net = mn.Chain(mn.Softmax(), input=3, output=mn.ClassDecoder(["a", "b", "c"]))
    >>> data = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]), ["b", "a"]
    >>> mn.evaluate(net, data, measure=mn.top(2))["top_2"]
    0.5
    """
    positive(k, "k")

    def function(outputs: Array, targets: Array) -> Any:
        if k > outputs.shape[-1]:
            raise SpecError(f"there is no top {k} of {outputs.shape[-1]} classes")
        classes = _classes(outputs, targets)[..., None]
        right = np.take_along_axis(outputs, classes, -1)
        ahead = (outputs == right) & (array_module(outputs).arange(outputs.shape[-1]) < classes)
        return _share(((outputs > right) | ahead).sum(-1) < k)

    return ClassMeasure(f"top_{k}", function)


# --- choosing ---------------------------------------------------------------------------


def chosen_measures(given: Any, objective: Objective) -> tuple[Measure, ...]:
    """Return the measures meant by a name, a function, a Measure, or several of these.

    With `...`, accuracy where a net tells classes or answers yes or no.
    """
    if given is ...:
        given = "accuracy" if objective.kind in ("classes", "yes or no") else None
    if given is None:
        return ()
    if isinstance(given, str | Measure) or callable(given):
        given = (given,)
    if not isinstance(given, Sequence):
        raise SpecError(f"measure must be a name, a function or several, got {given!r}")
    measures = tuple(_checked(_as_measure(item), objective.kind) for item in given)
    names = [measure.name for measure in measures]
    for name in names:
        if names.count(name) > 1 or name in ("loss", "round", "seconds"):
            raise SpecError(f"two columns of the history can't both be called {name!r}")
    return measures


def _as_measure(item: Any) -> Measure:
    if isinstance(item, Measure):
        return item
    if isinstance(item, str):
        for measure in (accuracy, confusion):
            if item == measure.name:
                return measure
        if item.startswith("top_") and item[4:].isdecimal() and int(item[4:]) > 0:
            return top(int(item[4:]))
    elif callable(item):
        return Measure(getattr(item, "__name__", "measure"), item)
    raise SpecError(
        f"measure must be accuracy, confusion, top_K or a function of outputs and targets, "
        f"got {item!r}"
    )


def _checked(measure: Measure, kind: str) -> Measure:
    """Refuse a measure of classes for a net that tells none; choose the right accuracy."""
    if measure is accuracy and kind == "yes or no":
        return accuracy_of_answers
    if isinstance(measure, ClassMeasure) and kind != "classes":
        why = "several outputs" if kind == "several" else "outputs that tell no classes"
        raise SpecError(
            f"{measure.name} is for one output that tells classes, this net has {why}: "
            "give a function of outputs and targets"
        )
    return measure


# --- putting batches together -------------------------------------------------------------


class Tally:
    """Puts the losses and measures of batches together."""

    def __init__(self, measures: tuple[Measure, ...]) -> None:
        self.measures = measures
        self.count = 0
        self.totals: dict[str, Any] = {}
        self.waiting: dict[str, list[tuple[Any, int]]] = {}  # numbers on a GPU, with their weights

    def add(self, loss: Any, outputs: Any, targets: Any) -> None:
        """Take in one batch."""
        first = next(iter(targets.values())) if isinstance(targets, Mapping) else targets
        count = len(first)
        self.count += count
        self._add("loss", loss, count)
        for measure in self.measures:
            number = _numbers(measure, measure.function(outputs, targets))
            self._add(measure.name, number, 1 if measure.add else count)

    def _add(self, name: str, number: Any, weight: int) -> None:
        if np.ndim(number) == 0 and device_of(number) != "cpu":
            self.waiting.setdefault(name, []).append((number, weight))
            return
        number = number * weight
        self.totals[name] = self.totals[name] + number if name in self.totals else number

    def _read(self) -> None:
        """Bring all numbers that are on a GPU here, at once."""
        waiting, self.waiting = self.waiting, {}
        numbers = [number for several in waiting.values() for number, _ in several]
        if not numbers:
            return
        found = iter(move(np.stack([n.astype(np.float64) for n in numbers]), "cpu").tolist())
        for name, several in waiting.items():
            for number, weight in several:
                amount = next(found)
                self._add(name, int(amount) if number.dtype.kind in "iu" else amount, weight)

    def results(self, prefix: str = "") -> dict[str, Any]:
        """Return the loss and measures over all batches so far."""
        self._read()
        names = ["loss", *(measure.name for measure in self.measures)]
        added = {measure.name for measure in self.measures if measure.add}
        return {
            prefix + name: _plain(total if name in added else total / self.count)
            for name, total in ((name, self.totals[name]) for name in names if name in self.totals)
        }


def _numbers(measure: Measure, result: Any) -> Any:
    """Return what a measure gave, if that is numbers."""
    if isinstance(result, float | np.floating):
        return result
    try:
        array = result if is_array(result) else np.asarray(result)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "buif":
        raise SpecError(
            f"the measure {measure.name!r} must give a number or an array of numbers, "
            f"got {type(result).__name__}"
        )
    return array.astype(np.int64) if array.dtype.kind == "b" else array


def _plain(number: Any) -> Any:
    number = move(number, "cpu") if is_array(number) else number
    return number if np.ndim(number) else np.asarray(number).item()
