"""What inner layers say about inputs: their outputs as features, maps pooled or flattened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backend import Array, is_array, move
from ..data.rows import as_rows, batch_indices, row_count, take_rows
from ..errors import DataError, PathError, ShapeError, SpecError
from ..net import Net
from ..net.parts import parse_path
from ..net.place import brought

__all__ = ["features"]

POOLS = ("mean", "max", "flatten", None)


def features(net: Net, x: Any, at: Any, pool: str | None = "mean", *, batch_size: int = 256) -> Any:
    """Return the outputs of inner layers as features, one row an example.

    Parameters
    ----------
    net
        An initialized net. It runs as in use, not in training: dropout is off.
    x
        A batch of inputs of any size, as for calling the net: an array, a list of
        what the encoder takes, or a dict by port.
    at
        A name, position or path of a layer, or a list of them.
    pool
        What becomes of outputs with positions, such as convolution maps (H, W, C):
        `"mean"` or `"max"` over the positions gives C features, `"flatten"` gives
        H * W * C of them in that order, None refuses them. Vectors stay as they are.
    batch_size
        How many examples at a time. Only pooled outputs are kept.

    Returns
    -------
    array or dict of array
        Of shape (N, D) in the net's precision; for a list, by what stood in it.

    Raises
    ------
    PathError
        If there is no such layer.
    ShapeError
        If the inputs don't fit the net, or `pool` is None and the outputs aren't vectors.
    SpecError
        If `pool` is something else, or a layer has several outputs.
    DataError
        If there are no examples, or an output is infinite or not a number.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> from minnet.measure import features
    >>> net = mn.Chain(mn.Conv(4, 3), mn.Ramp(), mn.Flatten(), 2, input=(8, 8, 1)).initialize()
    >>> images = np.ones((5, 8, 8, 1))
    >>> features(net, images, at=1).shape, features(net, images, at=1, pool="flatten").shape
    ((5, 4), (5, 144))
    >>> {where: f.shape for where, f in features(net, images, at=[0, -1]).items()}
    {0: (5, 4), -1: (5, 2)}
    """
    if not isinstance(net, Net):
        raise SpecError(f"expected a Chain or Graph, got {type(net).__name__}")
    if pool not in POOLS:
        raise SpecError(f"pool must be 'mean', 'max', 'flatten' or None, got {pool!r}")
    places = at if isinstance(at, list) else [at]
    if not places:
        raise PathError("expected at least one layer to look at, got an empty list")
    rows = _rows(net, x)
    count = row_count(next(iter(rows.values())))
    found: dict[Any, Array] = {}
    for indices in batch_indices(count, batch_size, None):
        batch = {port: take_rows(values, indices) for port, values in rows.items()}
        encoded = {port: end for port, end in net._ends().items() if hasattr(end, "encode")}
        batch = {p: part if p in encoded else brought(part, net) for p, part in batch.items()}
        outputs = net.outputs(batch if len(batch) > 1 else batch[net.input_names[0]], places)
        for where in places:
            part = _pooled(outputs[where], len(indices), pool, where)
            if where not in found:
                found[where] = np.empty((count, part.shape[1]), part.dtype)
            found[where][indices[0] : indices[-1] + 1] = part
    return found if isinstance(at, list) else found[at]


def _rows(net: Net, x: Any) -> dict[str, Any]:
    """Return the inputs by port, checked as far as the net doesn't check them itself."""
    ports = net.input_names
    given = x if isinstance(x, Mapping) else {ports[0]: x}
    if set(given) != set(ports):
        raise DataError(f"this net takes a dict with the inputs {', '.join(ports)}")
    rows = {port: as_rows(given[port], f"input {port!r}", None) for port in ports}
    counts = {port: row_count(values) for port, values in rows.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"every input needs equally many examples, got {counts}")
    for port, values in rows.items():
        shape = net.input[port] if isinstance(net.input, Mapping) else net.input
        if isinstance(shape, tuple) and np.ndim(values) == len(shape):
            raise ShapeError(
                f"expected a batch of examples of shape {shape}, got one of them: give x[None]"
            )
    return rows


def _pooled(outputs: Any, count: int, pool: str | None, where: Any) -> Array:
    """Return one batch's outputs as rows of features."""
    path = parse_path(where)
    if isinstance(outputs, Mapping):
        raise SpecError(
            f"there are several outputs ({', '.join(outputs)}): name the layer inside that "
            "gives the one you mean",
            path,
        )
    array = move(outputs, "cpu") if is_array(outputs) else np.asarray(outputs)
    if not np.isfinite(array).all():
        raise DataError("some outputs are infinite or not a number", path)
    if array.ndim <= 2 or pool == "flatten":
        return array.reshape(count, -1)
    if pool is None:
        raise ShapeError(
            f"expected outputs that are vectors, got the shape {array.shape[1:]}: "
            "choose pool='mean', 'max' or 'flatten'",
            path,
        )
    positions = tuple(range(1, array.ndim - 1))
    pooled: Array = array.mean(positions) if pool == "mean" else array.max(positions)
    return pooled
