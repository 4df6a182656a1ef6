"""What the kernels of random convolution features have in common: series copied into rows.

A task is one series. Its channels are first copied to scratch memory of the thread, each into a
row with zeros on both sides, so that no dilation or padding needs a check of bounds:

    scratch  [front, for the kernel's own use] [plane][channel][halo, the series, zeros]

One machine code serves all lengths, channels, kernels and dilations: they stand in a record of
int64 words that the host fills in.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from convoi.codegen.types import F32, I8, I16, I32, I64, POINTER, Index, Scalar, Type, Value, Vector
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.denormals import keep_denormals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    """Return how many vectors of positions are convolved together: the most, and fewer ones.

    The last block of a series is the smallest that holds it. Narrow vectors are always taken by
    four, whose comparisons make one register of bits.
    """
    return (4, 2, 1) if lanes == 16 else (4,)


@dataclass(frozen=True)
class SeriesKernel(Kernel):
    """A kernel whose tasks are series."""

    lanes: int
    x86: bool

    arguments: ClassVar[tuple[str, ...]] = ("record", "scratch")
    planes: ClassVar[int]
    """Rows of scratch memory for each channel."""
    front: ClassVar[int]
    """Vectors of scratch memory before the rows."""

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        restore = keep_denormals(f, x86=self.x86)
        series = self.emitter(f, pointers)
        f.loop(f.add(call.first, call.count), lambda i, _: series(f.value(i)), start=call.first)
        restore()

    @abstractmethod
    def emitter(self, f: Function, pointers: Sequence[Value]) -> Callable[[Value], None]:
        """Return what emits the code for the series of a number."""


class SeriesEmitter:
    """Code that reads the record, fills the rows and counts positions."""

    def __init__(self, kernel: SeriesKernel, f: Function, pointers: Sequence[Value]) -> None:
        self.f = f
        self.kernel = kernel
        self.lanes = kernel.lanes
        self.vector = Vector(F32, kernel.lanes)
        self.record, self.scratch = pointers
        self.channels = self.word(RECORD.channels)
        self.pitch = self.word(RECORD.pitch)
        self.halo = self.word(RECORD.halo)

    # The record -------------------------------------------------------------------------------

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

    # Rows -------------------------------------------------------------------------------------

    def row(self, channel: Index, plane: int = 0) -> Value:
        """Return the address of the first value of a channel in scratch memory."""
        f = self.f
        number = f.add(channel, f.mul(self.channels, plane))
        start = f.add(f.mul(number, self.pitch), self.halo)
        return f.at(self.scratch, f.add(start, self.kernel.front * self.lanes), F32)

    def fill(self, number: Index, length: Value, *, tripled: int | None = None) -> None:
        """Copy a series into the rows of plane 0, and three times its values into another."""
        f = self.f
        offset = self.entry(self.word(RECORD.offsets, POINTER), number)
        source = f.at(self.word(RECORD.source, POINTER), offset, F32)
        planes = (0,) if tripled is None else (0, tripled)
        zero, three = Value(F32, "0.0"), Value(F32, "3.0")

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

    def loads(self, row: Value, start: Index, vectors: int) -> list[Value]:
        """Load the values from a position on."""
        f = self.f
        at = f.at(row, start, F32)
        return [f.load(f.at(at, v * self.lanes, F32), self.vector) for v in range(vectors)]

    # Counting ---------------------------------------------------------------------------------

    def inside(self, vectors: int, low: Index, high: Index) -> list[Value]:
        """Return the lanes of a block whose positions in it lie from ``low`` to below ``high``."""
        f, lanes = self.f, self.lanes
        extent = vectors * lanes
        ends = [f.value(f.minimum(f.maximum(end, 0), extent)) for end in (low, high)]
        first, last = (f.splat(f.convert("trunc", end, I32), lanes) for end in ends)
        numbers = [f.lane_numbers(I32, lanes, v * lanes) for v in range(vectors)]
        return [
            f.integer("and", f.compare("sge", n, first), f.compare("slt", n, last)) for n in numbers
        ]

    def above(self, values: Sequence[Value], threshold: Value) -> Value:
        """Return the bits of the lanes whose value lies above a threshold."""
        return self.bits([self.f.fcompare("ogt", value, threshold) for value in values])

    def number(self, bits: Value) -> Value:
        """Return how many bits are set, as int32."""
        f = self.f
        count = f.intrinsic("ctpop", bits)
        if count.type == I32:
            return count
        return f.convert("trunc" if count.type == I64 else "zext", count, I32)

    def bits(self, parts: Sequence[Value]) -> Value:
        """Return an integer with a bit for each lane of some vectors, in a fixed order."""
        f, lanes = self.f, self.lanes
        if self.kernel.x86 and lanes < 16 and len(parts) == 4:
            return self._packed([f.convert("sext", part, Vector(I32, lanes)) for part in parts])
        joined = list(parts)
        while len(joined) > 1:
            lanes *= 2
            order = list(range(lanes))
            pairs = zip(joined[::2], joined[1::2], strict=True)
            joined = [f.shuffle(a, b, order) for a, b in pairs]
        return f.convert("bitcast", joined[0], Scalar(f"i{lanes}", lanes // 8))

    def _packed(self, parts: list[Value]) -> Value:
        """Return the bits of four vectors of 0 and -1, narrowed within the halves of a vector.

        LLVM's own way keeps the order of the lanes, which takes four more shuffles.
        """
        f, lanes = self.f, self.lanes
        level, size = ("avx2", "") if lanes == 8 else ("sse2", ".128")
        words, octets = Vector(I16, 2 * lanes), Vector(I8, 4 * lanes)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        halves = [f.call(f"llvm.x86.{level}.packssdw{size}", words, a, b) for a, b in pairs]
        whole = f.call(f"llvm.x86.{level}.packsswb{size}", octets, *halves)
        return f.call(f"llvm.x86.{level}.pmovmskb{size}", I32, whole)
