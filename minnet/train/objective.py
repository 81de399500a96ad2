"""What training minimizes: the loss chosen from a net's end, and the targets it wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .. import ops
from ..autodiff import value
from ..backend import Array, is_array, move
from ..data import ClassDecoder, check_finite
from ..data.rows import LABELS, as_rows
from ..errors import DataError, SpecError
from ..layers import LogSoftmax, Sigmoid, Softmax
from ..layers.base import Layer, Path
from ..layers.shape import Passed
from ..net import Graph, Net

__all__ = ["LOSSES", "Goal", "LossSpec", "Objective", "choose_objective"]

LossFunction: TypeAlias = Callable[[Any, Any], Any]
LossSpec: TypeAlias = "str | LossFunction | Mapping[str, str | LossFunction] | None"

LOSSES: dict[str, LossFunction] = {
    "cross_entropy": ops.cross_entropy,
    "binary_cross_entropy": ops.binary_cross_entropy,
    "mean_squared_error": ops.mean_squared_error,
    "mean_absolute_error": ops.mean_absolute_error,
}
# Losses computed from what goes into these last layers, which is stable where their output is not.
FOLDED: dict[str, tuple[type[Layer], ...]] = {
    "cross_entropy": (Softmax, LogSoftmax),
    "binary_cross_entropy": (Sigmoid,),
}


@dataclass(frozen=True)
class Goal:
    """What one output of a net is trained towards.

    Parameters
    ----------
    loss
        The name of the loss, "custom" for a function of the user's.
    function
        The loss: of a batch of outputs and targets.
    kind
        What the outputs say: `"classes"`, `"yes or no"` (each number a probability of
        its own) or `"numbers"`.
    folded
        The path and layer of a final Softmax or Sigmoid that the loss takes over.
    """

    loss: str
    function: LossFunction
    kind: str
    folded: tuple[Path, Layer] | None = None


@dataclass(frozen=True)
class Objective:
    """The loss of a net: the sum over its outputs.

    Parameters
    ----------
    goals
        For each output port, what it is trained towards.
    """

    goals: Mapping[str, Goal]

    @property
    def kind(self) -> str:
        """What the outputs say: see `Goal`; `"several"` for a net of several."""
        kinds = [goal.kind for goal in self.goals.values()]
        return kinds[0] if len(kinds) == 1 else "several"

    def without_ends(self, net: Net) -> Net:
        """Return the net without the last layers that the loss takes over."""
        ends = [goal.folded for goal in self.goals.values() if goal.folded is not None]
        return net.with_layers({path: Passed(name=end.name) for path, end in ends})

    def finish(self, outputs: Any) -> Any:
        """Return what the whole net would give, from the outputs of the net without its ends."""

        def finished(port: str, part: Any) -> Any:
            end = self.goals[port].folded
            return value(part) if end is None else end[1].apply(value(part))

        return self._by_port(finished, outputs)

    def targets(self, net: Net, y: Any, rows: Array | None = None) -> Any:
        """Return labels or numbers as the losses take them.

        Parameters
        ----------
        net
            The net, for its decoder and precision.
        y
            A batch of them; a dict by port for several outputs.
        rows
            Their positions in the data, for messages.
        """
        if len(self.goals) == 1:
            return _targets(next(iter(self.goals.values())), net, y, rows)
        if not (isinstance(y, Mapping) and set(y) == set(self.goals)):
            raise DataError(f"expected a dict with the outputs {', '.join(self.goals)}")
        return {port: _targets(goal, net, y[port], rows) for port, goal in self.goals.items()}

    def fitted(self, outputs: Any, targets: Any) -> Any:
        """Return the targets in the shape of the outputs, if only final axes of length 1 differ.

        The difference of shapes (N, 1) and (N,) is of shape (N, N): the slip is famous.
        """
        if len(self.goals) == 1:
            return _fitted(next(iter(self.goals.values())), outputs, targets)
        return {port: _fitted(self.goals[port], outputs[port], targets[port]) for port in targets}

    def __call__(self, outputs: Any, targets: Any) -> Any:
        """Return the loss of a batch, a single number."""
        if len(self.goals) == 1:
            return _loss(next(iter(self.goals.values())), outputs, targets)
        total: Any = 0.0
        for port, goal in self.goals.items():
            total = ops.add(total, _loss(goal, outputs[port], targets[port]))
        return total

    def _by_port(self, function: Callable[[str, Any], Any], given: Any) -> Any:
        if len(self.goals) == 1:
            return function(next(iter(self.goals)), given)
        return {port: function(port, given[port]) for port in self.goals}


# --- targets and losses of one output -------------------------------------------------------


def _targets(goal: Goal, net: Net, y: Any, rows: Array | None) -> Array:
    """Return a batch of labels or numbers as the loss of an output takes them."""
    y = move(y, "cpu") if is_array(y) else y
    array = y if isinstance(y, np.ndarray) else as_rows(y, "labels", LABELS)
    decoder = net.output
    if goal.kind == "classes" and array.shape[1:] == (1,):
        raise DataError(
            f"expected one label an example, of shape (N,), got {array.shape}: y[:, 0]?"
        )
    if isinstance(decoder, ClassDecoder) and _is_shares(array, decoder.size):
        targets = array.astype(net.dtype)
    elif decoder is not None:
        targets = decoder.encode(array)
        if isinstance(decoder, ClassDecoder) and goal.loss not in ("cross_entropy", "custom"):
            targets = np.eye(decoder.size, dtype=net.dtype)[targets]
    elif array.dtype.kind not in "fiub":
        advice = "encode them first" if len(net.output_names) > 1 else "give it a decoder"
        raise DataError(
            f"this net's targets are numbers, got labels of dtype {array.dtype}: {advice} "
            "(output=ClassDecoder(...)), or end the net in a Softmax"
        )
    elif array.dtype.kind in "iub" and (goal.kind == "classes" or goal.loss == "custom"):
        targets = array.astype(np.int64)
    else:
        with np.errstate(over="ignore"):  # found out by check_finite, with the example's number
            targets = array.astype(net.dtype)
    check_finite(targets, "the targets", rows)
    if goal.loss == "cross_entropy" and targets.ndim > 1 and targets.dtype.kind == "f":
        _check_shares(targets, rows)
    return targets


def _is_shares(y: Array, classes: int) -> bool:
    """Tell numbers for each class (probabilities, a 1 among zeros) from labels."""
    return y.ndim > 1 and y.shape[1:] == (classes,) and y.dtype.kind in "fiub"


def _check_shares(targets: Array, rows: Array | None) -> None:
    """Raise a DataError unless the targets are probabilities for each class."""
    flat = targets.reshape(len(targets), -1, targets.shape[-1])
    good = ((flat >= 0) & (abs(flat.sum(-1, keepdims=True) - 1) < 1e-2)).all(axis=(1, 2))
    if not good.all():
        first = int(good.argmin())
        raise DataError(
            "targets with a number for each class are probabilities: not negative, with the sum "
            f"1; those of example {first if rows is None else rows[first]} are not"
        )


def _fitted(goal: Goal, outputs: Any, targets: Any) -> Any:
    shape = outputs.shape
    if goal.kind == "classes" or targets.shape == shape or targets.size != outputs.size:
        return targets
    given, wanted = list(targets.shape), list(shape)
    for sizes in (given, wanted):
        while len(sizes) > 1 and sizes[-1] == 1:
            sizes.pop()
    return targets.reshape(shape) if given == wanted else targets


def _loss(goal: Goal, outputs: Any, targets: Any) -> Any:
    loss = goal.function(outputs, targets)
    if goal.loss == "custom" and np.size(value(loss)) != 1:
        raise SpecError(
            "a loss must be a single number for the whole batch, for example a mean, "
            f"got one of shape {np.shape(value(loss))}"
        )
    return loss


# --- choosing the loss ----------------------------------------------------------------------


def choose_objective(net: Net, loss: LossSpec = None) -> Objective:
    """Return the objective for `loss`, or the one that goes with the net's end.

    Cross-entropy for a net that ends in Softmax or LogSoftmax (or has a ClassDecoder,
    whose outputs are then taken as logits), binary cross-entropy for one that ends
    in Sigmoid, else the mean squared error.

    Raises
    ------
    SpecError
        If there is no such loss, or not one for each output.
    """
    ports = tuple(net.output_names)
    given: Mapping[str, Any]
    if isinstance(loss, Mapping):
        if set(loss) != set(ports):
            raise SpecError(
                f"loss= needs one for each output ({', '.join(ports)}), "
                f"got {', '.join(map(repr, loss)) or 'none'}"
            )
        given = loss
    else:
        given = dict.fromkeys(ports, loss)
    return Objective({port: _goal(net, port, given[port]) for port in ports})


def _goal(net: Net, port: str, loss: Any) -> Goal:
    path, end, shared = last_layer(net, port)
    is_classes = isinstance(net.output, ClassDecoder) or isinstance(end, Softmax | LogSoftmax)
    name, function = _named_loss(loss, end, is_classes)
    kind = "classes" if is_classes or name == "cross_entropy" else "numbers"
    if isinstance(end, Sigmoid) and kind == "numbers":
        kind = "yes or no"
    if not isinstance(end, FOLDED.get(name, ())):
        return Goal(name, function, kind)
    if not shared:
        return Goal(name, function, kind, (path, end))
    if isinstance(end, Sigmoid):
        raise SpecError(
            f"binary cross-entropy is computed from what goes into the last Sigmoid of {port!r}, "
            "but other layers take from that Sigmoid too: end the output in one of its own",
            path,
        )
    # A softmax of a LogSoftmax changes nothing, so the cross-entropy of its output is right.
    function = ops.negative_log_likelihood if isinstance(end, Softmax) else function
    return Goal(name, function, kind)


def _named_loss(loss: Any, end: Layer | None, is_classes: bool) -> tuple[str, LossFunction]:
    if loss is None:
        if isinstance(end, Sigmoid):
            loss = "binary_cross_entropy"
        else:
            loss = "cross_entropy" if is_classes else "mean_squared_error"
    if isinstance(loss, str) and loss in LOSSES:
        return loss, LOSSES[loss]
    if isinstance(loss, str) or not callable(loss):
        raise SpecError(
            f"loss must be {', '.join(LOSSES)}, or a function of outputs and targets, got {loss!r}"
        )
    names = [name for name, function in LOSSES.items() if function is loss]
    return (names[0] if names else "custom"), loss


def last_layer(net: Net, port: str) -> tuple[Path, Layer | None, bool]:
    """Return the path and the layer that gives an output its values, and if others take them."""
    children = dict(net.children())
    shared, inner = False, ""
    key: str | int
    if isinstance(net, Graph):
        source = net.wiring[port][0]
        key, _, inner = source.partition(".")
        takers = [s for sources in net.wiring.values() for s in sources if s in (key, source)]
        shared = len(takers) > 1
    else:
        key = list(children)[-1] if children else ""
    part = children.get(key)
    if not isinstance(part, Net):
        return (key,), part, shared
    path, end, shared_inside = last_layer(part, inner or part.output_names[0])
    return (key, *path), end, shared or shared_inside
