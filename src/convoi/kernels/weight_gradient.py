"""The gradient of a convolution with respect to its weights.

    dw[k, c, r] = sum over samples and positions o of dy[k, o] * x[c, stride * o + dilation * r]

Lanes are output channels ``k``. A tile of accumulators covers some vectors of channels times some
(input channel, tap) pairs and stays in registers over all positions of all samples of the convoy,
so nothing is reduced across lanes:

    acc[v][i] += dy[v] * x[i]

``dw`` lies as the weights do (:class:`~convoi.kernels.weights.WeightLayout`) and is a sum over the
chunk: it begins at zero when ``fresh`` is set, and is added to otherwise. A dense layer is the case
without axes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.codegen.types import I64, Index, Value, constant
from convoi.kernels.base import CallArguments, Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.kernels.grid import Axis
    from convoi.kernels.layout import Layout
    from convoi.kernels.weights import WeightLayout


POSITIONS_PER_SUM = 16
"""Positions whose products hide that a sum is read and written."""


@dataclass(frozen=True)
class GradientTile:
    """A register tile: vectors of output channels, input channels, taps."""

    vectors: int
    channels: int
    taps: int


@dataclass(frozen=True)
class WeightGradient(Kernel):
    """The kernel. Pointers: x, dy, [mask], dw.

    The mask has one element per weight of a tap, ``[block][input channel][output channel]``, and is
    zero where a weight is padding: between channels of different groups, and for input channels
    that only exist as padding.
    """

    x: Layout
    dy: Layout
    weights: WeightLayout
    axes: tuple[Axis, ...]
    """Forward axes: one run each."""
    kernel: tuple[int, ...]
    tile: GradientTile
    masked: bool = False

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return 3 + self.masked

    @property
    def samples_at_once(self) -> int:
        """As many as make up for reading and writing the sums: many for a dense layer."""
        return -(-POSITIONS_PER_SUM // max(1, self.dy.positions))

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over taps, blocks of channels and positions."""
        for taps in _batches(self._tap_offsets(), self.tile.taps):
            for block in range(len(self.weights.blocks)):
                if block and self._same_as_before(block):
                    continue
                self._block_run(f, pointers, call, taps, block)

    def _tap_offsets(self) -> list[tuple[int, int]]:
        """Return (index in the weights, element of x) for every tap, in scan order."""
        per_axis = []
        for axis in self.axes:
            taps = axis[0].taps
            per_axis.append(
                [
                    (taps.weight + t * taps.weight_step, taps.offset + t * taps.offset_step)
                    for t in range(taps.count)
                ]
            )
        found = []
        for combination in itertools.product(*per_axis):
            index = offset = 0
            for (weight, position), extent, stride in zip(
                combination, self.kernel, self.x.axis_strides, strict=True
            ):
                index = index * extent + weight
                offset += position * stride
            found.append((index, offset))
        return found

    def _same_as_before(self, block: int) -> bool:
        return self.weights.blocks[block] == self.weights.blocks[block - 1]

    def _block_run(
        self,
        f: Function,
        pointers: Sequence[Value],
        call: CallArguments,
        taps: list[tuple[int, int]],
        first: int,
    ) -> None:
        """Emit the loop over a run of equal blocks that begins with the given one."""
        layout = self.weights
        blocks = layout.blocks
        count = 1
        while first + count < len(blocks) and blocks[first + count] == blocks[first]:
            count += 1
        size = blocks[first]
        width = size * layout.lanes
        starts = layout.starts[first : first + count]
        regular = len({b - a for a, b in itertools.pairwise(starts)}) <= 1

        def one(i: Index, _: object) -> None:
            if isinstance(i, int):
                start: Index = starts[i]
            elif regular:
                start = f.add(starts[0], f.mul(i, starts[1] - starts[0]))
            else:
                start = f.load(f.at(f.module.table(I64, starts), i, I64), I64)
            channel = f.add(sum(blocks[:first]) * layout.lanes, f.mul(i, width))
            per_tap = width * layout.reduction
            weight = f.add(layout.block_offset(first), f.mul(i, per_tap * layout.taps))
            mask = f.add(layout.block_offset(first) // layout.taps, f.mul(i, per_tap))
            for vector in range(0, size, self.tile.vectors):
                place = _Place(
                    vectors=min(self.tile.vectors, size - vector),
                    width=width,
                    start=start,
                    channel=f.add(channel, vector * layout.lanes),
                    weight=f.add(weight, vector * layout.lanes),
                    mask=f.add(mask, vector * layout.lanes),
                )
                self._channel_loop(f, pointers, call, taps, place)

        f.loop(count, one)

    def _channel_loop(
        self,
        f: Function,
        pointers: Sequence[Value],
        call: CallArguments,
        taps: list[tuple[int, int]],
        place: _Place,
    ) -> None:
        """Emit the loop over tiles of input channels."""
        reduction, step = self.weights.reduction, self.tile.channels
        whole = reduction // step * step
        f.loop(
            whole,
            lambda c, _: self._tile(f, pointers, call, taps, place, c, step),
            step=step,
        )
        if reduction > whole:
            self._tile(f, pointers, call, taps, place, whole, reduction - whole)

    def _tile(  # noqa: PLR0917 - the state of the loops
        self,
        f: Function,
        pointers: Sequence[Value],
        call: CallArguments,
        taps: list[tuple[int, int]],
        place: _Place,
        channel: Index,
        channels: int,
    ) -> None:
        """Emit one tile: begin at zero or at the sum so far, run over all positions, store."""
        element, vector, lanes = self.dy.element, self.dy.vector, self.dy.lanes
        dw = f.at(
            pointers[-1],
            f.add(place.weight, f.mul(channel, place.width)),
            element,
        )
        places = [
            (index * self.weights.reduction + c) * place.width + v * lanes
            for c in range(channels)
            for index, _ in taps
            for v in range(place.vectors)
        ]
        fresh = f.compare("ne", call.fresh, 0)
        zero = constant(vector, 0.0)
        initial = [
            f.select(fresh, zero, f.load(f.at(dw, where, element), vector)) for where in places
        ]
        x = f.at(pointers[0], f.add(self.x.origin, f.add(place.start, channel)), element)
        dy = f.at(pointers[1], f.add(self.dy.origin, place.channel), element)

        def position(x_offset: Index, dy_offset: Index, sums: list[Value]) -> list[Value]:
            sums = list(sums)
            dy_here = f.at(dy, dy_offset, element)
            x_here = f.at(x, x_offset, element)
            gradients = [
                f.load(f.at(dy_here, v * lanes, element), vector) for v in range(place.vectors)
            ]
            i = 0
            for c in range(channels):
                for _, offset in taps:
                    value = f.broadcast(f.at(x_here, offset + c, element), vector)
                    for v in range(place.vectors):
                        sums[i] = f.fma(value, gradients[v], sums[i])
                        i += 1
            return sums

        sums = self._positions(f, call, position, initial)
        if self.masked:
            mask = f.at(pointers[2], f.add(place.mask, f.mul(channel, place.width)), element)
            i = 0
            for c in range(channels):
                keep = [
                    f.load(f.at(mask, c * place.width + v * lanes, element), vector)
                    for v in range(place.vectors)
                ]
                for _ in taps:
                    for v in range(place.vectors):
                        sums[i] = f.fmul(sums[i], keep[v])
                        i += 1
        for value, where in zip(sums, places, strict=True):
            f.store(value, f.at(dw, where, element))

    def _positions(
        self,
        f: Function,
        call: CallArguments,
        body: Callable[[Index, Index, list[Value]], list[Value]],
        initial: list[Value],
    ) -> list[Value]:
        """Emit the loops over samples and positions."""

        def axis_loop(axis: int, x: Index, dy: Index, carried: list[Value]) -> list[Value]:
            if axis == len(self.axes):
                return body(x, dy, carried)
            run = self.axes[axis][0]
            x_step = run.input_step * self.x.axis_strides[axis]
            dy_step = run.step * self.dy.axis_strides[axis]
            return f.loop(
                run.count,
                lambda i, sums: axis_loop(
                    axis + 1, f.add(x, f.mul(i, x_step)), f.add(dy, f.mul(i, dy_step)), sums
                ),
                carried,
            )

        return f.loop(
            call.count,
            lambda s, sums: axis_loop(0, f.mul(s, self.x.size), f.mul(s, self.dy.size), sums),
            initial,
        )


@dataclass(frozen=True)
class _Place:
    """Where the vectors of a tile lie."""

    vectors: int
    width: int
    """Output channels of the block."""
    start: Index
    """First input channel of the block."""
    channel: Index
    """First output channel."""
    weight: Index
    mask: Index


def _batches(items: list[tuple[int, int]], size: int) -> list[list[tuple[int, int]]]:
    """Split a list into parts of nearly equal length, none longer than the size."""
    parts = -(-len(items) // size)
    bounds = [len(items) * i // parts for i in range(parts + 1)]
    return [items[a:b] for a, b in itertools.pairwise(bounds)]
