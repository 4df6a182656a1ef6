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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from convoi.codegen.types import Index, Value, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.lanes import values_per_lane

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.kernels.grid import Axis
    from convoi.kernels.layout import Layout
    from convoi.kernels.weights import WeightLayout


Taps: TypeAlias = list[tuple[int, int]]
"""Taps: (index in the weights, element of x) of each."""
LINE_BYTES = 64
"""Bytes that are prefetched together."""
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
    streaming: bool = False
    """Whether sums are written past the caches, which do not hold them until they are read."""
    ahead: tuple[int, int] = (0, 0)
    """Elements of x and of dy from these positions to others that will be read soon: they are asked
    for while these are worked on; 0: they are not. Prefetchers do not follow so many samples, nor
    a tile's few channels from position to position."""
    divided: bool = False
    """Whether threads may share the tiles of input channels; not of groups that share vectors."""

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return 3 + self.masked

    @property
    def samples_at_once(self) -> int:
        """As many as make up for reading and writing the sums: many for a dense layer."""
        return -(-POSITIONS_PER_SUM // max(1, self.dy.positions))

    @property
    def units(self) -> int:
        """Tiles of input channels."""
        return -(-self.weights.reduction // self.tile.channels) if self.divided else 1

    @property
    def work(self) -> int:
        """Multiply-adds of a sample."""
        return self.weights.size * self.dy.positions

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over blocks of channels, taps and positions."""
        runs = _runs(_batches(self._tap_offsets(), self.tile.taps))
        for block in range(len(self.weights.blocks)):
            if block and self._same_as_before(block):
                continue
            self._block_run(f, pointers, call, runs, block)

    def _tap_offsets(self) -> Taps:
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
        runs: list[_TapRun],
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

        def one(i: Index, _: object) -> None:
            start = f.entry(starts, i)
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
                for run in runs:
                    self._tap_loop(f, pointers, call, run, place)

        f.loop(count, one)

    def _tap_loop(
        self,
        f: Function,
        pointers: Sequence[Value],
        call: CallArguments,
        run: _TapRun,
        place: _Place,
    ) -> None:
        """Emit the loop over batches of taps."""
        per_tap = self.weights.reduction * place.width

        def one(i: Index, _: object) -> None:
            index = f.entry([index for index, _ in run.firsts], i)
            offset = f.entry([offset for _, offset in run.firsts], i)
            moved = replace(
                place,
                start=f.add(place.start, offset),
                weight=f.add(place.weight, f.mul(index, per_tap)),
            )
            self._channel_loop(f, pointers, call, run.taps, moved)

        f.loop(len(run.firsts), one)

    def _channel_loop(
        self,
        f: Function,
        pointers: Sequence[Value],
        call: CallArguments,
        taps: Taps,
        place: _Place,
    ) -> None:
        """Emit the loop over tiles of input channels."""
        reduction, step = self.weights.reduction, self.tile.channels
        whole = reduction // step * step
        if self.weights.per_lane:
            # Which lane takes which value is known for each channel of a group: no loop.
            for c in range(0, reduction, step):
                self._tile(f, pointers, call, taps, place, c, min(step, reduction - c))
            return

        def tile(c: Index, _: object) -> None:
            self._tile(f, pointers, call, taps, place, c, step)

        def rest() -> None:
            self._tile(f, pointers, call, taps, place, whole, reduction - whole)

        if not self.divided:
            f.loop(whole, tile, step=step)
            if reduction > whole:
                rest()
            return
        f.loop(
            f.minimum(f.mul(call.end, step), whole), tile, start=f.mul(call.begin, step), step=step
        )
        if reduction > whole:
            with f.when(f.compare("eq", call.end, self.units)):
                rest()

    def _tile(  # noqa: PLR0917 - the state of the loops
        self,
        f: Function,
        pointers: Sequence[Value],
        call: CallArguments,
        taps: Taps,
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
        # Sums that begin here are not read: a loop without a turn.
        initial = f.loop(
            f.sub(1, call.fresh),
            lambda _, __: [f.load(f.at(dw, where, element), vector) for where in places],
            [constant(vector, 0.0)] * len(places),
        )
        first = place.start if self.weights.per_lane else f.add(place.start, channel)
        x = f.at(pointers[0], f.add(self.x.origin, first), element)
        dy = f.at(pointers[1], f.add(self.dy.origin, place.channel), element)

        def position(x_offset: Index, dy_offset: Index, sums: list[Value]) -> list[Value]:
            sums = list(sums)
            dy_here = f.at(dy, dy_offset, element)
            x_here = f.at(x, x_offset, element)
            self._prefetch(f, x_here, dy_here, taps, channels, place)
            gradients = [
                f.load(f.at(dy_here, v * lanes, element), vector) for v in range(place.vectors)
            ]
            i = 0
            for c in range(channels):
                for _, offset in taps:
                    if isinstance(channel, int) and self.weights.per_lane:
                        here = f.at(x_here, offset, element)
                        value = values_per_lane(f, here, self.weights, element, channel + c)
                    else:
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
            at = f.at(dw, where, element)
            f.store(value, at, align=vector.size, streaming=self.streaming)

    def _prefetch(  # noqa: PLR0917 - the extent of a tile
        self, f: Function, x: Value, dy: Value, taps: Taps, channels: int, place: _Place
    ) -> None:
        """Ask for what the tile reads at positions further on."""
        element = self.dy.element
        x_ahead, dy_ahead = self.ahead
        line = LINE_BYTES // element.size
        for _, offset in taps if x_ahead else ():
            for at in range(0, channels, line):
                f.prefetch(f.at(x, x_ahead + offset + at, element))
        for at in range(0, place.vectors * self.dy.lanes if dy_ahead else 0, line):
            f.prefetch(f.at(dy, dy_ahead + at, element))

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
class _TapRun:
    """Batches of taps that lie alike: one piece of code, in a loop over the batches."""

    taps: Taps
    """(index in the weights, element of x), both from those of the batch's first."""
    firsts: list[tuple[int, int]]
    """The same of the first tap of each batch."""


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


def _runs(batches: list[Taps]) -> list[_TapRun]:
    """Return batches of taps by how they lie."""
    found: dict[tuple[tuple[int, int], ...], list[tuple[int, int]]] = {}
    for batch in batches:
        index, offset = batch[0]
        moved = tuple((i - index, o - offset) for i, o in batch)
        found.setdefault(moved, []).append(batch[0])
    return [_TapRun(list(taps), firsts) for taps, firsts in found.items()]


def _batches(items: Taps, size: int) -> list[Taps]:
    """Split a list into parts of nearly equal length, none longer than the size."""
    parts = -(-len(items) // size)
    bounds = [len(items) * i // parts for i in range(parts + 1)]
    return [items[a:b] for a, b in itertools.pairwise(bounds)]
