"""Mean and variance of each channel over a batch.

Each chunk of the batch accumulates its own moments; a last kernel merges them in their order.
The positions of a tile are summed, and then the squares of their deviations, while the tile is in
the first-level cache. Tiles and chunks are merged by Chan's formula. All is relative to the first
value of a chunk, so that a mean that is much larger than the deviation costs no digits.

Reference: T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample
variance", The American Statistician 37, 1983.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import I64, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.lanes import existing, fold_blocks, groups, keep_existing
from convoi.kernels.layout import Layout
from convoi.kernels.sources import origin
from convoi.kernels.sums import (
    GroupShape,
    Rows,
    accumulator_elements,
    tile_positions,
    tile_sums,
)
from convoi.kernels.traversal import Point, Stretch, Tile, Traversal, steps_of
from convoi.kernels.vector_math import VectorMath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value


class Moment(IntEnum):
    """The rows of a block of moments: vectors per channel, ``stride`` elements each."""

    MEAN = 0
    VARIANCE = 1
    """Of the batch itself (divided by N)."""
    INVSTD = 2
    SCALE = 3
    SHIFT = 4
    """Bias minus scale times mean."""
    COUNT = 5
    """Values per channel."""


class Partial(IntEnum):
    """The rows of a chunk's accumulator of moments."""

    COUNT = 0
    ORIGIN = 1
    """What is subtracted from all values."""
    MEAN = 2
    """Of the values minus the origin."""
    SQUARES = 3
    """Sum of the squared deviations from the mean."""


@dataclass(frozen=True)
class MomentsAccumulate(Kernel):
    """Merge the moments of some samples into those of a chunk.

    The accumulator has `accumulator_size` elements.
    """

    arguments: ClassVar[tuple[str, ...]] = ("x", "accumulator")

    x: Layout

    @property
    def accumulator_size(self) -> int:
        """Elements of a chunk's accumulator."""
        return accumulator_elements(self.x, len(Partial))

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit both passes over each tile and group of channels, and the merging."""
        x, accumulator = pointers
        layout = self.x
        values = Rows(f, layout, origin(f, x, layout))
        chunk = Rows(f, layout, accumulator)
        begin_chunk(f, values, chunk, call)
        traversal = Traversal(f, layout.spatial, [steps_of(layout)], call)

        def one_tile(tile: Tile) -> None:
            groups(
                f,
                layout,
                GroupShape.widest(layout, sums=1),
                lambda channel, blocks: accumulate_tile(values, chunk, tile, channel, blocks),
            )

        traversal.tiles(tile_positions(layout), one_tile)


def begin_chunk(f: Function, values: Rows, chunk: Rows, call: CallArguments) -> None:
    """Emit what a chunk begins with: no values, and the first sample's first ones as origin."""
    layout = values.layout
    chunk.clear_when_fresh(len(Partial), call)
    some = f.convert("zext", f.compare("sgt", call.count, 0), I64)
    with f.when(f.compare("ne", f.integer("and", call.fresh, some), 0)):
        f.loop(
            layout.stride,
            lambda k, _: chunk.store(values.load(0, k), Partial.ORIGIN, k),
            step=layout.lanes,
        )


def accumulate_tile(
    values: Rows, chunk: Rows, tile: Tile | Stretch, channel: Index, blocks: int
) -> None:
    """Emit the moments of a tile for some blocks, and merge them into the chunk's."""
    f, layout = values.f, values.layout
    m = VectorMath(f, layout.vector)
    shape = GroupShape.of(layout, blocks, sums=1)
    channels = [f.add(channel, block * layout.lanes) for block in range(blocks)]
    count = _splat(f, layout, tile.positions)
    inverse = m.div(1.0, count)

    def load(point: Point, block: int) -> Value:
        return values.load(0, f.add(point[0], channels[block]))

    origins = [chunk.load(Partial.ORIGIN, k) for k in channels]

    def add_value(point: Point, block: int, sums: list[Value]) -> list[Value]:
        return [m.add(sums[0], m.sub(load(point, block), origins[block]))]

    sums = tile_sums(f, layout, tile, shape, add_value)
    means = [m.mul(total, inverse) for (total,) in sums]
    centres = [m.add(a, b) for a, b in zip(origins, means, strict=True)]

    def add_square(point: Point, block: int, sums: list[Value]) -> list[Value]:
        deviation = m.sub(load(point, block), centres[block])
        return [m.fma(deviation, deviation, sums[0])]

    squares = tile_sums(f, layout, tile, shape, add_square)
    for k, mean, centre, start, (square,) in zip(
        channels, means, centres, origins, squares, strict=True
    ):
        # The centre is rounded, so the squares are a little too large.
        excess = m.sub(m.sub(centre, start), mean)
        exact = m.fma(m.neg(m.mul(excess, count)), excess, square)
        Moments.load(chunk, k).merge(m, Moments(count, mean, exact)).store(chunk, k)


