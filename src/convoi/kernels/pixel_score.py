"""Normalised scores of template matching: sums over windows, and the quotient, block by block.

    y = found / sqrt((S2 - S1^2 / n) own)

where S1 and S2 are the sums of a window's n elements, less a level, and of their squares, `found`
is their product with the template and `own` the template's sum of squares. Without `centred`
S1 is left out. A window whose elements do not vary has the score 0.

A sum of k elements takes about log2(k) additions: sums of two neighbours, of two of those, and so
on, of which those are added up that the binary digits of k call for; first down the columns, then
along the rows. Nothing is ever subtracted, so a bright spot leaves no rounding errors behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import F64, I32, I64, POINTER, Value, Vector, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.pixel_pack import ELEMENTS, Packer, convert
from convoi.kernels.pixel_store import store_some
from convoi.kernels.pixel_tables import GRID, SCORE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index


STRIP = 2
"""Vectors side by side that are summed down the columns at once."""


@dataclass(frozen=True)
class PixelScore(Kernel):
    """Compute the scores of the blocks ``first`` to ``first + count`` of a grid."""

    source: str
    """dtype of the input in memory."""
    products: str
    """dtype of the products with the template: float32 or float64."""
    lanes: int
    centred: bool

    arguments: ClassVar[tuple[str, ...]] = ("grid", "scratch")
    element: ClassVar[str] = "float64"
    result: ClassVar[str] = "float64"

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        emitter = _Emitter(self, f, *pointers)
        f.loop(
            f.add(call.first, call.count),
            lambda block, _: emitter.block(f.value(block)),
            start=call.first,
        )


class _Emitter(Packer):
    """The parts of the kernel's body."""

    kernel: PixelScore

    def __init__(self, kernel: PixelScore, f: Function, grid: Value, scratch: Value) -> None:
        super().__init__(kernel, f, grid, scratch)
        self._pitch = self.word(SCORE.pitch)
        plane = self.word(SCORE.plane)
        self.planes = [f.at(scratch, f.mul(plane, n), F64) for n in range(4)]
        numbers = self.word(SCORE.numbers, POINTER)
        self.level, self.share, self.own, self.flat = (
            f.broadcast(f.at(numbers, n, F64), self.vector) for n in range(4)
        )
        self.least = f.at(numbers, 4, F64)

    @property
    def pitch(self) -> Index:
        """Elements from one row of a plane to the next."""
        return self._pitch

    def block(self, number: Value) -> None:
        """Compute one block of the output."""
        f = self.f
        task = number
        number, column_block = self.divided(number, self.word(GRID.column_blocks))
        item, row_block = self.divided(number, self.word(GRID.row_blocks))
        block_rows, block_columns = self.word(GRID.block_rows), self.word(GRID.block_columns)
        i, j = f.value(f.mul(row_block, block_rows)), f.value(f.mul(column_block, block_columns))
        rows = f.value(f.minimum(block_rows, f.sub(self.word(GRID.rows), i)))
        columns = f.value(f.minimum(block_columns, f.sub(self.word(GRID.columns), j)))
        record = f.at(self.word(GRID.items, POINTER), f.mul(item, 2), I64)
        x = f.at(self.word(GRID.source, POINTER), f.load(record, I64), self.source)
        self.scratch = self.planes[0]
        self.pack(x, f.value(0), (i, rows), (j, columns))
        height, width = f.add(rows, self.rows.span), f.add(columns, self.columns.span)
        self._square(height, width)
        strip = STRIP * self.kernel.lanes
        # All digits of a narrow strip, or of a row, one after the other: it stays in the cache.
        f.loop(
            width,
            lambda c, _: self._window_sums(0, 2, c, (rows, strip), down=True),
            step=strip,
        )
        f.loop(
            rows,
            lambda r, _: self._window_sums(2, 0, f.mul(r, self._pitch), (1, columns), down=False),
        )
        line = f.add(f.mul(item, self.word(GRID.rows)), i)
        start = f.value(f.add(f.mul(line, self.word(GRID.columns)), j))
        self._scores(start, rows, columns, task)

    def _each(
        self, plane: Value, rows: Index, width: Index, change: Callable[[Value], None]
    ) -> None:
        """Run ``change(pointer)`` for each vector of the first columns of the first rows."""
        f = self.f

        def row(r: Index, _: list[Value]) -> None:
            start = f.at(plane, f.mul(r, self._pitch), F64)
            f.loop(width, lambda c, _: change(f.at(start, c, F64)), step=self.kernel.lanes)

        f.loop(rows, row)

    def _square(self, height: Index, width: Index) -> None:
        """Take the level off the packed elements, and put their squares into the second plane."""
        f = self.f
        plane = self.word(SCORE.plane)

        def change(at: Value) -> None:
            value = f.fsub(f.load(at, self.vector), self.level)
            f.store(value, at)
            f.store(f.fmul(value, value), f.at(at, plane, F64))

        self._each(self.planes[0], height, width, change)

    def _window_sums(
        self, source: int, target: int, offset: Index, extents: tuple[Index, Index], *, down: bool
    ) -> None:
        """Put the sums of windows of two planes into the other two; the planes are used up.

        After as many doublings as there were binary digits, position r of the plane has the sum of
        ``size`` elements from there on.
        """
        f = self.f
        rows, width = extents
        unit: Index = self._pitch if down else 1
        axis = "down" if down else "along"
        taps = self.word(getattr(SCORE, f"taps_{axis}"))
        plane = self.word(SCORE.plane)
        gap = f.value(f.mul(plane, target - source))

        def plus(at: Value, by: Value) -> Value:
            return f.fadd(f.load(at, self.vector), f.load(by, self.vector))

        starts = [f.at(self.planes[source + n], offset, F64) for n in (0, 1)]
        zero = Value(self.vector, "zeroinitializer")
        for start in starts:
            self._each(f.at(start, gap, F64), rows, width, lambda at: f.store(zero, at))

        def digit(_: Index, carried: list[Value]) -> list[Value]:
            size, done = carried
            bit = f.integer("and", taps, size)
            shift, step = f.value(f.mul(done, unit)), f.value(f.mul(size, unit))

            def add(at: Value) -> None:
                into = f.at(at, gap, F64)
                f.store(plus(into, f.at(at, shift, F64)), into)

            with f.when(f.compare("ne", bit, 0)):
                for start in starts:
                    self._each(start, rows, width, add)
            doubled = f.value(f.mul(size, 2))
            extra = f.sub(taps, doubled)
            with f.when(f.compare("sle", doubled, taps)):
                for start in starts:
                    self._each(
                        start,
                        f.add(rows, extra) if down else rows,
                        width if down else f.add(width, extra),
                        lambda at: f.store(plus(at, f.at(at, step, F64)), at),
                    )
            return [doubled, f.value(f.add(done, bit))]

        digits = self.word(getattr(SCORE, f"digits_{axis}"))
        f.loop(digits, digit, [f.value(1), f.value(0)])

    def _scores(self, start: Value, rows: Index, columns: Index, task: Value) -> None:
        f, lanes = self.f, self.kernel.lanes
        products = ELEMENTS[self.kernel.products]
        found = f.at(self.word(GRID.weights, POINTER), start, products)
        output = f.at(self.word(GRID.output, POINTER), start, F64)
        width = self.word(GRID.columns)
        one, minus = (constant(self.vector, n) for n in (1.0, -1.0))
        zero = Value(self.vector, "zeroinitializer")
        infinity = constant(self.vector, float("inf"))

        def row(r: Index, carried: list[Value]) -> list[Value]:
            line, out = f.mul(r, self._pitch), f.mul(r, width)

            def vector(c: Index, inside: list[Value]) -> list[Value]:
                at = f.add(line, c)
                sums = f.load(f.at(self.planes[0], at, F64), self.vector)
                squares = f.load(f.at(self.planes[1], at, F64), self.vector)
                varying = squares
                if self.kernel.centred:
                    mean = f.fmul(f.fmul(sums, sums), self.share)
                    varying = f.fsub(squares, mean)
                flat = f.fcompare("ole", varying, f.fmul(squares, self.flat))
                place = f.add(out, c)
                left = f.value(f.sub(columns, c))
                value = self._loaded(f.at(found, place, products), left)
                root = f.intrinsic("sqrt", f.fmul(varying, self.own))
                score = f.fdiv(value, root)
                score = f.select(f.fcompare("ogt", score, one), one, score)
                score = f.select(f.fcompare("olt", score, minus), minus, score)
                score = f.select(flat, zero, score)
                store_some(f, score, f.at(output, place, F64), left)
                lane = f.lane_numbers(I64, lanes)
                there = f.compare("slt", lane, f.splat(left, lanes))
                counted = f.select(flat, infinity, varying)
                counted = f.select(there, counted, infinity)
                smaller = f.fcompare("olt", counted, inside[0])
                return [f.select(smaller, counted, inside[0])]

            return f.loop(columns, vector, carried, step=lanes)

        least = f.loop(rows, row, [infinity])[0]
        f.store(least, f.at(self.least, f.mul(task, lanes), F64))

    def _loaded(self, pointer: Value, left: Value) -> Value:
        """Load products as float64; lanes beyond the output are 0."""
        f, lanes = self.f, self.kernel.lanes
        narrow = Vector(ELEMENTS[self.kernel.products], lanes)
        mask = f.compare("slt", f.lane_numbers(I64, lanes), f.splat(left, lanes))
        name = f"llvm.masked.load.{narrow.suffix}.p0"
        align = constant(I32, narrow.element.size)
        zero = Value(narrow, "zeroinitializer")
        return convert(f, f.call(name, narrow, pointer, align, mask, zero), F64, signed=True)
