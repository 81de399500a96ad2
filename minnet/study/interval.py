"""Intervals and rank correlation by hand: Student's t, the stratified bootstrap, Spearman."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import SpecError

__all__ = [
    "FEW",
    "Estimate",
    "bootstrap_interval",
    "spearman",
    "t_interval",
    "t_probability",
    "t_quantile",
]

# With fewer pairs than this a number comes with a warning.
FEW = 4
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean, how many numbers stand behind it, and its 95% interval.

    Parameters
    ----------
    count
        How many numbers the mean is of.
    mean
        None where there is no number.
    low, high
        The interval; None where it can't be told, as from a single number.
    """

    count: int
    mean: float | None
    low: float | None = None
    high: float | None = None

    @property
    def few(self) -> bool:
        """Whether fewer than four numbers stand behind it."""
        return self.count < FEW

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies on that side of zero, else 0."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 0) - int(self.high < 0)


def t_interval(numbers: Sequence[float]) -> Estimate:
    """Return the mean of numbers with its 95% interval by Student's t.

    Parameters
    ----------
    numbers
        Taken as independent and about normal, such as differences of pairs.

    Examples
    --------
    >>> found = t_interval([1.0, 2.0, 3.0, 4.0])
    >>> found.mean, round(found.low, 3), round(found.high, 3)
    (2.5, 0.446, 4.554)
    >>> t_interval([1.0])
    Estimate(count=1, mean=1.0, low=None, high=None)
    """
    count = len(numbers)
    if count == 0:
        return Estimate(0, None)
    mean = math.fsum(numbers) / count
    if count == 1:
        return Estimate(1, mean)
    variance = math.fsum((number - mean) ** 2 for number in numbers) / (count - 1)
    half = t_quantile((1 + LEVEL) / 2, count - 1) * math.sqrt(variance / count)
    return Estimate(count, mean, mean - half, mean + half)


def bootstrap_interval(
    numbers: Sequence[float], strata: Sequence[Hashable], times: int = 10_000, seed: int = 0
) -> Estimate:
    """Return the mean of numbers with its 95% interval by the stratified bootstrap.

    Numbers are drawn again, with replacement, within each stratum, `times` times; the
    interval runs from the 2.5th to the 97.5th percentile of the means. It says nothing
    about how strata differ: a stratum of one number adds no width, and where every
    stratum has one there is no interval at all.

    Parameters
    ----------
    numbers, strata
        The stratum of each number, such as the split a pair belongs to.
    times
        How often to draw.
    seed
        The same seed gives the same interval.

    Raises
    ------
    SpecError
        If there are not as many strata as numbers, or `times` is not positive.

    References
    ----------
    B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993.

    Examples
    --------
    >>> found = bootstrap_interval([1.0, 2.0, 11.0, 12.0], ["a", "a", "b", "b"])
    >>> found.low, found.mean, found.high
    (6.0, 6.5, 7.0)
    """
    if len(numbers) != len(strata):
        raise SpecError(f"expected a stratum for each of {len(numbers)} numbers, got {len(strata)}")
    if times < 1:
        raise SpecError(f"the bootstrap draws at least once, got times={times!r}")
    if not numbers:
        return Estimate(0, None)
    members: dict[Hashable, list[float]] = {}
    for number, stratum in zip(numbers, strata, strict=True):
        members.setdefault(stratum, []).append(number)
    mean = math.fsum(numbers) / len(numbers)
    if all(len(own) == 1 for own in members.values()):
        return Estimate(len(numbers), mean)
    random = np.random.default_rng(seed)
    sums = np.zeros(times)
    for own in members.values():
        sums += np.asarray(own)[random.integers(len(own), size=(times, len(own)))].sum(1)
    low, high = np.quantile(sums / len(numbers), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(len(numbers), mean, float(low), float(high))


# --- Student's t ----------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def t_quantile(probability: float, freedom: int) -> float:
    """Return the value that Student's t stays below with a probability.

    Found by bisection of `t_probability`.

    Parameters
    ----------
    probability
        Between 0 and 1.
    freedom
        The degrees of freedom, at least 1.

    Examples
    --------
    >>> round(t_quantile(0.975, 3), 4)
    3.1824
    """
    if not 0 < probability < 1:
        raise SpecError(f"a probability lies between 0 and 1, got {probability!r}")
    if probability < 0.5:
        return -t_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while t_probability(high, freedom) < probability:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        if t_probability(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return high


def t_probability(t: float, freedom: int) -> float:
    """Return the probability that Student's t is below a value.

    Its tail is half an incomplete beta function, I_x(freedom / 2, 1 / 2) at
    x = freedom / (freedom + t^2) (Abramowitz & Stegun 26.7.1).

    Examples
    --------
    >>> round(t_probability(1.0, 1), 12)
    0.75
    """
    if freedom < 1:
        raise SpecError(f"Student's t has at least 1 degree of freedom, got {freedom!r}")
    tail = 0.5 * _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)
    return tail if t < 0 else 1 - tail


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # there the fraction converges slowly
        return 1 - _incomplete_beta(1 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front += a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) / (a * _beta_fraction(x, a, b))


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of Abramowitz & Stegun 26.5.8, 1 + d1/(1 + d2/(1 + ...)).

    Evaluated from the front by Lentz's method: every step multiplies by a ratio that goes to 1.
    """
    value = upper = 1.0
    lower = 0.0
    for step in range(1, 1000):
        m = step // 2
        if step % 2:
            part = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            part = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        lower = 1 / (1 + part * lower)
        upper = 1 + part / upper
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-16:
            break
    return value


# --- rank correlation -----------------------------------------------------------------------


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation: Pearson's correlation of the ranks.

    Equal numbers share the mean of the ranks they take up.

    Parameters
    ----------
    x, y
        Numbers in pairs.

    Returns
    -------
    float or None
        From -1 to 1; None with fewer than two pairs or where all of one are equal.

    Raises
    ------
    SpecError
        If there are not as many of one as of the other.

    Examples
    --------
    >>> spearman([1, 2, 3, 4], [10, 20, 30, 5])
    -0.2
    >>> spearman([1, 1, 1], [1, 2, 3]) is None
    True
    """
    if len(x) != len(y):
        raise SpecError(f"a correlation is of pairs, got {len(x)} and {len(y)} numbers")
    if len(x) < 2:
        return None
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return None if size == 0 else float(a @ b) / size


def _ranks(numbers: Sequence[float]) -> np.ndarray:
    """Return ranks from 1, ties sharing their mean."""
    _, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: np.ndarray = (last - (counts - 1) / 2)[inverse]
    return ranks
