"""Rocket's kernels of any weights: the proportion of positive values, and the largest.

    y[t] = bias + sum over c, r of  w[c, r] x[channel c][t + r dilation - padding]
    features = number of t with y[t] > 0 / number of t,  the largest y[t]

for t from 0 to length + 2 padding - (taps - 1) dilation. A series that is too short for that to
leave a position gets as much padding as leaves one.

    scratch planes  the series

Reference: A. Dempster, F. Petitjean, G. I. Webb, "ROCKET: exceptionally fast and accurate time
series classification using random convolutional kernels", Data Mining and Knowledge Discovery 34,
2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from convoi.codegen.types import F32, I32, Index, Value, constant
from convoi.kernels.series_rows import RECORD, SeriesEmitter, SeriesKernel, block_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function


@dataclass(frozen=True)
class _Tables:
    """Each has an entry for each kernel, unless it says otherwise."""

    taps: int = 0
    dilations: int = 1
    paddings: int = 2
    biases: int = 3
    """float32."""
    first_weights: int = 4
    weights: int = 5
    """float32, [kernel][channel][tap]."""
    first_channels: int = 6
    """And the end of the last one."""
    channels: int = 7
    """[kernel][channel]."""


TABLES: Final = _Tables()


@dataclass(frozen=True)
class RocketFeatures(SeriesKernel):
    """Two features of each kernel for the series ``first`` to ``first + count``."""

    planes: ClassVar[int] = 1
    front: ClassVar[int] = 0

    def emitter(self, f: Function, pointers: Sequence[Value]) -> Callable[[Value], None]:
        return _Emitter(self, f, pointers).series


@dataclass(frozen=True)
class _Filter:
    """One kernel for one series."""

    taps: Value
    dilation: Value
    shift: Value
    """Where the first tap of the first position lies: minus the padding."""
    bias: Value
    weights: Value
    first_channel: Value
    last_channel: Value


class _Emitter(SeriesEmitter):
    """The parts of the kernel's body."""

    def series(self, number: Value) -> None:
        """Compute the features of a series."""
        f = self.f
        length = self.length(number)
        self.fill(number, length)
        output = self.output(number)

        def kernel(k: Index, _: object) -> None:
            self._kernel(k, length, f.at(output, f.mul(k, 2), F32))

        f.loop(self.word(RECORD.count), kernel)

    def _kernel(self, k: Index, length: Value, output: Value) -> None:
        f = self.f
        taps = self.entry(self.table(TABLES.taps), k)
        dilation = self.entry(self.table(TABLES.dilations), k)
        reach = f.value(f.mul(f.sub(taps, 1), dilation))
        least = f.integer("ashr", f.add(f.sub(reach, length), 2), 1)
        padding = f.value(f.maximum(self.entry(self.table(TABLES.paddings), k), least))
        positions = f.value(f.sub(f.add(length, f.mul(padding, 2)), reach))
        first_weight = self.entry(self.table(TABLES.first_weights), k)
        channels = self.table(TABLES.first_channels)
        filter_ = _Filter(
            taps,
            dilation,
            f.value(f.sub(0, padding)),
            self.entry(self.table(TABLES.biases), k, F32),
            f.at(self.table(TABLES.weights), first_weight, F32),
            self.entry(channels, k),
            self.entry(channels, f.add(k, 1)),
        )
        count, largest = self._walk(filter_, positions)
        total = f.convert("sitofp", positions, F32)
        f.store(f.fdiv(f.convert("sitofp", count, F32), total), output)
        f.store(f.intrinsic("vector.reduce.fmax", largest, result=F32), f.at(output, 1, F32))

    def _walk(self, filter_: _Filter, positions: Value) -> tuple[Value, Value]:
        """Return how many positions are positive, and a vector that holds the largest value."""
        f = self.f
        vectors = block_vectors(self.lanes)[0]
        step = vectors * self.lanes
        lowest = constant(self.vector, float("-inf"))

        def whole(t: Index, state: list[Value]) -> list[Value]:
            return self._block(filter_, t, vectors, state, None)

        end = f.value(f.mul(f.integer("sdiv", positions, step), step))
        state = f.loop(end, whole, [constant(I32, 0), lowest], step=step)
        rest = f.value(f.sub(positions, end))
        for fewer in sorted(block_vectors(self.lanes)):
            within = f.value(f.minimum(rest, fewer * self.lanes))
            last = fewer == vectors

            # A loop of one iteration at most, so that it can carry the state.
            def part(
                t: Index, state: list[Value], fewer: int = fewer, within: Value = within
            ) -> list[Value]:
                return self._block(filter_, t, fewer, state, within)

            fits = f.compare("sgt", rest, 0)
            if not last:
                fits = f.integer("and", fits, f.compare("sle", rest, fewer * self.lanes))
            stop = f.select(fits, f.value(f.add(end, 1)), end)
            state = f.loop(stop, part, state, start=end, step=1)
            rest = f.select(fits, f.value(0), rest)
        return state[0], state[1]

    def _block(
        self,
        filter_: _Filter,
        start: Index,
        vectors: int,
        state: list[Value],
        rest: Value | None,
    ) -> list[Value]:
        """Add some positions to the state: the first ``rest``, or all."""
        f = self.f
        count, largest = state
        y = self._convolved(filter_, start, vectors)
        if rest is not None:
            lanes = self.inside(vectors, 0, rest)
            lowest = constant(self.vector, float("-inf"))
            y = [f.select(lane, value, lowest) for lane, value in zip(lanes, y, strict=True)]
        positive = self.number(self.above(y, constant(self.vector, 0)))
        for value in y:
            largest = f.select(f.fcompare("ogt", value, largest), value, largest)
        return [f.value(f.add(count, positive)), largest]

    def _convolved(self, filter_: _Filter, start: Index, vectors: int) -> list[Value]:
        f = self.f
        begin = f.add(start, filter_.shift)
        channels = self.table(TABLES.channels)

        def channel(i: Index, state: list[Value]) -> list[Value]:
            row = self.row(self.entry(channels, i))

            def tap(_: Index, state: list[Value]) -> list[Value]:
                *sums, weight, position = state
                w = f.broadcast(f.at(filter_.weights, weight, F32), self.vector)
                x = self.loads(row, position, vectors)
                sums = [f.fma(w, value, total) for value, total in zip(x, sums, strict=True)]
                return [
                    *sums,
                    f.value(f.add(weight, 1)),
                    f.value(f.add(position, filter_.dilation)),
                ]

            *inner, weight, _ = f.loop(filter_.taps, tap, [*state, f.value(begin)])
            return [*inner, weight]

        bias = f.splat(filter_.bias, self.lanes)
        *sums, _ = f.loop(
            filter_.last_channel,
            channel,
            [*([bias] * vectors), f.value(0)],
            start=filter_.first_channel,
        )
        return sums
