"""Convolution on the CPU by widened windows: each takes in several neighbouring positions.

The plain way (conv.py) gathers what each window sees into a row of a matrix, so that
a convolution is one matrix product. A window of 5 x 5 over one channel is 5 runs of
5 numbers: the copying takes longer than the product. A *wide* window of 5 x 8 sees
what 4 neighbouring positions see; it is 5 runs of 8 numbers, a quarter as many
windows and less than half as much to copy, back and forth. The weight then is a
matrix that holds the same numbers 4 times, each time moved on by a position, with
zeros between; the product does 8 / 5 of the work, but on more columns, which matrix
products like.

Work is done in tiles of a few images, whose windows stay in the processor's cache,
and shared among threads where there is much of it.

The input's gradient is found in one of two ways. Each position can add its multiple of
the weight to what its window saw; or the gradient is convolved with the weight turned
around, which leaves nothing to add but may take more products.

Letters: N, H, W, C and KH, KW as everywhere; OH and OW the positions, P how many of
them along W a wide window takes in, R the numbers of a row of it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from ..backend import Array, Shape
from ..buffers import new_array
from ..threads import in_parts, shares
from .sweep import Sweep

__all__ = ["correlate", "is_wide", "spread", "turned_around", "weight_gradient"]

# Bytes of gathered windows to work on at a time: few enough to be near the processor.
TILE = 1 << 21


# What it takes on a common processor, in nanoseconds: to multiply two numbers in a product of
# matrices, to copy a number, to go on to the next run of numbers, to add a number, and to put a
# number of a weight where it stands in the matrix.
PRODUCT, COPY, RUN, ADD, PLACE = 0.028, 0.25, 10.0, 1.1, 1.0


@dataclasses.dataclass(frozen=True)
class Wide:
    """A sweep over images by wide windows."""

    sweep: Sweep  # over images, even where the user's is over sequences
    outputs: int
    together: int  # P

    @cached_property
    def reach(self) -> int:
        """Over how many elements of W a wide window reaches."""
        return self.sweep.window[-1] + (self.together - 1) * self.sweep.stride[-1]

    @cached_property
    def shape(self) -> Shape:
        """How many wide windows there are along H and W, rows of each, and numbers of a row."""
        down, across = self.sweep.positions
        run = self.reach * self.sweep.shape[-1]
        return down, across // self.together, self.sweep.window[0], run

    def product_cost(self) -> float:
        """Estimate the time for a position in a product with the weight, and in widening that."""
        # A product takes its columns sixteen at a time.
        columns = -(-self.outputs * self.together // 16) * 16 / self.together
        cost = PRODUCT * columns
        if self.together > 1:
            cost += PLACE * self.outputs * self.together / max(1, self.sweep.count)
        return math.prod(self.shape[2:]) * cost

    def gather_cost(self) -> float:
        """Estimate the time for a position in gathering what the windows see."""
        run = COPY * self.shape[3] + RUN
        return self.shape[2] * run / self.together

    def scatter_cost(self) -> float:
        """Estimate the time for a position in adding what windows hold where they stand."""
        return math.prod(self.shape[2:]) * ADD / self.together

    @cached_property
    def correlate_cost(self) -> float:
        """The time for a position in `correlate`, and in `weight_gradient`, about."""
        return self.product_cost() + self.gather_cost()

    @cached_property
    def spread_cost(self) -> float:
        """The time for a position in `spread`, about."""
        return self.product_cost() + self.scatter_cost()

    def shares(self, cost: float) -> list[slice]:
        """Return the images each thread is to work on, given what a position costs."""
        return shares(self.sweep.shape[0], self.sweep.count * cost / 1000)

    def tiles(self, part: slice, itemsize: int) -> Iterator[slice]:
        """Yield the images to work on at a time, of some."""
        images = max(1, TILE // (math.prod(self.shape) * itemsize))
        starts = range(part.start, part.stop, images)
        return (slice(start, min(start + images, part.stop)) for start in starts)

    def matrix(self, w: Array) -> Array:
        """Return the weight of a wide window, of shape (KH * R, P * outputs)."""
        if self.together == 1:
            return np.ascontiguousarray(w).reshape(-1, self.outputs)
        height, width = self.sweep.window
        step, (channels, outputs) = self.sweep.stride[-1], w.shape[-2:]
        wide = np.zeros((height, self.reach, channels, self.together, outputs), w.dtype)
        for p in range(self.together):
            wide[:, p * step : p * step + width, :, p] = w.reshape(height, width, channels, outputs)
        return wide.reshape(-1, self.together * outputs)

    def folded(self, wide: Array) -> Array:
        """Return the gradient of a weight from that of its matrix: the sum of where it stands."""
        height, width = self.sweep.window
        step = self.sweep.stride[-1]
        parts = wide.reshape(height, self.reach, -1, self.together, self.outputs)
        total = np.zeros((height, width, parts.shape[2], self.outputs), wide.dtype)
        for p in range(self.together):
            total += parts[:, p * step : p * step + width, :, p]
        return total

    def gathered(self, images: Array, dtype: np.dtype[Any]) -> Array:
        """Return what the wide windows see of some images, a row for each."""
        images = np.ascontiguousarray(self.sweep.pad(images))
        n, h, w, c = images.strides
        down, across = self.sweep.stride
        strides = n, h * down, w * across * self.together, h, c
        view = np.ndarray((len(images), *self.shape), images.dtype, images, 0, strides)
        rows = new_array(view.shape, dtype)
        np.copyto(rows, view, casting="unsafe")  # whole numbers may be gathered as float32
        return rows.reshape(-1, math.prod(self.shape[2:]))

    def scatter(self, rows: Array, total: Array) -> None:
        """Add to padded images, for every wide window, its row where it stands."""
        rows = rows.reshape(len(total), *self.shape)
        n, h, w, c = total.strides
        down, across = self.sweep.stride[0], self.sweep.stride[1] * self.together
        apart = -(-self.reach // across)  # of every so manieth window, none meets another
        for row in range(self.sweep.window[0]):
            for first in range(min(apart, self.shape[1])):
                part = rows[:, :, first::apart, row]
                start = row * h + first * across * w
                strides = n, h * down, w * across * apart, c
                met = np.ndarray(part.shape, total.dtype, total, start, strides)
                met += part


def _fitting(sweep: Sweep, outputs: int) -> list[Wide]:
    """Return a sweep by all the wide windows that fit its positions."""
    sweep = sweep.of_images()
    across = sweep.positions[-1]
    return [Wide(sweep, outputs, p) for p in range(1, across + 1) if across % p == 0]


@functools.lru_cache(maxsize=256)
def widened(sweep: Sweep, outputs: int) -> Wide:
    """Return a sweep by the wide windows that promise to take the least time."""
    return min(_fitting(sweep, outputs), key=lambda wide: wide.correlate_cost)


@functools.lru_cache(maxsize=256)
def for_spreading(sweep: Sweep, outputs: int) -> tuple[Wide, Sweep | None]:
    """Return the wide windows that `spread` adds by, and the sweep to convolve with instead.

    That is None where adding promises to take less time.
    """
    wide = min(_fitting(sweep, outputs), key=lambda wide: wide.spread_cost)
    turned = turned_around(sweep, outputs)
    if turned is not None:
        cost = widened(turned, sweep.shape[-1]).correlate_cost
        if turned.count * cost >= sweep.count * wide.spread_cost:
            turned = None
    return wide, turned


@functools.lru_cache(maxsize=256)
def turned_around(sweep: Sweep, outputs: int) -> Sweep | None:
    """Return the sweep over a convolution's gradient that has the input's gradient as its result.

    Its padding lets each window see all the positions that saw an element of the input.
    """
    far = [d * (k - 1) for k, d in zip(sweep.window, sweep.dilation, strict=True)]
    pairs = zip(far, sweep.edges, strict=True)
    edges = tuple((most - before, most - after) for most, (before, after) in pairs)
    if max(sweep.stride) > 1 or min(map(min, edges)) < 0:
        return None
    shape = (sweep.shape[0], *sweep.positions, outputs)
    return Sweep.over(shape, sweep.window, 1, edges, sweep.dilation)


def is_wide(a: Array, sweep: Sweep) -> bool:
    """Tell whether these kernels can do a convolution."""
    return (
        isinstance(a, np.ndarray)
        and a.ndim in (3, 4)
        and sweep.groups == 1
        and max(sweep.dilation) == 1
    )


def correlate(a: Array, w: Array, sweep: Sweep) -> Array:
    """Take the product of the weight with what the window sees at every position."""
    wide = widened(sweep, w.shape[-1])
    images, matrix = a.reshape(wide.sweep.shape), wide.matrix(w)
    dtype = np.result_type(a, w)
    y = new_array((len(a), math.prod(wide.shape[:2]), matrix.shape[1]), dtype)

    def work(part: slice) -> None:
        for tile in wide.tiles(part, dtype.itemsize):
            rows = wide.gathered(images[tile], dtype)
            np.matmul(rows, matrix, out=y[tile].reshape(len(rows), -1))

    in_parts(work, wide.shares(wide.correlate_cost))
    return y.reshape(len(a), *sweep.positions, wide.outputs)


def weight_gradient(a: Array, g: Array, sweep: Sweep) -> Array:
    """Return the weight's gradient, from the input and the gradient at the output."""
    wide = widened(sweep, g.shape[-1])
    images, columns = a.reshape(wide.sweep.shape), wide.together * wide.outputs
    dtype = np.result_type(a, g)
    slopes = np.ascontiguousarray(g).reshape(len(a), math.prod(wide.shape[:2]), columns)

    def work(part: slice) -> Array:
        total = np.zeros((math.prod(wide.shape[2:]), columns), dtype)
        for tile in wide.tiles(part, dtype.itemsize):
            rows = wide.gathered(images[tile], dtype)
            total += rows.T @ slopes[tile].reshape(-1, columns)
        return total

    total, *others = in_parts(work, wide.shares(wide.correlate_cost))
    for other in others:
        total += other
    return wide.folded(total).reshape(*sweep.window, a.shape[-1], wide.outputs)


def spread(g: Array, w: Array, sweep: Sweep) -> Array:
    """Return the input's gradient, in the way that promises to take less time."""
    wide, turned = for_spreading(sweep, w.shape[-1])
    if turned is None:
        return _spread_by_adding(g, w, wide).reshape(sweep.shape)
    window = tuple(range(len(sweep.window)))
    return correlate(g, np.flip(w, window).swapaxes(-1, -2), turned)


def _spread_by_adding(g: Array, w: Array, wide: Wide) -> Array:
    """Return the input's gradient: each position adds its multiple of the weight around it."""
    matrix, dtype = wide.matrix(w).T, np.result_type(g, w)
    slopes = np.ascontiguousarray(g).reshape(len(g), math.prod(wide.shape[:2]), len(matrix))
    total = new_array(wide.sweep.padded_shape, dtype)

    def work(part: slice) -> None:
        total[part].fill(0)
        for tile in wide.tiles(part, total.itemsize):
            columns = slopes[tile].reshape(-1, len(matrix))
            rows = new_array((len(columns), matrix.shape[1]), total.dtype)
            wide.scatter(np.matmul(columns, matrix, out=rows), total[tile])

    in_parts(work, wide.shares(wide.spread_cost))
    return wide.sweep.crop(total)
