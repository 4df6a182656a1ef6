"""What the kernels of random convolution features have in common: series copied into rows.

A task is one series. Its channels are first copied to scratch memory of the thread, each into a
row with zeros on both sides, so that no dilation or padding needs a check of bounds:

    scratch  [plane][channel][halo zeros, the series, zeros up to the pitch]

One machine code serves all lengths, channels, kernels and dilations: they stand in a record of
int64 words that the host fills in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from convoi.codegen.types import F32, I8, I16, I32, I64, POINTER, Index, Scalar, Type, Value, Vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function


@dataclass(frozen=True)
class _Record:
    source: int = 0
    """Address of the values: float32, series after series, each [channel][time]."""
    offsets: int = 1
    """Address of the element at which each series begins."""
    lengths: int = 2
    """Address of the length of each series."""
    channels: int = 3
    pitch: int = 4
    """Elements from one row of scratch memory to the next."""
    halo: int = 5
    """Zeros before a series."""
    output: int = 6
    """Address of the features: float32, [series][feature]."""
    features: int = 7
    """Features of a series."""
    count: int = 8
    """Of dilations (MiniRocket) or kernels (Rocket)."""
    tables: int = 9
    """First of the addresses of tables that describe the kernels."""
    words: int = 20


RECORD: Final = _Record()


def block_vectors(lanes: int) -> tuple[int, ...]:
    """Return how many vectors of positions are convolved together: as many as are left.

    The last block of a series is the smallest that holds it. Narrow vectors are always taken by
    four, whose comparisons make one register of bits.
    """
    return (4, 2, 1) if lanes == 16 else (4,)


class SeriesEmitter:
    """Code that reads the record, fills the rows and walks along a series."""

    def __init__(
        self, f: Function, lanes: int, pointers: Sequence[Value], *, x86: bool
    ) -> None:
        self.x86 = x86
        self.f = f
        self.lanes = lanes
        self.vector = Vector(F32, lanes)
        self.record, self.scratch = pointers
        self.channels = self.word(RECORD.channels)
        self.pitch = self.word(RECORD.pitch)
        self.halo = self.word(RECORD.halo)

    def word(self, number: int, type_: Type = I64) -> Value:
        """Return a word of the record."""
        return self.f.load(self.f.at(self.record, number, I64), type_)

    def table(self, number: int) -> Value:
        """Return the address of a table of the kernels."""
        return self.word(RECORD.tables + number, POINTER)

    def entry(self, table: Value, number: Index, element: Scalar = I64) -> Value:
        """Return an entry of a table."""
        return self.f.load(self.f.at(table, number, element), element)

    def length(self, number: Index) -> Value:
        """Return the length of a series."""
        return self.entry(self.word(RECORD.lengths, POINTER), number)

    def output(self, number: Index) -> Value:
        """Return where the features of a series belong."""
        start = self.f.mul(number, self.word(RECORD.features))
        return self.f.at(self.word(RECORD.output, POINTER), start, F32)

    def row(self, channel: Index, plane: int = 0) -> Value:
        """Return the address of the first value of a channel in scratch memory."""
        f = self.f
        number = f.add(channel, f.mul(self.channels, plane))
        return f.at(self.scratch, f.add(f.add(f.mul(number, self.pitch), self.halo), 9 * 4 * self.lanes), F32)

    def fill(self, number: Index, length: Value, tripled: int | None = None) -> None:
        """Copy a series into the rows of plane 0, and three times its values into another."""
        f = self.f
        offset = self.entry(self.word(RECORD.offsets, POINTER), number)
        source = f.at(self.word(RECORD.source, POINTER), offset, F32)
        planes = (0,) if tripled is None else (0, tripled)
        zero = f.emit(F32, "fadd float 0.0, 0.0")
        three = f.emit(F32, "fadd float 0.0, 3.0")

        def clear(row: Value, start: Index, stop: Index) -> None:
            f.loop(stop, lambda t, _: f.store(zero, f.at(row, t, F32)), start=start)

        def channel(c: Index, _: object) -> None:
            values = f.at(source, f.mul(c, length), F32)
            rows = [self.row(c, plane) for plane in planes]
            for row in rows:
                clear(row, f.sub(0, self.halo), 0)
                clear(row, length, f.sub(self.pitch, self.halo))

            def copy(t: Index, _: object) -> None:
                value = f.load(f.at(values, t, F32), F32)
                f.store(value, f.at(rows[0], t, F32))
                if tripled is not None:
                    f.store(f.fmul(three, value), f.at(rows[1], t, F32))

            f.loop(length, copy)

        f.loop(self.channels, channel)

    def mask(self, vectors: int, low: Value, high: Value) -> Value:
        """Return the positions from ``low`` to ``high`` of a block as :meth:`_bits`."""
        f, lanes = self.f, self.lanes
        extent = vectors * lanes
        low, high = (f.value(f.minimum(f.maximum(end, 0), extent)) for end in (low, high))
        low, high = (f.splat(f.convert("trunc", end, I32), lanes) for end in (low, high))
        inside = []
        for v in range(vectors):
            numbers = f.lane_numbers(I32, lanes, v * lanes)
            inside.append(
                f.integer("and", f.compare("sge", numbers, low), f.compare("slt", numbers, high))
            )
        return self._bits(inside)

    def positive(self, values: Sequence[Value], threshold: Value, mask: Value) -> Value:
        """Return how many values that the mask counts lie above a threshold, as int32."""
        f = self.f
        bits = self._bits([f.fcompare("ogt", value, threshold) for value in values])
        number = f.intrinsic("ctpop", f.integer("and", bits, mask))
        if number.type == I32:
            return number
        return f.convert("trunc" if number.type == I64 else "zext", number, I32)

    def _bits(self, parts: Sequence[Value]) -> Value:
        """Return an integer with a bit for each lane of some vectors, in any fixed order."""
        f, lanes = self.f, self.lanes
        if self.x86 and lanes < 16 and len(parts) == 4:
            return self._packed([f.convert("sext", part, Vector(I32, lanes)) for part in parts])
        joined = list(parts)
        while len(joined) > 1:
            order = list(range(2 * lanes))
            lanes *= 2
            joined = [f.shuffle(a, b, order) for a, b in zip(joined[::2], joined[1::2], strict=True)]
        return f.convert("bitcast", joined[0], Scalar(f"i{lanes}", lanes // 8))

    def _packed(self, parts: list[Value]) -> Value:
        """Return the bits of four vectors of 0 and -1, narrowed within the halves of a vector.

        LLVM's own way keeps the order of the lanes, which takes four more shuffles.
        """
        f, lanes = self.f, self.lanes
        level, size = ("avx2", "") if lanes == 8 else ("sse2", ".128")
        words, bytes_ = Vector(I16, 2 * lanes), Vector(I8, 4 * lanes)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        halves = [f.call(f"llvm.x86.{level}.packssdw{size}", words, a, b) for a, b in pairs]
        whole = f.call(f"llvm.x86.{level}.packsswb{size}", bytes_, *halves)
        mask = f.call(f"llvm.x86.{level}.pmovmskb{size}", I32, whole)
        return mask
