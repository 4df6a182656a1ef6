"""Correlation of arrays with one kernel each: lanes along contiguous positions.

    y[i, j] = sum over t, r, s of  w[t, r, s] x[t][i stride + r dilation - low][...same for j, s]

A task is a block of rows and columns of the output. Its part of the input is first copied to
scratch memory of the thread: converted to the compute type, extended at the boundaries, positions
that a stride leaves between neighbours moved out of the way. So the input is never padded as a
whole, and tiles have neither bounds checks nor gathers. Pieces of a signal that need none of it are
read where they lie.

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
    I1,
    I64,
    POINTER,
    Index,
    Value,
    constant,
)
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.denormals import keep_denormals
from convoi.kernels.pixel_pack import Packer, convert
from convoi.kernels.pixel_store import store_some
from convoi.kernels.pixel_tables import GRID, SECTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function


LINE = 64
"""Bytes of a cache line."""
ALIGNED_TILES = 4
"""Tiles of a signal beyond which their stores are aligned."""


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
        restore = keep_denormals(f, x86=self.x86)
        grid, scratch = pointers
        emitter = _Emitter(self, f, grid, scratch)
        f.loop(
            f.add(call.first, call.count),
            lambda task, _: emitter.task(f.value(task)),
            start=call.first,
        )
        restore()


class _Emitter(Packer):
    """The parts of the kernel's body."""

    kernel: PixelCorrelate

    @property
    def pitch(self) -> Index:
        return self.kernel.pitch

    def task(self, number: Value) -> None:
        """Compute one block of the output."""
        f = self.f
        number, column_block = self.divided(number, self.word(GRID.column_blocks))
        number, row_block = self.divided(number, self.word(GRID.row_blocks))
        item, outer = self.divided(number, self.word(GRID.outer))
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
        read = self._input(x, outer, (i0, row_count), (j0, column_count))
        width = f.value(f.mul(columns, self.inner))
        row = f.add(f.mul(number, rows), i0)
        start = f.add(f.mul(row, width), f.mul(j0, self.inner))
        output = f.at(self.word(GRID.output, POINTER), start, self.result)
        extent = (row_count, f.value(f.mul(column_count, self.inner)))
        self._tiles(weights, read, output, width, extent)

    def _input(
        self, x: Value, outer: Value, rows: tuple[Index, Value], columns: tuple[Index, Value]
    ) -> Value:
        """Return where tiles find the input of a block: in scratch memory, once it is copied.

        A piece of a signal that needs neither conversion nor anything beyond the ends is read
        where it lies.
        """
        f, kernel = self.f, self.kernel
        if not (kernel.flat and kernel.source == kernel.element):
            self.pack(x, outer, rows, columns)
            return self.scratch
        first, count = columns
        start = f.value(f.sub(first, self.columns.low))
        # The last tile may go on beyond the block.
        beyond = (kernel.rows + max(kernel.unrolls) + 1) * kernel.lanes
        end = f.add(f.add(start, count), self.columns.span)
        end = f.value(f.add(f.mul(end, self.inner), beyond))
        inside = f.integer(
            "and",
            f.compare("sge", start, 0),
            f.compare("sle", end, f.mul(self.columns.extent, self.inner)),
        )
        inside = f.integer("and", inside, self.is_contiguous)
        with f.when(f.integer("xor", inside, Value(I1, "true"))):
            self.pack(x, outer, rows, columns)
        there = f.at(x, f.mul(start, self.inner), self.source)
        return f.select(inside, there, self.scratch)

    # Tiles ----------------------------------------------------------------------------------

    def _tiles(
        self,
        weights: Value,
        read: Value,
        output: Value,
        width: Value,
        extent: tuple[Value, Value],
    ) -> None:
        """Compute the rows and columns of a block."""
        f, kernel = self.f, self.kernel
        rows, columns = extent
        across = kernel.lanes * (kernel.rows if kernel.flat else kernel.vectors)
        down = 1 if kernel.flat else kernel.rows

        def tile_row(i: Index, _: list[Value]) -> None:
            def tile_column(j: Index, _: list[Value]) -> None:
                start = f.add(f.mul(i, kernel.pitch), j)
                sums = self._tile(weights, f.at(read, start, self.element))
                at = f.at(output, f.add(f.mul(i, width), j), self.result)
                self._store(sums, at, width, f.sub(rows, i), f.sub(columns, j))

            begin = f.value(0)
            if kernel.flat and across * self.result.size >= LINE:
                # A store that crosses cache lines costs two. The outputs before the first whole
                # line have a tile of their own, which the next one overlaps.
                address = f.convert("ptrtoint", output, I64)
                rest = f.integer("and", f.sub(0, address), LINE - 1)
                begin = f.integer("sdiv", rest, self.result.size)
                worth = f.compare("sge", columns, ALIGNED_TILES * across)
                begin = f.select(worth, begin, f.value(0))
                with f.when(f.compare("ne", begin, 0)):
                    tile_column(0, [])
            f.loop(columns, tile_column, start=begin, step=across)

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
        taps = [f.broadcast(f.at(weights, r, self.element), self.vector) for r in range(unroll)]
        # Row by row of the input: each is loaded once and used up, so that the registers hold
        # nothing but sums and weights. An output still sums its taps from the first to the last.
        for row in range(kernel.rows + unroll - 1):
            loaded = [
                f.load(f.at(x, row * pitch + v * kernel.lanes, self.element), self.vector)
                for v in range(vectors)
            ]
            for r in range(max(0, row - kernel.rows + 1), min(unroll, row + 1)):
                for v in range(vectors):
                    k = (row - r) * vectors + v
                    sums[k] = self._multiply_add(taps[r], loaded[v], sums[k])
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
        across = kernel.lanes * (kernel.rows if kernel.flat else kernel.vectors)
        whole = f.compare("sge", columns, across)
        if not kernel.flat:
            whole = f.integer("and", whole, f.compare("sge", rows, kernel.rows))
        narrowed = [self._narrowed(value) for value in sums]
        places = [
            (i, v, (i if kernel.flat else v) * kernel.lanes)
            for i in range(kernel.rows)
            for v in range(kernel.vectors)
        ]

        def pointer(i: int, begin: int) -> Value:
            at = begin if kernel.flat else f.add(f.mul(width, i), begin)
            return f.at(output, at, self.result)

        with f.when(whole):
            for (i, _, begin), value in zip(places, narrowed, strict=True):
                f.store(value, pointer(i, begin))
        with f.when(f.integer("xor", whole, Value(I1, "true"))):
            for (i, _, begin), value in zip(places, narrowed, strict=True):
                left = f.value(f.sub(columns, begin))
                if kernel.flat or i == 0:
                    store_some(f, value, pointer(i, begin), left)
                    continue
                with f.when(f.compare("sgt", rows, i)):
                    store_some(f, value, pointer(i, begin), left)

    def _narrowed(self, value: Value) -> Value:
        return convert(self.f, value, self.result, signed=True)
