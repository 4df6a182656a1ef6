"""Correlation of arrays with one kernel each: lanes along contiguous positions.

    y[i, j] = sum over t, r, s of  w[t, r, s] x[t][i stride + r dilation - low][...same for j, s]

A task is a block of rows and columns of the output. Its part of the input is first copied to
scratch memory of the thread: converted to the compute type, extended at the boundaries, positions
that a stride leaves between neighbours moved out of the way. So the input is never padded as a
whole, and tiles have neither bounds checks nor gathers.

    scratch  [outer tap][row phase][row]  x  pitch  [column phase][column][inner]
    tile     rows x vectors of accumulators; for each tap column s: load ``rows + unroll - 1`` rows
             of vectors, each serving up to ``unroll`` tap rows

A signal is one row. With `flat`, its vectors are the rows of the tile: taps that lie a vector
apart then share loads as the rows of a picture do.

Every output is summed in the same order wherever it lies in a block or tile, so results depend
neither on threads nor on how a signal is cut. Gradual underflow is kept, as in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import (
    F32,
    F64,
    I1,
    I8,
    I16,
    I32,
    I64,
    POINTER,
    VOID,
    Index,
    Scalar,
    Value,
    Vector,
    constant,
)
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.pixel_tables import AXIS, GRID, NO_PLANE, SECTION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function

ELEMENTS: dict[str, Scalar] = {
    "bool": I8,
    "int8": I8,
    "uint8": I8,
    "int16": I16,
    "uint16": I16,
    "int32": I32,
    "uint32": I32,
    "int64": I64,
    "uint64": I64,
    "float32": F32,
    "float64": F64,
}
"""Types in memory by NumPy's names."""

KEEP_DENORMALS = ~0x8040
"""Mask of MXCSR without flush-to-zero and denormals-are-zero."""


@dataclass(frozen=True)
class PixelCorrelate(Kernel):
    """Correlate the tasks ``first`` to ``first + count`` of a grid."""

    source: str
    """dtype of the input in memory."""
    element: str
    """dtype that is computed in: float32, float64, int32 or int64."""
    result: str
    """dtype of the output in memory."""
    lanes: int
    rows: int
    vectors: int
    unrolls: tuple[int, ...]
    """Tap rows that share loads, for each section of the taps."""
    pitch: int
    """Elements from one row of scratch memory to the next: known, so addresses cost nothing."""
    flat: bool
    x86: bool

    arguments: ClassVar[tuple[str, ...]] = ("grid", "scratch")

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        restore = _keep_denormals(f) if self.x86 else _nothing
        grid, scratch = pointers
        emitter = _Emitter(self, f, grid, scratch)
        f.loop(
            f.add(call.first, call.count),
            lambda task, _: emitter.task(f.value(task)),
            start=call.first,
        )
        restore()


def _nothing() -> None:
    pass


def _keep_denormals(f: Function) -> Callable[[], None]:
    saved = f.emit(POINTER, "alloca i32")
    changed = f.emit(POINTER, "alloca i32")
    f.call("llvm.x86.sse.stmxcsr", VOID, saved)
    f.store(f.integer("and", f.load(saved, I32), KEEP_DENORMALS), changed)
    f.call("llvm.x86.sse.ldmxcsr", VOID, changed)

    def restore() -> None:
        f.call("llvm.x86.sse.ldmxcsr", VOID, saved)

    return restore


class _Axis:
    """The record of an axis, loaded."""

    def __init__(self, f: Function, grid: Value, first: int) -> None:
        def word(number: int) -> Value:
            return f.load(f.at(grid, first + number, I64), I64)

        self.extent = word(AXIS.extent)
        self.pitch = word(AXIS.pitch)
        self.stride = word(AXIS.stride)
        self.low = word(AXIS.low)
        self.phases = word(AXIS.phases)
        self.span = word(AXIS.span)
        self.smallest = word(AXIS.smallest)
        self.largest = word(AXIS.largest)
        self.period = word(AXIS.period)
        self.mirror = word(AXIS.mirror)


