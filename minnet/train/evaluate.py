"""evaluate: the loss and the measures of a net on data it was not trained on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..checks import positive
from ..errors import SpecError
from ..net import Net
from ..net.place import on
from ..net.threaded import Hands, Work
from .feed import Batch
from .frozen import Bottom
from .gpu_feed import make_feed
from .measures import Measure, Tally, chosen_measures
from .objective import LossSpec, Objective, choose_objective
from .options import source_for
from .parts import number_of

__all__ = ["evaluate", "measured"]


def evaluate(
    net: Net, data: Any, *, loss: LossSpec = None, measure: Any = ..., batch_size: int = 256
) -> dict[str, Any]:
    """Return the loss and the measures of a net on some data.

    Parameters
    ----------
    net
        An initialized net.
    data
        Whatever `train` takes.
    loss, measure
        As for `train`.
    batch_size
        How many examples at a time; it changes nothing but memory and speed.

    Returns
    -------
    dict
        `loss` and each measure by name.

    Raises
    ------
    DataError, ShapeError
        If the data can't be used, or doesn't fit the net.
    SpecError
        If an option is wrong, or the net is not initialized.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> net = mn.Chain(mn.Linear(2), mn.Softmax(), input=2, output=mn.ClassDecoder(["a", "b"]))
    >>> net = net.initialize(method="identity")
    >>> mn.evaluate(net, (np.eye(2), ["a", "b"]))["accuracy"]
    1.0
    """
    if not isinstance(net, Net):
        raise SpecError(f"expected a Chain or Graph to evaluate, got {type(net).__name__}")
    batch_size = positive(batch_size, "batch_size")
    objective = choose_objective(net, loss)
    measures = chosen_measures(measure, objective)
    with on(net):
        feed = make_feed(source_for(net, data), net, objective, device=net.device)
        hands = Hands()
        # All of it, up to what is random in training.
        bottom = Bottom(objective.without_ends(net), hands)
        batches = feed.batches(bottom, batch_size)
        return measured(bottom.above, objective, batches, measures, hands).results()


def measured(
    net: Net,
    objective: Objective,
    batches: Iterable[Batch],
    measures: tuple[Measure, ...],
    hands: Hands,
) -> Tally:
    """Return the loss and the measures of batches in inference, put together.

    `net` gives the outputs that the loss takes, from the features of a batch.
    """
    tally, work = Tally(measures), Work([net])
    for features, targets, _ in batches:
        with np.errstate(all="ignore"):  # a loss that is infinite or NaN says so itself
            outputs = hands.map(net.apply, features, work)
            targets = objective.fitted(outputs, targets)
            loss = number_of(objective(outputs, targets))
            finished = objective.finish(outputs) if measures else None
        tally.add(loss, finished, targets)
    return tally
