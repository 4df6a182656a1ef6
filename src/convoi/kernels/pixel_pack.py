"""The input of a block of a pixel-lane correlation, copied to scratch memory.

Positions beyond the input are found as its boundary says, elements are converted to the compute
type, and what a stride leaves between neighbours is moved out of the way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from convoi.codegen.types import (
    F32,
    F64,
    I1,
    I8,
    I16,
    I32,
    I64,
    POINTER,
    Scalar,
    Value,
    Vector,
)
from convoi.kernels.pixel_tables import AXIS, GRID, NO_PLANE

if TYPE_CHECKING:
    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index

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


class Packed(Protocol):
    """What packing needs to know of the kernel that it packs for."""

    @property
    def source(self) -> str:
        """The dtype of the input in memory."""

    @property
    def element(self) -> str:
        """The dtype that is computed in."""

    @property
    def result(self) -> str:
        """The dtype of the output in memory."""

    @property
    def lanes(self) -> int:
        """Elements of a vector."""


class Packer(ABC):
    """Emits the copying of a block's input to scratch memory."""

    kernel: Packed

    def __init__(self, kernel: Packed, f: Function, grid: Value, scratch: Value) -> None:
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

    @property
    @abstractmethod
    def pitch(self) -> Index:
        """Elements from one row of scratch memory to the next."""

    def word(self, number: int, type_: Scalar = I64) -> Value:
        """Return a word of the grid."""
        return self.f.load(self.f.at(self.grid, number, I64), type_)

    def truth(self, number: int) -> Value:
        """Return a word of the grid as a condition."""
        return self.f.compare("ne", self.word(number), 0)

    def divided(self, number: Value, divisor: Value) -> tuple[Value, Value]:
        """Return quotient and remainder."""
        f = self.f
        quotient = f.integer("sdiv", number, divisor)
        return quotient, f.value(f.sub(number, f.mul(quotient, divisor)))

    def pack(
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
                    target = f.at(self.scratch, f.mul(at, self.pitch), self.element)
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