class _Emitter:
    """The parts of the kernel's body."""

    def __init__(self, kernel: PixelCorrelate, f: Function, grid: Value, scratch: Value) -> None:
        self.kernel = kernel
        self.f = f
        self.grid = grid
        self.scratch = scratch
        self.source = ELEMENTS[kernel.source]
        self.element = ELEMENTS[kernel.element]
        self.result = ELEMENTS[kernel.result]
        self.vector = Vector(self.element, kernel.lanes)
        self.rows = _Axis(f, grid, GRID.row_axis)
        self.columns = _Axis(f, grid, GRID.column_axis)
        self.inner = self.word(GRID.inner)
        self.is_constant = self.truth(GRID.constant)
        self.is_contiguous = self.truth(GRID.contiguous)

    def word(self, number: int, type_: Scalar = I64) -> Value:
        """Return a word of the grid."""
        return self.f.load(self.f.at(self.grid, number, I64), type_)

    def truth(self, number: int) -> Value:
        """Return a word of the grid as a condition."""
        return self.f.compare("ne", self.word(number), 0)

    def task(self, number: Value) -> None:
        """Compute one block of the output."""
        f = self.f
        number, column_block = self._divided(number, self.word(GRID.column_blocks))
        number, row_block = self._divided(number, self.word(GRID.row_blocks))
        item, outer = self._divided(number, self.word(GRID.outer))
        block_rows, block_columns = self.word(GRID.block_rows), self.word(GRID.block_columns)
        rows, columns = self.word(GRID.rows), self.word(GRID.columns)
        i0, j0 = f.mul(row_block, block_rows), f.mul(column_block, block_columns)
        row_count = f.value(f.minimum(block_rows, f.sub(rows, i0)))
        column_count = f.value(f.minimum(block_columns, f.sub(columns, j0)))
        record = f.at(self.word(GRID.items, POINTER), f.mul(item, 2), I64)
        x = f.at(self.word(GRID.source, POINTER), f.load(record, I64), self.source)
        weights = f.at(
            self.word(GRID.weights, POINTER), f.load(f.at(record, 1, I64), I64), self.element
        )
        self._pack(x, outer, (i0, row_count), (j0, column_count))
        width = f.value(f.mul(columns, self.inner))
        row = f.add(f.mul(number, rows), i0)
        start = f.add(f.mul(row, width), f.mul(j0, self.inner))
        output = f.at(self.word(GRID.output, POINTER), start, self.result)
        self._tiles(weights, output, width, row_count, f.value(f.mul(column_count, self.inner)))

    def _divided(self, number: Value, divisor: Value) -> tuple[Value, Value]:
        f = self.f
        quotient = f.integer("sdiv", number, divisor)
        return quotient, f.value(f.sub(number, f.mul(quotient, divisor)))

    # The input of a block -------------------------------------------------------------------

    def _pack(
        self, x: Value, outer: Value, rows: tuple[Index, Value], columns: tuple[Index, Value]
    ) -> None:
        """Copy the part of the input that a block needs to scratch memory."""
        f, axis = self.f, self.rows
        taps = self.word(GRID.outer_taps)
        planes = f.at(self.word(GRID.planes, POINTER), f.mul(outer, taps), I64)
        phase_rows = f.add(self.word(GRID.block_rows), axis.span)
        first, count = rows
        origin = f.sub(f.mul(first, axis.stride), axis.low)
        used = f.value(f.add(count, axis.span))

        def tap(t: Index, _: list[Value]) -> None:
            plane = f.load(f.at(planes, t, I64), I64)
            there = f.compare("ne", plane, NO_PLANE)
            base = f.mul(t, self.word(GRID.plane_rows))

            def phase(p: Index, _: list[Value]) -> None:
                def row(m: Index, _: list[Value]) -> None:
                    position = f.add(f.add(origin, p), f.mul(m, axis.stride))
                    mapped, inside = self._mapped(f.value(position), axis)
                    inside = f.integer("and", inside, there)
                    at = f.add(f.add(base, f.mul(p, phase_rows)), m)
                    target = f.at(self.scratch, f.mul(at, self.kernel.pitch), self.element)
                    with f.when(inside):
                        offset = f.add(plane, f.mul(mapped, axis.pitch))
                        self._pack_row(f.at(x, offset, self.source), target, columns)
                    with f.when(f.integer("xor", inside, Value(I1, "true"))):
                        self._fill_row(target, columns[1])

                f.loop(used, row)

            f.loop(axis.phases, phase)

        f.loop(taps, tap)

    def _mapped(self, position: Value, axis: _Axis) -> tuple[Value, Value]:
        """Return where in the input a position is found, and whether it is there at all."""
        f = self.f
        beyond = f.integer(
            "or", f.compare("slt", position, 0), f.compare("sge", position, axis.extent)
        )
        outside = f.integer("and", beyond, self.is_constant)
        clipped = f.select(f.compare("slt", position, axis.smallest), axis.smallest, position)
        clipped = f.value(f.minimum(clipped, axis.largest))
        rest = f.integer("srem", clipped, axis.period)
        rest = f.select(f.compare("slt", rest, 0), f.value(f.add(rest, axis.period)), rest)
        mirrored = f.value(f.sub(axis.mirror, rest))
        mapped = f.select(f.compare("sge", rest, axis.extent), mirrored, rest)
        return mapped, f.integer("xor", outside, Value(I1, "true"))

    def _fill_row(self, target: Value, count: Value) -> None:
        """Fill a row of scratch memory, all phases of it."""
        f = self.f
        fill = f.load(self.word(GRID.fill, POINTER), self.vector)
        phase_columns = f.add(self.word(GRID.block_columns), self.columns.span)
        used = f.mul(f.add(count, self.columns.span), self.inner)

        def phase(p: Index, _: list[Value]) -> None:
            start = f.mul(f.mul(p, phase_columns), self.inner)
            f.loop(
                used,
                lambda e, _: f.store(fill, f.at(target, f.add(start, e), self.element)),
                step=self.kernel.lanes,
            )

        f.loop(self.columns.phases, phase)

    def _pack_row(self, x: Value, target: Value, columns: tuple[Index, Value]) -> None:
        """Copy the columns that a block needs, phase by phase."""
        f, axis = self.f, self.columns
        first, count = columns
        phase_columns = f.value(f.add(self.word(GRID.block_columns), axis.span))
        used = f.value(f.add(count, axis.span))
        origin = f.value(f.sub(f.mul(first, axis.stride), axis.low))

        def phase(p: Index, _: list[Value]) -> None:
            position = f.value(f.add(origin, p))
            to = f.at(target, f.mul(f.mul(p, phase_columns), self.inner), self.element)
            # Columns of the phase whose position lies in the input: begin <= m < end.
            begin = self._clipped(self._ceiling(f.sub(0, position), axis.stride), used)
            end = self._clipped(self._ceiling(f.sub(axis.extent, position), axis.stride), used)
            end = f.select(f.compare("slt", end, begin), begin, end)
            self._pack_border(x, to, position, f.value(0), begin)
            source = f.at(
                x, f.mul(f.add(position, f.mul(begin, axis.stride)), axis.pitch), self.source
            )
            inside = f.at(to, f.mul(begin, self.inner), self.element)
            length = f.value(f.sub(end, begin))
            with f.when(self.is_contiguous):
                self._copy(source, inside, f.value(f.mul(length, self.inner)))
            with f.when(f.integer("xor", self.is_contiguous, Value(I1, "true"))):
                self._copy_strided(source, inside, length)
            self._pack_border(x, to, position, end, used)

        f.loop(axis.phases, phase)

    def _ceiling(self, a: Index, b: Value) -> Value:
        """Return a / b rounded up, for b > 0; of a negative a something not above 0."""
        f = self.f
        return f.integer("sdiv", f.add(a, f.sub(b, 1)), b)

    def _clipped(self, a: Value, largest: Value) -> Value:
        f = self.f
        positive = f.select(f.compare("slt", a, 0), f.value(0), a)
        return f.value(f.minimum(positive, largest))

    def _pack_border(self, x: Value, to: Value, position: Value, begin: Value, end: Value) -> None:
        """Copy columns that are (or may be) outside the input."""
        f, axis = self.f, self.columns
        fill = self.word(GRID.fill, POINTER)

        def column(m: Index, _: list[Value]) -> None:
            here = f.value(f.add(position, f.mul(m, axis.stride)))
            mapped, inside = self._mapped(here, axis)
            source = f.at(x, f.mul(mapped, axis.pitch), self.source)
            target = f.at(to, f.mul(m, self.inner), self.element)

            def one(c: Index, _: list[Value]) -> None:
                loaded = self._converted(f.load(f.at(source, c, self.source), self.source))
                f.store(loaded, f.at(target, c, self.element))

            def other(c: Index, _: list[Value]) -> None:
                parity = f.integer("and", c, 1) if isinstance(c, Value) else c & 1
                value = f.load(f.at(fill, parity, self.element), self.element)
                f.store(value, f.at(target, c, self.element))

            with f.when(inside):
                f.loop(self.inner, one)
            with f.when(f.integer("xor", inside, Value(I1, "true"))):
                f.loop(self.inner, other)

        f.loop(end, column, start=begin)

    def _copy(self, source: Value, target: Value, length: Value) -> None:
        """Copy elements that follow each other; the last vector overlaps the one before."""
        f, lanes = self.f, self.kernel.lanes
        wide = Vector(self.source, lanes)

        def vector(e: Index, _: list[Value]) -> None:
            at = f.minimum(e, f.sub(length, lanes))
            loaded = self._converted(f.load(f.at(source, at, self.source), wide))
            f.store(loaded, f.at(target, at, self.element))

        def one(e: Index, _: list[Value]) -> None:
            loaded = self._converted(f.load(f.at(source, e, self.source), self.source))
            f.store(loaded, f.at(target, e, self.element))

        with f.when(f.compare("sge", length, lanes)):
            f.loop(length, vector, step=lanes)
        with f.when(f.compare("slt", length, lanes)):
            f.loop(length, one)

    def _copy_strided(self, source: Value, target: Value, length: Value) -> None:
        f, axis = self.f, self.columns
        step = f.mul(axis.stride, axis.pitch)

        def column(m: Index, _: list[Value]) -> None:
            here = f.at(source, f.mul(m, step), self.source)
            there = f.at(target, f.mul(m, self.inner), self.element)

            def one(c: Index, _: list[Value]) -> None:
                loaded = self._converted(f.load(f.at(here, c, self.source), self.source))
                f.store(loaded, f.at(there, c, self.element))

            f.loop(self.inner, one)

        f.loop(length, column)

    def _converted(self, value: Value) -> Value:
        """Convert what was loaded to the compute type."""
        return convert(
            self.f, value, self.element, signed=not self.kernel.source.startswith(("u", "b"))
        )

    # Tiles ----------------------------------------------------------------------------------

    def _tiles(
        self, weights: Value, output: Value, width: Value, rows: Value, columns: Value
    ) -> None:
        f, kernel = self.f, self.kernel
        across = kernel.lanes * (kernel.rows if kernel.flat else kernel.vectors)
        down = 1 if kernel.flat else kernel.rows

        def tile_row(i: Index, _: list[Value]) -> None:
            def tile_column(j: Index, _: list[Value]) -> None:
                start = f.add(f.mul(i, kernel.pitch), j)
                sums = self._tile(weights, f.at(self.scratch, start, self.element))
                at = f.at(output, f.add(f.mul(i, width), j), self.result)
                self._store(sums, at, width, f.sub(rows, i), f.sub(columns, j))

            f.loop(columns, tile_column, step=across)

        f.loop(rows, tile_row, step=down)

    def _tile(self, weights: Value, x: Value) -> list[Value]:
        """Return the accumulators [row][vector] of a tile."""
        f, kernel = self.f, self.kernel
        zero = constant(self.vector, 0)
        sums = [zero] * (kernel.rows * kernel.vectors)
        pairs = self.word(GRID.pairs, POINTER)
        taps = self.word(GRID.columns_of_taps, POINTER)
        state = [*sums, f.value(0), f.value(0)]  # sums, number of the weight, number of the pair
        for section, unroll in enumerate(kernel.unrolls):
            first = GRID.sections + section * SECTION.words
            pair_count = self.word(first + SECTION.pairs)
            tap_count = self.word(first + SECTION.taps)

            def pair(
                _: Index, carried: list[Value], unroll: int = unroll, tap_count: Value = tap_count
            ) -> list[Value]:
                *sums, weight, number = carried
                row = f.at(x, f.load(f.at(pairs, number, I64), I64), self.element)

                def tap(s: Index, inside: list[Value]) -> list[Value]:
                    *sums, weight = inside
                    column = f.at(row, f.load(f.at(taps, s, I64), I64), self.element)
                    sums = self._outer_product(
                        sums, column, f.at(weights, weight, self.element), unroll
                    )
                    return [*sums, f.value(f.add(weight, unroll))]

                after = f.loop(tap_count, tap, [*sums, weight])
                return [*after, f.value(f.add(number, 1))]

            state = f.loop(pair_count, pair, state)
        return state[:-2]

    def _outer_product(
        self, sums: list[Value], x: Value, weights: Value, unroll: int
    ) -> list[Value]:
        """Add ``unroll`` tap rows to all accumulators; neighbours share the loaded rows."""
        f, kernel = self.f, self.kernel
        pitch = kernel.lanes if kernel.flat else kernel.pitch
        vectors = kernel.vectors
        sums = list(sums)
        loaded: dict[int, list[Value]] = {}

        def row(number: int) -> list[Value]:
            if number not in loaded:
                loaded[number] = [
                    f.load(f.at(x, number * pitch + v * kernel.lanes, self.element), self.vector)
                    for v in range(vectors)
                ]
            return loaded[number]

        for r in range(unroll):
            weight = f.broadcast(f.at(weights, r, self.element), self.vector)
            for i in range(kernel.rows):
                for v in range(vectors):
                    k = i * vectors + v
                    sums[k] = self._multiply_add(weight, row(i + r)[v], sums[k])
        return sums

    def _multiply_add(self, a: Value, b: Value, c: Value) -> Value:
        f = self.f
        if self.element.is_float:
            return f.fma(a, b, c)
        return f.value(f.add(f.mul(a, b), c))

    def _store(
        self, sums: list[Value], output: Value, width: Value, rows: Index, columns: Index
    ) -> None:
        """Store the part of a tile that lies in the output."""
        f, kernel = self.f, self.kernel
        for i in range(kernel.rows):
            for v in range(kernel.vectors):
                begin = (i if kernel.flat else v) * kernel.lanes
                at = begin if kernel.flat else f.add(f.mul(width, i), begin)
                value = self._narrowed(sums[i * kernel.vectors + v])
                left = f.value(f.sub(columns, begin))
                if kernel.flat or i == 0:
                    self._store_vector(value, f.at(output, at, self.result), left)
                    continue
                with f.when(f.compare("sgt", rows, i)):
                    self._store_vector(value, f.at(output, at, self.result), left)

    def _narrowed(self, value: Value) -> Value:
        return convert(self.f, value, self.result, signed=True)

    def _store_vector(self, value: Value, pointer: Value, left: Value) -> None:
        """Store a vector, or its first lanes where fewer are left."""
        f, lanes = self.f, self.kernel.lanes
        whole = f.compare("sge", left, lanes)
        with f.when(whole):
            f.store(value, pointer)
        some = f.integer(
            "and", f.compare("sgt", left, 0), f.integer("xor", whole, Value(I1, "true"))
        )
        with f.when(some):
            numbers = f.lane_numbers(I32, lanes)
            limit = f.splat(f.convert("trunc", left, I32), lanes)
            mask = f.compare("slt", numbers, limit)
            name = f"llvm.masked.store.{value.type.suffix}.p0"
            align = constant(I32, self.result.size)
            f.call(name, VOID, value, pointer, align, mask)


def convert(f: Function, value: Value, to: Scalar, *, signed: bool) -> Value:
    """Convert a scalar or vector to another element type, as NumPy's ``astype`` does."""
    lanes = value.type.lanes if isinstance(value.type, Vector) else 0
    element = value.type.element if isinstance(value.type, Vector) else value.type
    if element == to:
        return value
    target = Vector(to, lanes) if lanes else to
    if to.is_float:
        if element.is_float:
            return f.convert("fpext" if to.size > element.size else "fptrunc", value, target)
        return f.convert("sitofp" if signed else "uitofp", value, target)
    if to.size < element.size:
        return f.convert("trunc", value, target)
    return f.convert("sext" if signed else "zext", value, target)
