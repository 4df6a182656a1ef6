"""MiniRocket's 84 kernels of nine taps, and the proportion of positive values of each.

The weights of a kernel are 2 at three of the taps (a, b, c) and -1 at the others, so that

    C[t] = 3 x[a] + 3 x[b] + 3 x[c] - sum over i of x[i],   x[i] = x[t + (i - 4) dilation]
    feature = number of t with C[t] > bias / number of t

and the sums of kernels that begin with the same taps are shared: a block of positions stays in
registers while a, b and c run through their combinations, and while the biases of a kernel are
compared with it. Comparisons become bits that are counted together, so nothing is reduced across
lanes.

    front of the scratch  [tap][vector of the block]: three times the values, aligned
    planes                the series; three times the series; of several channels, sums of taps

Kernels are numbered by a < b < c. That of an odd sum (number of the dilation + number of the
kernel) counts only positions that need no padding; if there are none, all positions.

Sums are made in the order of the published implementation, so that they are equal to the last
bit: a bias is a quantile of such sums, and one that is rounded otherwise is counted otherwise.

Reference: A. Dempster, D. F. Schmidt, G. I. Webb, "MiniRocket: a very fast (almost) deterministic
transform for time series classification", KDD 2021.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from convoi.codegen.types import F32, I32, Index, Value, Vector, constant
from convoi.kernels.series_rows import RECORD, SeriesEmitter, SeriesKernel, block_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function

TAPS: Final = 9
KERNELS: Final = 84
"""The ways of choosing three taps of nine."""


@dataclass(frozen=True)
class _Tables:
    dilations: int = 0
    biases_per_kernel: int = 1
    """For each dilation."""
    biases: int = 2
    """float32, [dilation][kernel][bias]."""
    unpadded: int = 3
    """float32, as the biases: 1 where only positions that need no padding count, else 0."""
    first_channels: int = 4
    """For each dilation and kernel, where its channels begin in `channels`; and their end."""
    channels: int = 5


TABLES: Final = _Tables()


@dataclass(frozen=True)
class MiniRocketFeatures(SeriesKernel):
    """Proportions of positive values of the series ``first`` to ``first + count``."""

    multivariate: bool

    front: ClassVar[int] = TAPS * 4

    @property
    def planes(self) -> int:  # type: ignore[override]  # one value for each of the two kinds
        return 3 if self.multivariate else 2

    def emitter(self, f: Function, pointers: Sequence[Value]) -> Callable[[Value], None]:
        kind = _SeveralChannels if self.multivariate else _OneChannel
        return kind(self, f, pointers).series


@dataclass(frozen=True)
class _Stage:
    """One dilation of one series."""

    number: Value
    dilation: Value
    length: Value
    reach: Value
    """Positions at each end that need padding."""
    biases_per_kernel: Value
    biases: Value
    counts: Value


@dataclass(frozen=True)
class _Block:
    """Positions whose sums are in registers."""

    start: Value
    vectors: int
    padded: Value
    """Bits of the positions that count, with padding."""
    unpadded: Value
    """Bits of those that need none."""


class _Emitter(SeriesEmitter, ABC):
    """The parts of the kernel's body."""

    def series(self, number: Value) -> None:
        """Compute the features of a series."""
        f = self.f
        length = self.length(number)
        self.fill(number, length, tripled=1)
        output = self.output(number)
        self._clear(output, self.word(RECORD.features))

        def dilation(j: Index, carried: list[Value]) -> list[Value]:
            (feature,) = carried
            per_kernel = self.entry(self.table(TABLES.biases_per_kernel), j)
            spacing = self.entry(self.table(TABLES.dilations), j)
            reach = f.value(f.mul(spacing, TAPS // 2))
            biases = f.at(self.table(TABLES.biases), feature, F32)
            counts = f.at(output, feature, F32)
            stage = _Stage(f.value(j), spacing, length, reach, per_kernel, biases, counts)
            self.prepare(stage)
            self._walk(stage)
            features = f.value(f.mul(per_kernel, KERNELS))
            self._divide(stage, f.at(self.table(TABLES.unpadded), feature, F32), features)
            return [f.value(f.add(feature, features))]

        f.loop(self.word(RECORD.count), dilation, [f.value(0)])

    def prepare(self, stage: _Stage) -> None:
        """Do what a dilation needs before its blocks."""

    @abstractmethod
    def block(self, stage: _Stage, block: _Block) -> None:
        """Convolve a block with all kernels and count."""

    def _clear(self, output: Value, features: Value) -> None:
        f, lanes = self.f, self.lanes
        zeros, zero = constant(Vector(I32, lanes), 0), constant(I32, 0)
        whole = f.integer("and", features, -lanes)
        f.loop(whole, lambda i, _: f.store(zeros, f.at(output, i, I32)), step=lanes)
        f.loop(features, lambda i, _: f.store(zero, f.at(output, i, I32)), start=whole)

    def _walk(self, stage: _Stage) -> None:
        """Handle a series block by block; the last one has as few vectors as will do."""
        f = self.f
        most, *fewer = block_vectors(self.lanes)
        step = most * self.lanes
        rest_at_most = fewer[0] * self.lanes if fewer else 0
        blocks = f.integer("sdiv", f.add(stage.length, step - rest_at_most - 1), step)
        end = f.value(f.mul(blocks, step))
        f.loop(end, lambda t, _: self._masked(stage, f.value(t), most), step=step)
        rest = f.value(f.sub(stage.length, end))
        for vectors, smaller in zip(fewer, [*fewer[1:], 0], strict=False):
            fits = f.compare("sle", rest, vectors * self.lanes)
            with f.when(f.integer("and", fits, f.compare("sgt", rest, smaller * self.lanes))):
                self._masked(stage, end, vectors)

    def _masked(self, stage: _Stage, start: Value, vectors: int) -> None:
        f = self.f
        left = f.value(f.sub(stage.length, start))
        padded = self.bits(self.inside(vectors, 0, left))
        low, high = f.sub(stage.reach, start), f.sub(left, stage.reach)
        unpadded = self.bits(self.inside(vectors, low, high))
        short = f.compare("sle", stage.length, f.mul(stage.reach, 2))
        self.block(stage, _Block(start, vectors, padded, f.select(short, padded, unpadded)))

    def tap(self, stage: _Stage, tap: Index) -> Index:
        """Return how far from a position a tap lies."""
        return self.f.sub(self.f.mul(stage.dilation, tap), stage.reach)

    def sums(self, stage: _Stage, row: Value, start: Value, vectors: int) -> list[Value]:
        """Return the sums of nine taps."""
        f = self.f
        middle = TAPS // 2
        totals = self.loads(row, start, vectors)
        for tap in (*range(middle), *range(middle + 1, TAPS)):
            values = self.loads(row, f.add(start, self.tap(stage, tap)), vectors)
            totals = [f.fadd(a, b) for a, b in zip(totals, values, strict=True)]
        return totals

    def count(self, stage: _Stage, block: _Block, kernel: Value, C: list[Value]) -> None:
        """Compare a block with the biases of a kernel."""
        f = self.f
        odd = f.integer("and", f.add(stage.number, kernel), 1)
        mask = f.select(f.compare("eq", odd, 1), block.unpadded, block.padded)
        begin = f.value(f.mul(kernel, stage.biases_per_kernel))
        end = f.value(f.add(begin, stage.biases_per_kernel))

        def bias(i: Index, _: object) -> None:
            threshold = f.broadcast(f.at(stage.biases, i, F32), self.vector)
            count = f.at(stage.counts, i, I32)
            number = self.number(f.integer("and", self.above(C, threshold), mask))
            f.store(f.value(f.add(f.load(count, I32), number)), count)

        with f.when(f.compare("ne", mask, 0)):
            f.loop(end, bias, start=begin)

    def _divide(self, stage: _Stage, unpadded: Value, features: Value) -> None:
        """Turn counts into proportions, in place."""
        f = self.f
        lost = f.value(f.mul(stage.reach, 2))
        lost = f.select(f.compare("sle", stage.length, lost), f.value(0), lost)
        total = f.convert("sitofp", stage.length, F32)
        less = f.convert("sitofp", f.value(f.sub(0, lost)), F32)

        def some(i: Index, width: int) -> None:
            integers = I32 if width == 1 else Vector(I32, width)
            floats = F32 if width == 1 else Vector(F32, width)
            whole, fewer = (v if width == 1 else f.splat(v, width) for v in (total, less))
            at = f.at(stage.counts, i, F32)
            count = f.convert("sitofp", f.load(at, integers), floats)
            flag = f.load(f.at(unpadded, i, F32), floats)
            f.store(f.fdiv(count, f.fma(flag, fewer, whole)), at)

        end = f.integer("and", features, -self.lanes)
        f.loop(end, lambda i, _: some(i, self.lanes), step=self.lanes)
        f.loop(features, lambda i, _: some(i, 1), start=end)


class _OneChannel(_Emitter):
    """Kernels of one channel share what they have in common."""

    def block(self, stage: _Stage, block: _Block) -> None:
        f, lanes = self.f, self.lanes
        size = block.vectors * lanes
        row, tripled = self.row(0), self.row(0, 1)
        for tap in range(TAPS):
            start = f.add(block.start, self.tap(stage, tap))
            for v, value in enumerate(self.loads(tripled, start, block.vectors)):
                f.store(value, f.at(self.scratch, tap * size + v * lanes, F32))
        sums = self.sums(stage, row, block.start, block.vectors)

        def values(tap: Index) -> list[Value]:
            return self.loads(self.scratch, f.mul(tap, size), block.vectors)

        def first(a: Index, kernel: list[Value]) -> list[Value]:
            with_a = [f.fsub(x, s) for x, s in zip(values(a), sums, strict=True)]

            def second(b: Index, kernel: list[Value]) -> list[Value]:
                with_b = [f.fadd(p, x) for p, x in zip(with_a, values(b), strict=True)]

                def third(c: Index, kernel: list[Value]) -> list[Value]:
                    C = [f.fadd(p, x) for p, x in zip(with_b, values(c), strict=True)]
                    self.count(stage, block, kernel[0], C)
                    return [f.value(f.add(kernel[0], 1))]

                return f.loop(TAPS, third, kernel, start=f.add(b, 1))

            return f.loop(TAPS - 1, second, kernel, start=f.add(a, 1))

        f.loop(TAPS - 2, first, [f.value(0)])


class _SeveralChannels(_Emitter):
    """Each kernel and dilation has channels of its own, whose sums are added."""

    def prepare(self, stage: _Stage) -> None:
        """Write the sums of nine taps of each channel into its row of plane 2."""
        f = self.f

        def channel(c: Index, _: object) -> None:
            row, totals = self.row(c), self.row(c, 2)

            def vector(t: Index, _: object) -> None:
                (value,) = self.sums(stage, row, f.value(t), 1)
                f.store(value, f.at(totals, t, F32))

            f.loop(stage.length, vector, step=self.lanes)

        f.loop(self.channels, channel)

    def block(self, stage: _Stage, block: _Block) -> None:
        f = self.f

        def first(a: Index, kernel: list[Value]) -> list[Value]:
            def second(b: Index, kernel: list[Value]) -> list[Value]:
                def third(c: Index, kernel: list[Value]) -> list[Value]:
                    C = self._combined(stage, block, (a, b, c), kernel[0])
                    self.count(stage, block, kernel[0], C)
                    return [f.value(f.add(kernel[0], 1))]

                return f.loop(TAPS, third, kernel, start=f.add(b, 1))

            return f.loop(TAPS - 1, second, kernel, start=f.add(a, 1))

        f.loop(TAPS - 2, first, [f.value(0)])

    def _combined(
        self, stage: _Stage, block: _Block, taps: tuple[Index, ...], kernel: Value
    ) -> list[Value]:
        """Return the sums over the channels of a kernel."""
        f = self.f
        number = f.add(f.mul(stage.number, KERNELS), kernel)
        firsts, channels = self.table(TABLES.first_channels), self.table(TABLES.channels)
        starts = [f.add(block.start, self.tap(stage, tap)) for tap in taps]

        def add(i: Index, totals: list[Value]) -> list[Value]:
            channel = self.entry(channels, i)
            row, sums = self.row(channel, 1), self.row(channel, 2)
            parts = zip(
                totals,
                self.loads(sums, block.start, block.vectors),
                *(self.loads(row, start, block.vectors) for start in starts),
                strict=True,
            )
            return [
                f.fadd(total, f.fadd(f.fadd(f.fsub(x, s), y), z)) for total, s, x, y, z in parts
            ]

        zeros = [constant(self.vector, 0)] * block.vectors
        end = self.entry(firsts, f.add(number, 1))
        return f.loop(end, add, zeros, start=self.entry(firsts, number))
