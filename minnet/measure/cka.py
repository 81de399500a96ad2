"""Linear CKA: how alike two sets of features of the same examples are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backend import Array
from ..checks import boolean
from ..errors import DataError, ShapeError
from .blocks import EPSILON, row_blocks
from .checks import feature_matrix, same_count, warn_if_few

__all__ = ["CKA", "cka"]

FEW = (
    "CKA comes out too high, up to 1 whatever the features are; "
    "give more examples, pool the maps, or ask for unbiased=True"
)


def cka(x: Any, y: Any, unbiased: bool = False) -> float:
    """Return the linear centred kernel alignment of two sets of features.

    With the Gram matrices K = X X^T and L = Y Y^T and the centring matrix
    H = I - 1 1^T / N,

        CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)),
        HSIC(K, L) = tr(K H L H) / (N - 1)^2 = |cov(X, Y)|_F^2.

    It is 1 where one is the other rotated, scaled and shifted, and doesn't change
    by any of these. Other invertible linear maps do change it.

    Parameters
    ----------
    x, y
        Features (N, D1) and (N, D2) of the same N examples in the same order.
    unbiased
        Estimate each HSIC without bias, by the HSIC_1 of Song et al. (2012) as Nguyen
        et al. (2021) do, but over all examples and not as a mean over batches. With
        K' and L', which are K and L with zeros on the diagonal,

            HSIC_1 = (tr(K' L') + 1^T K' 1 1^T L' 1 / ((N - 1) (N - 2))
                      - 2 / (N - 2) 1^T K' L' 1) / (N (N - 3)).

        Independent features then give 0 on average, so single values fall below it.

    Returns
    -------
    float
        From 0 to 1; unbiased, from -1 to 1.

    Raises
    ------
    ShapeError
        If the features aren't matrices, or not of equally many examples.
    DataError
        If a number isn't finite, features are the same for all examples, or there are
        fewer than two examples (four if unbiased).

    Warns
    -----
    MinnetWarning
        Unless unbiased, where there are no more examples than features on either side.

    Notes
    -----
    Computed by whichever is smaller, the covariances (D1 * D2 + D1^2 + D2^2 numbers)
    or the Gram matrices (2 N^2); the two agree up to rounding.

    References
    ----------
    Kornblith, Norouzi, Lee, Hinton (2019), "Similarity of neural network
    representations revisited", section 3. Song, Smola, Gretton, Bedo, Borgwardt
    (2012), "Feature selection via dependence maximization", JMLR 13. Nguyen, Raghu,
    Kornblith (2021), "Do wide and deep networks learn the same things?".

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.measure import cka
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> round(cka(x, 3 * x @ [[0.6, -0.8], [0.8, 0.6]] + 1), 12)
    1.0
    """
    x, y = feature_matrix(x, "first features"), feature_matrix(y, "second features")
    same_count(x, y)
    is_unbiased = _check_options(len(x), unbiased)
    if not is_unbiased:
        warn_if_few((len(x), max(x.shape[1], y.shape[1])), FEW)
    count = len(x)
    if count < (x.shape[1] + y.shape[1]) / 2:
        return _from_gram_matrices(x, y, is_unbiased)
    sums = CKA()
    for rows in row_blocks(count, x.shape[1] + y.shape[1]):
        sums._add(x[rows], y[rows])
    return sums._value(is_unbiased)


class CKA:
    """Linear CKA of features that come chunk by chunk; see `cka`.

    Every example counts once, whatever the chunks: the result is that of `cka` on
    all of them up to rounding, unbiased too. Memory is D1 * D2 + D1^2 + D2^2 numbers.

    Attributes
    ----------
    count
        How many examples have been added.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.measure import CKA, cka
    >>> x, y = np.random.default_rng(0).normal(size=(2, 50, 4))
    >>> together = CKA()
    >>> for start in range(0, 50, 20):
    ...     together.add(x[start : start + 20], y[start : start + 20])
    >>> bool(np.isclose(together.value(), cka(x, y)))
    True
    """

    count: int
    _origins: tuple[_Origin, _Origin]
    _pairs: tuple[_Pair, ...]

    def __init__(self) -> None:
        self.count = 0

    def add(self, x: Any, y: Any) -> None:
        """Take in the features (n, D1) and (n, D2) of n more examples.

        Raises
        ------
        ShapeError
            If these aren't matrices of as many rows, or of other sizes than before.
        DataError
            If a number isn't finite.
        """
        x, y = feature_matrix(x, "first features"), feature_matrix(y, "second features")
        same_count(x, y)
        self._add(x, y)

    def _add(self, x: Array, y: Array) -> None:
        if self.count == 0:
            # Any origin will do: HSIC doesn't depend on it, but rounding does.
            self._origins = _Origin(x), _Origin(y)
            sizes = x.shape[1], y.shape[1]
            self._pairs = tuple(_Pair(sizes[i], sizes[j]) for i, j in SIDES)
        sizes = self._origins[0].shift.size, self._origins[1].shift.size
        if sizes != (x.shape[1], y.shape[1]):
            raise ShapeError(
                f"expected {sizes[0]} and {sizes[1]} features as in the chunks before, "
                f"got {x.shape[1]} and {y.shape[1]}"
            )
        sides = self._origins[0].moved(x), self._origins[1].moved(y)
        for pair, (i, j) in zip(self._pairs, SIDES, strict=True):
            pair.add(sides[i], sides[j])
        self.count += len(x)

    def value(self, unbiased: bool = False) -> float:
        """Return the CKA of all examples so far; errors and warnings as of `cka`."""
        is_unbiased = _check_options(self.count, unbiased)
        if not is_unbiased:
            largest = max(origin.shift.size for origin in self._origins)
            warn_if_few((self.count, largest), FEW)
        return self._value(is_unbiased)

    def _value(self, unbiased: bool) -> float:
        n = self.count
        spreads = [pair.spread(n) for pair in self._pairs[:2]]
        for name, origin, spread in zip(NAMES, self._origins, spreads, strict=True):
            origin.check_varied(spread, n, name)
        parts = [pair.unbiased(n) if unbiased else pair.centred(n) for pair in self._pairs]
        return _ratio(parts, spreads)


# Which side meets which in the sums: each itself, then one the other.
SIDES = ((0, 0), (1, 1), (0, 1))
NAMES = ("first features", "second features")


class _Origin:
    """A shift and a scale that bring features near 0 and 1, chosen by the first of them."""

    def __init__(self, x: Array) -> None:
        self.shift = x.mean(axis=0, dtype=np.float64)
        self.scale = float(np.abs(x - self.shift).max()) or 1.0

    def moved(self, x: Array) -> Array:
        moved: Array = (x - self.shift) / self.scale
        return moved

    def check_varied(self, spread: float, count: int, what: str) -> None:
        """Raise a DataError if what varies is only rounding."""
        rounding = 16 * EPSILON * float(np.linalg.norm(self.shift)) / self.scale
        if spread <= count * rounding**2:
            raise DataError(
                f"{what}: they are the same for every example, so CKA is undefined "
                "(a layer whose units are all dead?)"
            )


class _Pair:
    """The sums over examples from which the HSIC of two sets of features is computed."""

    def __init__(self, x_size: int, y_size: int) -> None:
        self.cross = np.zeros((x_size, y_size))
        self.x, self.y = np.zeros(x_size), np.zeros(y_size)
        self.x_weighted, self.y_weighted = np.zeros(x_size), np.zeros(y_size)
        self.x_squares = self.y_squares = self.both_squares = 0.0

    def add(self, x: Array, y: Array) -> None:
        xx, yy = np.vecdot(x, x), np.vecdot(y, y)
        self.cross += x.T @ y
        self.x += x.sum(axis=0)
        self.y += y.sum(axis=0)
        self.x_weighted += yy @ x
        self.y_weighted += xx @ y
        self.x_squares += float(xx.sum())
        self.y_squares += float(yy.sum())
        self.both_squares += float(xx @ yy)

    def spread(self, n: int) -> float:
        """Return the sum of the squared distances from the mean, of x."""
        return self.x_squares - float(self.x @ self.x) / n

    def centred(self, n: int) -> float:
        """Return tr(K H L H)."""
        return float(np.square(self.cross - np.outer(self.x, self.y) / n).sum())

    def unbiased(self, n: int) -> float:
        """Return HSIC_1 times N (N - 3), each of its terms written out as sums over examples."""
        trace = float(np.square(self.cross).sum()) - self.both_squares
        x_total = float(self.x @ self.x) - self.x_squares
        y_total = float(self.y @ self.y) - self.y_squares
        rows = (
            float(self.x @ self.cross @ self.y)
            - float(self.x @ self.x_weighted)
            - float(self.y @ self.y_weighted)
            + self.both_squares
        )
        return _hsic_1(trace, x_total * y_total, rows, n)


def _hsic_1(trace: float, totals: float, rows: float, n: int) -> float:
    """Return HSIC_1 times N (N - 3) from tr(K' L'), 1^T K' 1 1^T L' 1 and 1^T K' L' 1."""
    return trace + totals / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)


def _from_gram_matrices(x: Array, y: Array, unbiased: bool) -> float:
    """Return CKA by its definition, the better way where examples are few."""
    n = len(x)
    grams, spreads = [], []
    for side, name in zip((x, y), NAMES, strict=True):
        origin = _Origin(side)
        moved = origin.moved(side)
        grams.append(moved @ moved.T)
        spreads.append(float(np.trace(grams[-1])))
        origin.check_varied(spreads[-1], n, name)
    if unbiased:
        for gram in grams:
            np.fill_diagonal(gram, 0)
        sums = [gram.sum(axis=0) for gram in grams]
        parts = [
            _hsic_1(
                float(np.vdot(grams[i], grams[j])),
                float(sums[i].sum() * sums[j].sum()),
                float(sums[i] @ sums[j]),
                n,
            )
            for i, j in SIDES
        ]
    else:  # the origins are the means, so the Gram matrices are centred
        parts = [float(np.vdot(grams[i], grams[j])) for i, j in SIDES]
    return _ratio(parts, spreads)


def _ratio(parts: list[float], spreads: list[float]) -> float:
    """Return CKA from the three HSICs, up to one factor for all of them."""
    for name, own, spread in zip(NAMES, parts[:2], spreads, strict=True):
        if own <= 1e-12 * spread**2:  # only HSIC_1 can be 0 where features vary
            raise DataError(
                f"{name}: all pairs of examples are equally alike, so unbiased CKA is "
                "undefined; give more examples"
            )
    xx, yy, xy = parts
    return min(1.0, max(-1.0, xy / math.sqrt(xx * yy)))


def _check_options(count: int, unbiased: Any) -> bool:
    """Return the option as a bool; refuse too few examples."""
    is_unbiased = boolean(unbiased, "unbiased")
    least = 4 if unbiased else 2
    if count < least:
        kind = "unbiased CKA" if unbiased else "CKA"
        raise DataError(f"{kind} takes at least {least} examples, got {count}")
    return is_unbiased
