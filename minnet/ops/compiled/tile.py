"""Products of matrices whose rows lie anywhere in memory, compiled: convolutions without copies.

What a window sees is not in one piece in memory, so to call BLAS it must be copied first, and
BLAS copies it once more. Here a tile of the product is computed straight from there: some rows by a
few vectors of columns, as many as the processor has registers for. For each step on the way along a
row, every number of a tile's rows is multiplied by the tile's vectors of the other matrix.

Numba makes vectors of loops as it sees fit; these are said in LLVM's own words.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import array_at, kernel, numba

__all__ = ["BYTES", "OFFSETS", "ROWS", "VECTORS", "multiply"]

OFFSETS = np.zeros(1, np.int64)  # of the dtype that says how far from a place something is


def _registers() -> tuple[int, tuple[int, ...]]:
    """Return the bytes of a vector, and how many rows tiles of one, two and more of them have."""
    if numba is None:
        return 16, (2, 2)
    from llvmlite.binding import get_host_cpu_features

    features = numba.config.CPU_FEATURES or ""
    if not features and numba.config.CPU_NAME is None:  # as Numba chooses what to compile for
        features = get_host_cpu_features().flatten()
    if "+avx512f" in features:  # 32 vectors, of which up to 24 are sums
        return 64, (8, 8, 8, 6)
    if "+avx2" in features:  # 16
        return 32, (8, 5)
    return 16, (8, 8, 8) if "+neon" in features else (4, 4, 4)


BYTES, ROWS = _registers()
VECTORS = len(ROWS)  # at most


@kernel
def multiply(
    zero: Any,
    a: int,
    rows: int,
    count: int,
    steps: int,
    length: int,
    b: int,
    apart: int,
    out: int,
    places: int,
    columns: int,
    adds: bool,
) -> None:  # pragma: no cover (compiled)
    """Write a product, or add it to what is there.

    Parameters
    ----------
    zero
        A 0 of the numbers' dtype.
    a
        Where the first matrix is in memory.
    rows, count
        Where it says how far its rows are from there, in numbers, and how many there are.
    steps, length
        Where it says how far a row's numbers are from its beginning, and how many there are.
    b, apart
        Where the second matrix is, whose rows are so many numbers apart.
    out, places
        Where the product goes, and where it says how far each of its rows is from there. Rows
        that share numbers are added one after another.
    columns
        How many there are.
    adds
        Whether to add.
    """
    lanes, size = _lanes(zero), BYTES // _lanes(zero)
    column = 0
    while column < columns:
        left = (columns - column + lanes - 1) // lanes
        tiles = (left + VECTORS - 1) // VECTORS
        vectors = (left + tiles - 1) // tiles  # none much narrower than others
        last = min(columns - column - (vectors - 1) * lanes, lanes)
        matrices, tall = (a, b + column * size, out + column * size), ROWS[vectors - 1]
        for first in range(0, count, tall):
            where = rows + first * 8, places + first * 8
            numbers = min(tall, count - first), length, apart, last
            if vectors == 1:
                _one(zero, matrices, where, steps, numbers, adds)
            elif vectors == 2:
                _two(zero, matrices, where, steps, numbers, adds)
            elif vectors == 3:
                _three(zero, matrices, where, steps, numbers, adds)
            else:
                _four(zero, matrices, where, steps, numbers, adds)
        column += vectors * lanes


def _lanes(zero: Any) -> int:
    """Return how many numbers a vector holds."""
    return BYTES // int(zero.itemsize)


def _tile(
    vectors: int,
    zero: Any,
    matrices: tuple[int, int, int],
    where: tuple[int, int],
    steps: int,
    numbers: tuple[int, int, int, int],
    adds: bool,
) -> None:
    """Compute a tile of so many vectors; see `multiply`."""
    live, length, apart, last = numbers
    columns, like = (vectors - 1) * _lanes(zero) + last, np.zeros(1, zero.dtype)
    rows, places = (array_at(OFFSETS, place, live) for place in where)
    along = array_at(OFFSETS, steps, length)
    a = array_at(like, matrices[0], int(rows.max() + along.max()) + 1)
    b = array_at(like, matrices[1], (length - 1) * apart + columns)
    out = array_at(like, matrices[2], int(places.max()) + columns)
    for row, place in zip(rows, places, strict=True):
        made = sum(a[row + along[k]] * b[k * apart :][:columns] for k in range(length))
        target = out[place : place + columns]
        target[...] = target + made if adds else made


def _one(zero: Any, matrices: Any, where: Any, steps: int, numbers: Any, adds: bool) -> None:
    _tile(1, zero, matrices, where, steps, numbers, adds)


def _two(zero: Any, matrices: Any, where: Any, steps: int, numbers: Any, adds: bool) -> None:
    _tile(2, zero, matrices, where, steps, numbers, adds)


def _three(zero: Any, matrices: Any, where: Any, steps: int, numbers: Any, adds: bool) -> None:
    _tile(3, zero, matrices, where, steps, numbers, adds)


def _four(zero: Any, matrices: Any, where: Any, steps: int, numbers: Any, adds: bool) -> None:
    _tile(4, zero, matrices, where, steps, numbers, adds)


if numba is not None:
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic, overload

    LONG, WORD = ir.IntType(64), ir.IntType(32)

    def _compiled(vectors: int) -> Any:
        """Return what computes a tile of so many vectors."""

        @intrinsic
        def tile(typing, zero, matrices, where, steps, numbers, adds):  # type: ignore[no-untyped-def]
            def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
                kind = signature.args[0]
                real, lanes = context.get_value_type(kind), 8 * BYTES // kind.bitwidth
                _Tile(builder, real, lanes, vectors).write(*given[1:])
                return context.get_dummy_value()

            return types.void(zero, matrices, where, steps, numbers, adds), generate

        def overloaded(zero, matrices, where, steps, numbers, adds):  # type: ignore[no-untyped-def]
            return lambda zero, matrices, where, steps, numbers, adds: tile(
                zero, matrices, where, steps, numbers, adds
            )

        return overloaded

    for count, function in enumerate((_one, _two, _three, _four), 1):
        overload(function, inline="always")(_compiled(count))

    @overload(_lanes, inline="always")
    def _lanes_here(zero):  # type: ignore[no-untyped-def]
        lanes = 8 * BYTES // zero.bitwidth
        return lambda zero: lanes

    class _Tile:
        """Writes the instructions for a tile: a loop over the numbers of its rows."""

        def __init__(self, builder: Any, real: Any, lanes: int, vectors: int) -> None:
            self.builder, self.lanes, self.vectors = builder, lanes, vectors
            self.rows = ROWS[min(vectors, VECTORS) - 1]
            self.real, self.vector = real, ir.VectorType(real, lanes)
            self.kind = f"v{lanes}f{32 if isinstance(real, ir.FloatType) else 64}"

        def write(self, matrices: Any, where: Any, steps: Any, numbers: Any, adds: Any) -> None:
            build = self.builder
            # It is large, and would be compiled again wherever it is put.
            build.function.attributes.add("noinline")
            a, b, out = (build.extract_value(matrices, i) for i in range(3))
            rows, places = (build.extract_value(where, i) for i in range(2))
            live, length, apart, last = (build.extract_value(numbers, i) for i in range(4))
            self.mask = self._mask(last)
            starts = []
            for i in range(self.rows):  # those that aren't there are the last one once more
                is_there = build.icmp_signed("<", LONG(i), live)
                row = build.select(is_there, LONG(i), build.sub(live, LONG(1)))
                starts.append(self._place(a, rows, row))
            sums = self._loop(starts, steps, self._pointer(b, self.real), length, apart)
            for i in range(self.rows):
                with build.if_then(build.icmp_signed("<", LONG(i), live)):
                    place = self._place(out, places, LONG(i))
                    with build.if_else(adds) as (adding, writing):
                        with adding:
                            self._store(place, sums[i], True)
                        with writing:
                            self._store(place, sums[i], False)

        def _loop(self, starts: Any, steps: Any, b: Any, length: Any, apart: Any) -> Any:
            """Return the sums, after adding up a product for each number of the rows."""
            build, along = self.builder, self._pointer(steps, LONG)
            before, loop = build.block, build.append_basic_block("step")
            after = build.append_basic_block("made")
            build.branch(loop)
            build.position_at_end(loop)
            k, here = build.phi(LONG), build.phi(b.type)
            sums = [[build.phi(self.vector) for _ in range(self.vectors)] for _ in starts]
            vectors = [self._load(here, v) for v in range(self.vectors)]
            offset, new = build.load(build.gep(along, [k])), []
            multiply_add = self._function("llvm.fmuladd", self.vector, [self.vector] * 3)
            for start, row in zip(starts, sums, strict=True):
                one = self._everywhere(build.load(build.gep(start, [offset])))
                pairs = zip(vectors, row, strict=True)
                new.append([build.call(multiply_add, [one, v, total]) for v, total in pairs])
            following, there = build.add(k, LONG(1)), build.gep(here, [apart])
            k.add_incoming(LONG(0), before)
            k.add_incoming(following, loop)
            here.add_incoming(b, before)
            here.add_incoming(there, loop)
            for row, new_row in zip(sums, new, strict=True):
                for total, new_total in zip(row, new_row, strict=True):
                    total.add_incoming(ir.Constant(self.vector, [0.0] * self.lanes), before)
                    total.add_incoming(new_total, loop)
            build.cbranch(build.icmp_signed("<", following, length), loop, after)
            build.position_at_end(after)
            return new

        def _place(self, start: Any, offsets: Any, i: Any) -> Any:
            """Return where a row begins."""
            offset = self.builder.load(self.builder.gep(self._pointer(offsets, LONG), [i]))
            return self.builder.gep(self._pointer(start, self.real), [offset])

        def _store(self, place: Any, sums: Any, adds: Any) -> None:
            """Write a row of sums, or add it to what is there."""
            build = self.builder
            for v, total in enumerate(sums):
                new = build.fadd(self._load(place, v), total) if adds else total
                at = self._vector_at(place, v)
                if v < self.vectors - 1:
                    build.store(new, at, align=self._align)
                    continue
                kinds = [self.vector, at.type, WORD, self.mask.type]
                store = self._function("llvm.masked.store", ir.VoidType(), kinds, ".p0")
                build.call(store, [new, at, WORD(self._align), self.mask])

        def _load(self, place: Any, v: int) -> Any:
            """Return a vector of a row; of the last one only the columns that there are."""
            at = self._vector_at(place, v)
            if v < self.vectors - 1:
                return self.builder.load(at, align=self._align)
            kinds = [at.type, WORD, self.mask.type, self.vector]
            load = self._function("llvm.masked.load", self.vector, kinds, ".p0")
            nothing = ir.Constant(self.vector, [0.0] * self.lanes)
            return self.builder.call(load, [at, WORD(self._align), self.mask, nothing])

        @property
        def _align(self) -> int:
            return 4 if isinstance(self.real, ir.FloatType) else 8

        def _vector_at(self, place: Any, v: int) -> Any:
            at = self.builder.gep(place, [LONG(v * self.lanes)])
            return self.builder.bitcast(at, self.vector.as_pointer())

        def _mask(self, last: Any) -> Any:
            """Return which columns of the last vector there are."""
            numbers = ir.Constant(ir.VectorType(LONG, self.lanes), list(range(self.lanes)))
            return self.builder.icmp_signed("<", numbers, self._everywhere(last))

        def _everywhere(self, number: Any) -> Any:
            """Return a vector of one number."""
            nothing = ir.Constant(ir.VectorType(number.type, self.lanes), ir.Undefined)
            first = ir.Constant(ir.VectorType(WORD, self.lanes), [0] * self.lanes)
            one = self.builder.insert_element(nothing, number, WORD(0))
            return self.builder.shuffle_vector(one, nothing, first)

        def _pointer(self, place: Any, kind: Any) -> Any:
            return self.builder.inttoptr(place, kind.as_pointer())

        def _function(self, name: str, result: Any, kinds: Any, end: str = "") -> Any:
            """Return one of LLVM's functions of such vectors."""
            name, module = f"{name}.{self.kind}{end}", self.builder.module
            if name in module.globals:
                return module.globals[name]
            return ir.Function(module, ir.FunctionType(result, kinds), name)