def _splat(f: Function, layout: Layout, number: Index) -> Value:
    """Return a number of positions in every lane."""
    if isinstance(number, int):
        return constant(layout.vector, number)
    return f.splat(f.convert("sitofp", number, layout.element), layout.lanes)


@dataclass(frozen=True)
class Moments:
    """Moments of some values, in registers; see :class:`Partial`."""

    count: Value
    mean: Value
    squares: Value

    @classmethod
    def load(cls, chunk: Rows, channel: Index) -> Moments:
        """Load those of a chunk."""
        rows = (Partial.COUNT, Partial.MEAN, Partial.SQUARES)
        return cls(*(chunk.load(row, channel) for row in rows))

    def store(self, chunk: Rows, channel: Index) -> None:
        """Store those of a chunk."""
        chunk.store(self.count, Partial.COUNT, channel)
        chunk.store(self.mean, Partial.MEAN, channel)
        chunk.store(self.squares, Partial.SQUARES, channel)

    def merge(self, m: VectorMath, other: Moments) -> Moments:
        """Return the moments of both sets of values, which have the same origin."""
        count = m.add(self.count, other.count)
        share = m.div(other.count, m.maximum(1.0, count))
        difference = m.sub(other.mean, self.mean)
        between = m.mul(m.mul(difference, difference), m.mul(self.count, share))
        return Moments(
            count,
            m.fma(difference, share, self.mean),
            m.add(m.add(self.squares, other.squares), between),
        )


@dataclass(frozen=True)
class MomentsFinish(Kernel):
    """Merge the chunks' moments; update the running statistics.

    Pointers: the chunks' accumulators, one after another; their number (int64); weight and bias;
    running mean and variance, unless `momentum` is None; the block of moments, whose rows are
    those of :class:`Moment`. All vectors have the padded channels and are zero beyond them.
    """

    channels: int
    lanes: int
    dtype: str
    eps: float
    momentum: float | None
    """Share of the batch in the running statistics; None: they are not updated."""

    @property
    def layout(self) -> Layout:
        """The layout of a vector per channel."""
        return Layout(self.channels, (), self.lanes, self.dtype)

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return 5 if self.momentum is None else 7

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over blocks of channels."""
        del call
        layout = self.layout
        accumulators, chunks, weight, bias, *running, moments = pointers
        number = f.load(chunks, I64)
        block = Rows(f, layout, moments)
        m = VectorMath(f, layout.vector)

        def one(channel: Index, _: list[Value]) -> None:
            start, merged = self._merged(f, accumulators, number, channel)
            lanes = existing(f, layout, channel)
            mean = keep_existing(m, lanes, m.add(start, merged.mean))
            squares = keep_existing(m, lanes, merged.squares)
            variance = m.div(squares, m.maximum(1.0, merged.count))
            invstd = m.div(1.0, m.sqrt(m.add(variance, self.eps)))
            invstd = keep_existing(m, lanes, invstd)
            scale = m.mul(invstd, Rows(f, layout, weight).load(0, channel))
            shift = m.fma(m.neg(mean), scale, Rows(f, layout, bias).load(0, channel))
            rows = (mean, variance, invstd, scale, shift, merged.count)
            for row, value in zip(Moment, rows, strict=True):
                block.store(value, row, channel)
            if self.momentum is not None:
                unbiased = m.div(squares, m.maximum(1.0, m.sub(merged.count, 1.0)))
                for pointer, value in zip(running, (mean, unbiased), strict=True):
                    vector = Rows(f, layout, pointer)
                    kept = m.mul(vector.load(0, channel), 1 - self.momentum)
                    vector.store(m.fma(value, self.momentum, kept), 0, channel)

        fold_blocks(f, layout, one)

    def _merged(
        self, f: Function, accumulators: Value, number: Value, channel: Index
    ) -> tuple[Value, Moments]:
        """Emit the merging of all chunks in their order; return their origin and moments."""
        layout = self.layout
        m = VectorMath(f, layout.vector)
        first = Rows(f, layout, accumulators)
        start = first.load(Partial.ORIGIN, channel)
        size = accumulator_elements(layout, len(Partial))

        def one(i: Index, carried: list[Value]) -> list[Value]:
            place = f.at(accumulators, f.mul(i, size), layout.element)
            chunk = Rows(f, layout, place)
            own = Moments.load(chunk, channel)
            moved = m.add(m.sub(chunk.load(Partial.ORIGIN, channel), start), own.mean)
            merged = Moments(*carried).merge(m, Moments(own.count, moved, own.squares))
            return [merged.count, merged.mean, merged.squares]

        held = Moments.load(first, channel)
        carried = f.loop(number, one, [held.count, held.mean, held.squares], start=1)
        return start, Moments(*carried)
