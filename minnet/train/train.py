"""train: fit a net to data, as fast or slow as the rules say for each of its arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..backend import using
from ..backend.devices import present
from ..checks import positive
from ..data import ArraySource, ClassDecoder, Source
from ..errors import DataError, MinnetWarning, SpecError
from ..net import Net
from ..net.fit import sized
from ..optim import Optimizer
from .display import make_display
from .feed import encoded
from .gpu_feed import check_places, make_feed
from .loop import Loop
from .measures import chosen_measures
from .objective import LossSpec, Objective, choose_objective
from .options import Limits, as_callbacks, best_metric, hold_out, kept_bytes, source_for
from .result import TrainResult
from .stop import as_stop
from .trainer import Trainer

__all__ = ["train"]

Callback: TypeAlias = Callable[[Trainer, dict[str, Any]], Any]


def train(
    net: Net,
    data: Any,
    *,
    optimizer: Optimizer | None = None,
    loss: LossSpec = None,
    multipliers: Any = None,
    rounds: int | None = None,
    steps: int | None = None,
    max_seconds: float | None = None,
    batch_size: int = 64,
    validation: Any = None,
    stop: Any = None,
    measure: Any = ...,
    callbacks: Callback | Sequence[Callback] = (),
    progress: Any = True,
    seed: int = 0,
    best: str | None = None,
    frozen_dropout: bool = True,
    reuse_frozen: bool | float = True,
    threads: int | None = None,
    device: str | None = None,
    precision: str = "float32",
    capture: bool = True,
) -> TrainResult:
    """Train a net, or part of it, and return a new one.

    Parameters
    ----------
    net
        What to train. It is never changed; arrays it lacks are initialized, sizes
        left out inferred from the data and the decoder.
    data
        `(x, y)` arrays, a list of `(input, label)` pairs, a dict by port, a
        `Dataset`, an iterator of batches, a function that returns the batches of a
        round, or memory-mapped arrays, which are read batch by batch.
    optimizer
        `Adam()` when left out.
    loss
        When left out: cross-entropy for a net that ends in Softmax (computed from
        the logits), binary cross-entropy after Sigmoid, else the mean squared error.
        A name (`"cross_entropy"`, `"binary_cross_entropy"`, `"mean_squared_error"`,
        `"mean_absolute_error"`), a function of outputs and targets that returns a single
        number, or a dict of these by port (the losses of several outputs add up).
    multipliers
        Rules that say how fast each array learns: `{-2: 1, ...: None}` trains only
        the last layer but one. See `minnet.multipliers`.
    rounds, steps, max_seconds
        When to stop, whichever comes first. With none given, 10 rounds or as many
        as make 1000 steps, which is said.
    batch_size
        Examples a step. A single one left over at the end of a round joins the batch
        before it. Data that comes in batches keeps these.
    validation
        A share of the data to hold out (stratified by label), or data of its own.
        None does without.
    stop
        A `Stop`, the name of a metric, a number of rounds of patience (with the
        validation loss), or a function of the history that says True to stop.
    measure
        `"accuracy"`, `"top_5"`, `"confusion"`, a `Measure`, a function of outputs and
        targets, or several. Accuracy when left out, for classes.
    callbacks
        Functions called after every round with the `Trainer` and the round's row of
        the history; one that returns True stops the training.
    progress
        True: a bar (with tqdm) or a line a round; `"lines"`, `"bar"`, or False.
    seed
        Of initialization, the held-out share, the order of examples, dropout.
        Equal seeds give equal nets, bit for bit.
    best
        The metric that chooses the best net. When left out: that of `stop`, if it is
        measured on validation data, else the validation loss; without validation data
        the last net is the best.
    frozen_dropout
        Whether dropout below the first trainable array is active.
    reuse_frozen
        Whether the outputs of the frozen bottom of the net are kept, so that each
        example passes it once and not in every round. A number is the largest size to
        keep in memory, in bytes (1 GB for True), for training and validation data each;
        what is larger goes into a temporary file, if that is quicker than computing it
        again, which is removed afterwards. 0, like False, keeps nothing. On a GPU it is kept
        there, and what is larger is computed again.
    threads
        Among how many threads batches are divided, see `Trainer`.
    device
        Where to train: `"cpu"`, `"gpu"` or, of several, `"gpu:1"`; where the net is when left
        out. The data is brought there; the nets of the result are where `net` is.
    precision
        What a GPU computes in. `"float32"` is all as the net has it. `"tf32"` rounds the
        factors of products of matrices to 11 significant bits, which makes an error of
        up to 0.1 % of each. `"float16"` computes all above the frozen bottom with 11
        bits, and numbers up to 65504; weights, updates, the loss and BatchNorm's own
        arrays stay float32, and the loss is scaled so that small gradients don't vanish.
    capture
        Whether steps on a GPU are recorded as CUDA graphs and replayed, where that is
        possible: not with layers or losses of your own, or random ones above the frozen
        bottom. It takes less of the host's time, and more memory.

    Returns
    -------
    TrainResult
        The best and the final net, the history, the table of multipliers.

    Raises
    ------
    ShapeError, DataError, SpecError
        If the net, the data or an option can't be used; said before the first step
        wherever it can be known.
    NonFiniteError
        If the loss or a gradient stops being finite; holds the last good net.

    Notes
    -----
    Ctrl-C ends the training and returns the result so far.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> x = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
    >>> y = np.where(x[:, 0] * x[:, 1] > 0, "same", "opposite")
    >>> net = mn.Chain(16, mn.Tanh, mn.Linear(), mn.Softmax)
    >>> result = mn.train(net, (x, y), optimizer=mn.Adam(0.02), rounds=40, progress=False)
    >>> result.net(np.array([1.0, 1.0]))
    'same'
    """
    if not isinstance(net, Net):
        raise SpecError(f"expected a Chain or Graph to train, got {type(net).__name__}")
    batch_size, seed = positive(batch_size, "batch_size"), positive(seed, "seed", 0)
    limits = Limits(rounds, steps, max_seconds)
    stops, keep_bytes = as_stop(stop), kept_bytes(reuse_frozen)
    objective = choose_objective(net, loss)
    whole = source_for(net, data)
    source, rows, held, held_rows = hold_out(whole, validation, net, seed)
    place = net.device if device is None else present(device)
    check_places(whole, place)
    with using(place):
        prepared = _prepared(net, whole, objective, seed)
    trainer = Trainer(
        prepared,
        optimizer,
        loss,
        multipliers,
        seed,
        frozen_dropout,
        net,
        threads,
        device,
        precision,
        capture,
    )
    measures = chosen_measures(measure, trainer.objective)
    best = best_metric(best, stops, measures, held is not None)
    asked = as_callbacks(callbacks)
    limits, said = limits.for_data(source, batch_size)
    keep_bytes = keep_bytes if limits.see_all_twice else 0.0
    fed = prepared, trainer.objective, keep_bytes
    feed = make_feed(source, *fed, rows, trainer.device)
    held_feed = None if held is None else make_feed(held, *fed, held_rows, trainer.device)
    if not trainer.trainable and not trainer.table.scheduled:
        why = "every array is frozen" if net.arrays() or prepared.arrays() else "it has no arrays"
        warnings.warn(f"there is nothing to train: {why}", MinnetWarning, stacklevel=2)
        return TrainResult(net, net, (), trainer.table, 0.0, 0.0, 0, 0, 0, why)
    display = make_display(progress)
    if said:
        display.say(said)
    feed.passes.say = display.say
    return Loop(
        trainer=trainer,
        feed=feed,
        held=held_feed,
        limits=limits,
        batch_size=batch_size,
        measures=measures,
        stop=stops,
        best=best,
        callbacks=asked,
        display=display,
        random=np.random.default_rng([seed, 2]),
    ).run()


def _prepared(net: Net, source: Source, objective: Objective, seed: int) -> Net:
    """Return the net with a decoder, all sizes and all arrays."""
    x, y = source.sample()
    ports = net.input_names
    first = encoded(net, {port: x[port][:1] for port in ports} if len(ports) > 1 else x[:1])
    shape = first.shape[1:] if len(ports) == 1 else {p: first[p].shape[1:] for p in ports}
    net = net._with_input_shape(shape)  # or says what was expected and what came
    if len(objective.goals) == 1:
        net = _with_end(net, shape, source, y, objective)
    return net.initialize(seed, input_shape=shape)


def _with_end(net: Net, shape: Any, source: Source, y: Any, objective: Objective) -> Net:
    """Return the net with what its end lacks: a ClassDecoder, or the size of its last Linear().

    Whole numbers below the number of outputs stand for the outputs themselves; any
    other labels are taken in sorted order.
    """
    if net.output is not None:
        return net
    sample = np.asarray(y)
    if objective.kind != "classes" or sample.ndim != 1:
        size = 1 if sample.ndim == 1 else sample.shape[-1]
        return sized(net, size) or net  # type: ignore[return-value]  # a net, as it was
    try:
        size = net.output_shape(shape)[-1]
    except SpecError:
        size = None  # the last Linear() is waiting for the decoder
    labels = source.y if isinstance(source, ArraySource) else sample
    is_whole = labels.dtype.kind in "iu"
    if size and is_whole and labels.min() >= 0 and labels.max() < size:
        return net.with_ends(output=ClassDecoder(tuple(range(size))))
    if not isinstance(source, ArraySource):
        raise DataError(
            "batches that come one at a time don't say which labels there are: give the net "
            "output=ClassDecoder([...])"
        )
    decoder = ClassDecoder.of(labels)
    if size not in (None, decoder.size):
        raise DataError(
            f"the net has {size} outputs, but there are {decoder.size} different labels: leave "
            "the size of its last Linear() out, or give it output=ClassDecoder([...])"
        )
    return net.with_ends(output=decoder)
