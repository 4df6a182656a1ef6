"""Correlation of arrays with one long kernel: transforms of blocks, vector by vector.

    y = F^-1( F(x) conj(F(w)) )

A block is a matrix of ``T1 x T2`` positions. Its transform goes down the columns, a vector of them
at a time, and then along the rows, as many at a time as a vector has lanes, which are transposed
on the way. Everything is arithmetic on whole vectors, and a strip of columns or of rows stays in
the first-level cache from its first pass to its last. Frequencies are left in the order in which
the passes leave them, because the spectrum of the kernel has the same.

The kernel is real, so two blocks go through one complex transform, as its real and its imaginary
part. Of a picture a block is a tile. Of a signal it is ``T1 T2`` samples, row by row: the same
steps give its transform if the elements are turned by ``exp(-2 pi i k1 n2 / (T1 T2))`` between
columns and rows. D. H. Bailey, "FFTs in external or hierarchical memory", J. Supercomputing 4,
1990. Passes are decimated in frequency forward and in time backward: C. Van Loan,
*Computational Frameworks for the Fast Fourier Transform*, 1992, chapters 1 and 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import I1, I64, POINTER, Value
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.pixel_pack import Packer
from convoi.kernels.pixel_passes import multiplied, run_passes
from convoi.kernels.pixel_store import store_some
from convoi.kernels.pixel_tables import GRID, TRANSFORM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index
    from convoi.kernels.pixel_passes import Complex


@dataclass(frozen=True)
class PixelTransform(Kernel):
    """Correlate pairs of blocks, the numbers ``first`` to ``first + count`` of a grid.

    With `spectrum` the only block is the kernel, and its spectrum is the output.
    """

    source: str
    """dtype of the input in memory."""
    element: str
    """dtype that is computed in: float32 or float64."""
    lanes: int
    signal: bool
    """Whether a block is a piece of a signal: elements are turned between columns and rows."""
    spectrum: bool

    arguments: ClassVar[tuple[str, ...]] = ("grid", "scratch")

    @property
    def result(self) -> str:
        """The dtype of the output in memory."""
        return self.element

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        emitter = _Emitter(self, f, *pointers)
        f.loop(
            f.add(call.first, call.count),
            lambda pair, _: emitter.pair(f.value(pair)),
            start=call.first,
        )


class _Planes:
    """The real and the imaginary part of a matrix: two pointers and elements between rows."""

    def __init__(self, re: Value, im: Value, pitch: Index) -> None:
        self.re, self.im, self.pitch = re, im, pitch


class _Emitter(Packer):
    """The parts of the kernel's body."""

    kernel: PixelTransform

    def __init__(self, kernel: PixelTransform, f: Function, grid: Value, scratch: Value) -> None:
        super().__init__(kernel, f, grid, scratch)
        self.height = self.word(TRANSFORM.height)
        self.width = self.word(TRANSFORM.width)

        def part(number: int) -> Value:
            return f.at(scratch, self.word(number), self.element)

        self.input = _Planes(
            part(TRANSFORM.input_re), part(TRANSFORM.input_im), self.word(TRANSFORM.input_pitch)
        )
        self.work = _Planes(
            part(TRANSFORM.work_re), part(TRANSFORM.work_im), self.word(TRANSFORM.work_pitch)
        )
        self.lines = _Planes(part(TRANSFORM.lines_re), part(TRANSFORM.lines_im), kernel.lanes)
        self.column_passes = self.word(TRANSFORM.column_passes, POINTER)
        self.row_passes = self.word(TRANSFORM.row_passes, POINTER)

    @property
    def pitch(self) -> Index:
        """Elements from one packed row to the next."""
        return self.input.pitch

    def pair(self, number: Value) -> None:
        """Compute two blocks of the output."""
        f = self.f
        first = f.value(f.mul(number, 2))
        self._pack_block(first, self.input.re)
        self._pack_block(f.value(f.add(first, 1)), self.input.im)
        f.loop(self.width, self._column_forward, step=self.kernel.lanes)
        f.loop(self.height, self._rows, step=self.kernel.lanes)
        if self.kernel.spectrum:
            return
        f.loop(self.width, self._column_backward, step=self.kernel.lanes)
        self._write_block(first, self.work.re)
        self._write_block(f.value(f.add(first, 1)), self.work.im)

    # Blocks ---------------------------------------------------------------------------------

    def _place(self, number: Value) -> tuple[Value, Value, Value, Value, Value]:
        """Return item, first row and column, and rows and columns of a block."""
        f = self.f
        number, column_block = self.divided(number, self.word(GRID.column_blocks))
        item, row_block = self.divided(number, self.word(GRID.row_blocks))
        block_rows, block_columns = self.word(GRID.block_rows), self.word(GRID.block_columns)
        i, j = f.value(f.mul(row_block, block_rows)), f.value(f.mul(column_block, block_columns))
        rows = f.value(f.minimum(block_rows, f.sub(self.word(GRID.rows), i)))
        columns = f.value(f.minimum(block_columns, f.sub(self.word(GRID.columns), j)))
        return item, i, j, rows, columns

    def _pack_block(self, number: Value, plane: Value) -> None:
        """Copy a block's input to a plane; what lies beyond it in the plane is 0."""
        f = self.f
        exists = f.compare("slt", number, self.word(TRANSFORM.blocks))
        item, i, j, rows, columns = self._place(number)
        whole = f.integer(
            "and",
            f.compare("eq", rows, self.word(TRANSFORM.whole_rows)),
            f.compare("eq", columns, self.word(TRANSFORM.whole_columns)),
        )
        whole = f.integer("and", whole, exists)
        with f.when(f.integer("xor", whole, Value(I1, "true"))):
            zero = self._splat_zero()
            f.loop(
                f.mul(self.height, self.input.pitch),
                lambda e, _: f.store(zero, f.at(plane, e, self.element)),
                step=self.kernel.lanes,
            )
        with f.when(exists):
            record = f.at(self.word(GRID.items, POINTER), f.mul(item, 2), I64)
            x = f.at(self.word(GRID.source, POINTER), f.load(record, I64), self.source)
            self.scratch = plane
            self.pack(x, f.value(0), (i, rows), (j, columns))

    def _splat_zero(self) -> Value:
        return Value(self.vector, "zeroinitializer")

    def _write_block(self, number: Value, plane: Value) -> None:
        """Copy the part of a plane that lies in the output."""
        f, lanes = self.f, self.kernel.lanes
        with f.when(f.compare("slt", number, self.word(TRANSFORM.blocks))):
            item, i, j, rows, columns = self._place(number)
            width = self.word(GRID.columns)
            row = f.add(f.mul(item, self.word(GRID.rows)), i)
            output = f.at(
                self.word(GRID.output, POINTER), f.add(f.mul(row, width), j), self.element
            )
            pitch = self.width if self.kernel.signal else width
            if self.kernel.signal:
                rows = f.integer("sdiv", f.add(columns, f.sub(self.width, 1)), self.width)

            def line(r: Index, _: list[Value]) -> None:
                begin = f.value(f.mul(r, self.width)) if self.kernel.signal else f.value(0)
                left_of_row = f.value(f.minimum(self.width, f.sub(columns, begin)))

                def vector(c: Index, _: list[Value]) -> None:
                    at = f.at(plane, f.add(f.mul(r, self.work.pitch), c), self.element)
                    to = f.at(output, f.add(f.mul(r, pitch), c), self.element)
                    left = f.value(f.sub(left_of_row, c))
                    store_some(f, f.load(at, self.vector), to, left)

                f.loop(left_of_row, vector, step=lanes)

            f.loop(rows, line)

    # Columns --------------------------------------------------------------------------------

    def _column_forward(self, c: Index, _: list[Value]) -> None:
        self._passes(self.input, self.work, c, self.column_passes, backward=False)

    def _column_backward(self, c: Index, _: list[Value]) -> None:
        self._passes(self.work, self.work, c, self.column_passes, backward=True)

    def _passes(
        self, source: _Planes, target: _Planes, c: Index, passes: Value, *, backward: bool
    ) -> None:
        f, element = self.f, self.element
        run_passes(
            f,
            (f.at(source.re, c, element), f.at(source.im, c, element), f.value(source.pitch)),
            (f.at(target.re, c, element), f.at(target.im, c, element), f.value(target.pitch)),
            passes,
            self.vector,
            backward=backward,
        )

    # Rows -----------------------------------------------------------------------------------

    def _rows(self, r: Index, _: list[Value]) -> None:
        """Transform a group of rows, multiply by the spectrum, and transform back."""
        f, kernel = self.f, self.kernel
        work, lines = self.work, self.lines
        start = f.value(f.mul(r, work.pitch))
        both = f.value(f.mul(f.mul(r, self.width), 2))  # of tables: two numbers per position
        turns = f.at(self.word(TRANSFORM.turns, POINTER), both, self.element)
        spectrum = f.at(self.word(TRANSFORM.spectrum, POINTER), both, self.element)
        for plane, to in ((work.re, lines.re), (work.im, lines.im)):
            self._transposed(f.at(plane, start, self.element), work.pitch, to, lines.pitch)
        if kernel.signal:
            self._each(turns, lambda z, w: multiplied(f, z, w))
        self._passes(lines, lines, 0, self.row_passes, backward=False)
        if kernel.spectrum:
            self._keep_spectrum(spectrum)
            return
        self._each(spectrum, lambda z, w: multiplied(f, z, w))
        self._passes(lines, lines, 0, self.row_passes, backward=True)
        if kernel.signal:
            self._each(turns, lambda z, w: multiplied(f, z, w, conjugate=True))
        for plane, of in ((work.re, lines.re), (work.im, lines.im)):
            self._transposed_back(of, f.at(plane, start, self.element))

    def _each(self, table: Value, change: Callable[[Complex, Complex], Complex]) -> None:
        """Change each vector of the lines by one of a table."""
        f, lanes = self.f, self.kernel.lanes

        def position(p: Index, _: list[Value]) -> None:
            at = f.value(f.mul(p, lanes))
            re, im = f.at(self.lines.re, at, self.element), f.at(self.lines.im, at, self.element)
            entry = f.at(table, f.mul(at, 2), self.element)
            w = (f.load(entry, self.vector), f.load(f.at(entry, lanes, self.element), self.vector))
            z = change((f.load(re, self.vector), f.load(im, self.vector)), w)
            f.store(z[0], re)
            f.store(z[1], im)

        f.loop(self.width, position)

    def _keep_spectrum(self, table: Value) -> None:
        """Write the conjugate of the lines, divided by the number of positions."""
        f, lanes = self.f, self.kernel.lanes
        scale = f.broadcast(self.word(TRANSFORM.scale, POINTER), self.vector)

        def position(p: Index, _: list[Value]) -> None:
            at = f.value(f.mul(p, lanes))
            re = f.load(f.at(self.lines.re, at, self.element), self.vector)
            im = f.load(f.at(self.lines.im, at, self.element), self.vector)
            entry = f.at(table, f.mul(at, 2), self.element)
            f.store(f.fmul(re, scale), entry)
            negative = f.fsub(self._splat_zero(), f.fmul(im, scale))
            f.store(negative, f.at(entry, lanes, self.element))

        f.loop(self.width, position)

    def _transposed(self, source: Value, source_pitch: Index, to: Value, to_pitch: Index) -> None:
        """Store a row of squares of a matrix, transposed, one below the other."""
        f, lanes = self.f, self.kernel.lanes

        def square(c: Index, _: list[Value]) -> None:
            at = f.at(source, c, self.element)
            vectors = [
                f.load(f.at(at, f.mul(source_pitch, i), self.element), self.vector)
                for i in range(lanes)
            ]
            below = f.at(to, f.mul(c, to_pitch), self.element)
            for i, vector in enumerate(self._square_transposed(vectors)):
                f.store(vector, f.at(below, f.mul(to_pitch, i), self.element))

        f.loop(self.width, square, step=lanes)

    def _transposed_back(self, source: Value, to: Value) -> None:
        f, lanes = self.f, self.kernel.lanes

        def square(c: Index, _: list[Value]) -> None:
            at = f.at(source, f.mul(c, lanes), self.element)
            vectors = [f.load(f.at(at, i * lanes, self.element), self.vector) for i in range(lanes)]
            beside = f.at(to, c, self.element)
            for i, vector in enumerate(self._square_transposed(vectors)):
                f.store(vector, f.at(beside, f.mul(self.work.pitch, i), self.element))

        f.loop(self.width, square, step=lanes)

    def _square_transposed(self, vectors: list[Value]) -> list[Value]:
        """Exchange lanes and vectors: the corners of ever larger squares change places."""
        f, lanes = self.f, self.kernel.lanes
        vectors = list(vectors)
        distance = 1
        while distance < lanes:
            low = [n if not n & distance else lanes + n - distance for n in range(lanes)]
            high = [n + distance if not n & distance else lanes + n for n in range(lanes)]
            for i in range(lanes):
                if not i & distance:
                    a, b = vectors[i], vectors[i + distance]
                    vectors[i] = f.shuffle(a, b, low)
                    vectors[i + distance] = f.shuffle(a, b, high)
            distance *= 2
        return vectors
