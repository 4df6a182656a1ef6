"""MiniRocket's 84 kernels of nine taps, and the proportion of positive values of each.

The weights of a kernel are 2 at three of the taps (a, b, c) and -1 at the others, so that

    C[t] = 3 x[a] + 3 x[b] + 3 x[c] - sum over i of x[i],   x[i] = x[t + (i - 4) dilation]
    feature = number of t with C[t] > bias / number of t

and the sums of kernels that begin with the same taps are shared: a block of positions stays in
registers while a, b and c run through their combinations, and while the biases of a kernel are
compared with it. Comparisons become bits that are counted together, so nothing is reduced across
lanes.

Sums are made in the order of the published implementation, so that they are equal to the last
bit: a bias is a quantile of such sums, and one that is rounded otherwise is counted otherwise.

Reference: A. Dempster, D. F. Schmidt, G. I. Webb, "MiniRocket: a very fast (almost) deterministic
transform for time series classification", KDD 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from convoi.codegen.types import F32, I32, I64, Index, Value, Vector, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.denormals import keep_denormals
from convoi.kernels.series_rows import RECORD, SeriesEmitter, block_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

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
class MiniRocket(Kernel):
    """Features of the series ``first`` to ``first + count``."""

    lanes: int
    multivariate: bool
    x86: bool

    arguments: ClassVar[tuple[str, ...]] = ("record", "scratch")

    @property
    def planes(self) -> int:
        """Rows of scratch memory for each channel."""
        return 3 if self.multivariate else 2

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        restore = keep_denormals(f, x86=self.x86)
        emitter = _Emitter(self, f, pointers)
        f.loop(
            f.add(call.first, call.count), lambda i, _: emitter.series(f.value(i)), start=call.first
        )
        restore()


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


class _Emitter(SeriesEmitter):
    """The parts of the kernel's body."""

    def __init__(self, kernel: MiniRocket, f: Function, pointers: Sequence[Value]) -> None:
        super().__init__(f, kernel.lanes, pointers, x86=kernel.x86)
        self.multivariate = kernel.multivariate

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
            self._walk(stage)
            features = f.value(f.mul(per_kernel, KERNELS))
            self._divide(stage, f.at(self.table(TABLES.unpadded), feature, F32), features)
            return [f.value(f.add(feature, features))]

        f.loop(self.word(RECORD.count), dilation, [f.value(0)])

    def _clear(self, output: Value, features: Value) -> None:
        f, lanes = self.f, self.lanes
        wide = Vector(I32, lanes)
        whole = f.integer("and", features, -lanes)
        f.loop(
            whole,
            lambda i, _: f.store(constant(wide, 0), f.at(output, i, I32)),
            step=lanes,
        )
        f.loop(
            features, lambda i, _: f.store(constant(I32, 0), f.at(output, i, I32)), start=whole
        )

    def _walk(self, stage: _Stage) -> None:
        """Handle a series block by block; the last one has as few vectors as will do."""
        f = self.f
        if self.multivariate:
            f.loop(self.channels, lambda c, _: self._sum_taps(stage, c))
        most, *fewer = block_vectors(self.lanes)
        step = most * self.lanes
        left_over = fewer[0] * self.lanes if fewer else 0
        blocks = f.integer("sdiv", f.add(stage.length, step - left_over - 1), step)
        end = f.value(f.mul(blocks, step))
        f.loop(end, lambda t, _: self._block(stage, f.value(t), most), step=step)
        rest = f.value(f.sub(stage.length, end))
        for i, vectors in enumerate(fewer):
            least = fewer[i + 1] * self.lanes if i + 1 < len(fewer) else 0
            fits = f.integer(
                "and",
                f.compare("sgt", rest, least),
                f.compare("sle", rest, vectors * self.lanes),
            )
            with f.when(fits):
                self._block(stage, end, vectors)

    def _loads(self, row: Value, start: Index, vectors: int) -> list[Value]:
        f = self.f
        at = f.at(row, start, F32)
        return [f.load(f.at(at, v * self.lanes, F32), self.vector) for v in range(vectors)]

    def _tap(self, stage: _Stage, tap: Index) -> Index:
        """Return how far from a position a tap lies."""
        f = self.f
        return f.sub(f.mul(stage.dilation, tap), stage.reach)

    def _sums(self, stage: _Stage, row: Value, start: Value, vectors: int) -> list[Value]:
        """Return the sums of nine taps."""
        f = self.f
        middle = TAPS // 2
        sums = self._loads(row, start, vectors)
        for tap in (*range(middle), *range(middle + 1, TAPS)):
            values = self._loads(row, f.add(start, self._tap(stage, tap)), vectors)
            sums = [f.fadd(a, b) for a, b in zip(sums, values, strict=True)]
        return sums

    def _sum_taps(self, stage: _Stage, channel: Index) -> None:
        """Write the sums of nine taps of a channel into its row of plane 2."""
        f = self.f
        row, sums = self.row(channel), self.row(channel, 2)

        def vector(t: Index, _: object) -> None:
            (value,) = self._sums(stage, row, f.value(t), 1)
            f.store(value, f.at(sums, t, F32))

        f.loop(stage.length, vector, step=self.lanes)

    def _block(self, stage: _Stage, start: Value, vectors: int) -> None:
        f = self.f
        left = f.value(f.sub(stage.length, start))
        padded = self.mask(vectors, f.value(0), left)
        inside = self.mask(
            vectors, f.value(f.sub(stage.reach, start)), f.value(f.sub(left, stage.reach))
        )
        short = f.compare("sle", stage.length, f.mul(stage.reach, 2))
        block = _Block(start, vectors, padded, f.select(short, padded, inside))
        if self.multivariate:
            self._kernels(stage, block, partial(self._combined, stage, block))
            return
        sums = self._sums(stage, self.row(0), start, vectors)
        self._shared_kernels(stage, block, sums)

    def _tripled(self, stage: _Stage, block: _Block, tap: Index, channel: Index = 0) -> list[Value]:
        start = self.f.add(block.start, self._tap(stage, tap))
        return self._loads(self.row(channel, 1), start, block.vectors)

    def _shared_kernels(self, stage: _Stage, block: _Block, sums: list[Value]) -> None:
        """Run through a < b < c; what a and b contribute is added once for all c."""
        f, lanes = self.f, self.lanes
        size = block.vectors * lanes
        taps = f.at(self.scratch, 0, F32)
        for tap in range(TAPS):
            for v, value in enumerate(self._tripled(stage, block, tap)):
                f.store(value, f.at(taps, tap * size + v * lanes, F32))

        def plus(values: list[Value], tap: Index) -> list[Value]:
            row = self._loads(taps, f.mul(tap, size), block.vectors)
            return [f.fadd(value, x) for value, x in zip(values, row, strict=True)]

        def first(a: Index, carried: list[Value]) -> list[Value]:
            row = self._loads(taps, f.mul(a, size), block.vectors)
            with_a = [f.fsub(x, s) for x, s in zip(row, sums, strict=True)]

            def second(b: Index, inner: list[Value]) -> list[Value]:
                with_b = plus(with_a, b)

                def third(c: Index, innermost: list[Value]) -> list[Value]:
                    (kernel,) = innermost
                    self._count(stage, block, kernel, plus(with_b, c))
                    return [f.value(f.add(kernel, 1))]

                return f.loop(TAPS, third, inner, start=f.add(b, 1))

            return f.loop(TAPS - 1, second, carried, start=f.add(a, 1))

        f.loop(TAPS - 2, first, [f.value(0)])

    def _kernels(self, stage, block, convolve):  # placeholder
        f = self.f

        def first(a, carried):
            def second(b, inner):
                def third(c, innermost):
                    (kernel,) = innermost
                    self._count(stage, block, kernel, convolve(a, b, c, kernel))
                    return [f.value(f.add(kernel, 1))]

                return f.loop(TAPS, third, inner, start=f.add(b, 1))

            return f.loop(TAPS - 1, second, carried, start=f.add(a, 1))

        f.loop(TAPS - 2, first, [f.value(0)])

    def _combined(
        self, stage: _Stage, block: _Block, a: Index, b: Index, c: Index, kernel: Value
    ) -> list[Value]:
        """Return the sums over the channels of a kernel."""
        f = self.f
        number = f.add(f.mul(stage.number, KERNELS), kernel)
        firsts, channels = self.table(TABLES.first_channels), self.table(TABLES.channels)

        def add(i: Index, sums: list[Value]) -> list[Value]:
            channel = self.entry(channels, i)
            taps = [self._tripled(stage, block, tap, channel) for tap in (a, b, c)]
            totals = self._loads(self.row(channel, 2), block.start, block.vectors)
            values = [
                f.fadd(f.fadd(f.fsub(x, s), y), z)
                for s, x, y, z in zip(totals, *taps, strict=True)
            ]
            return [f.fadd(total, value) for total, value in zip(sums, values, strict=True)]

        zeros = [constant(self.vector, 0)] * block.vectors
        return f.loop(
            self.entry(firsts, f.add(number, 1)), add, zeros, start=self.entry(firsts, number)
        )

    def _count(self, stage: _Stage, block: _Block, kernel: Value, C: list[Value]) -> None:
        """Compare a block with the biases of a kernel."""
        f = self.f
        odd = f.integer("and", f.add(stage.number, kernel), 1)
        mask = f.select(f.compare("eq", odd, 1), block.unpadded, block.padded)
        begin = f.value(f.mul(kernel, stage.biases_per_kernel))
        end = f.value(f.add(begin, stage.biases_per_kernel))

        def bias(i: Index, _: object) -> None:
            threshold = f.broadcast(f.at(stage.biases, i, F32), self.vector)
            count = f.at(stage.counts, i, I32)
            number = self.positive(C, threshold, mask)
            f.store(f.value(f.add(f.load(count, I32), number)), count)

        with f.when(f.compare("ne", mask, 0)):
            f.loop(end, bias, start=begin)

    def _divide(self, stage: _Stage, unpadded: Value, features: Value) -> None:
        """Turn counts into proportions, in place."""
        f, lanes = self.f, self.lanes
        lost = f.value(f.mul(stage.reach, 2))
        short = f.compare("sle", stage.length, lost)
        lost = f.select(short, f.value(0), lost)
        total = f.convert("sitofp", stage.length, F32)
        less = f.emit(F32, f"fneg float {f.convert('sitofp', lost, F32).text}")

        def proportions(width: int) -> None:
            integers = I32 if width == 1 else Vector(I32, width)
            floats = F32 if width == 1 else Vector(F32, width)
            all_of, fewer = (v if width == 1 else f.splat(v, width) for v in (total, less))

            def some(i: Index, _: object) -> None:
                at = f.at(stage.counts, i, F32)
                count = f.convert("sitofp", f.load(at, integers), floats)
                flag = f.load(f.at(unpadded, i, F32), floats)
                f.store(f.fdiv(count, f.fma(flag, fewer, all_of)), at)

            f.loop(whole if width > 1 else features, some, start=0 if width > 1 else whole, step=width)

        whole = f.integer("and", features, -lanes)
        proportions(lanes)
        proportions(1)
