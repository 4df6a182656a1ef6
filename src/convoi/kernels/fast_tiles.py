"""Tiles of fast convolution: how they are walked through, in blocks, and transformed.

A tile is the m x m outputs (or m of a run) that one product in the transformed domain yields, and
the (m + r - 1) x (m + r - 1) inputs under them, for r taps along each axis. Some tiles are a block:
their transforms are kept in scratch memory while their products are summed, a plane of vectors per
transformed position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.kernels.tiling import Tiling, stacked, tile_stride
from convoi.runtime.buffers import ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout
    from convoi.kernels.sharing import Bounds
    from convoi.kernels.transforms import Place, Transform


@dataclass(frozen=True)
class Block:
    """A block of tiles: where it begins, and how large it is; samples are grids."""

    sample: Index
    row: Index
    column: Index
    samples: Index
    rows: int
    columns: int
    tiles: Index
    """Number of tiles."""


@dataclass(frozen=True)
class TilePlace:
    """A tile: its number in the block, and where it lies."""

    number: Index
    sample: Index
    grid: Index
    """Which of the sample's grids it is in."""
    row: Index
    column: Index

    def numbers(self, rank: int) -> tuple[Index, ...]:
        """Return the tile's number along each of so many axes."""
        return (self.grid, self.row, self.column)[-rank:]


class BlockWalk:
    """The loops over blocks of tiles, and over the tiles of a block."""

    def __init__(self, f: Function, tiling: Tiling, strips: Bounds | None = None) -> None:
        self.f = f
        self.tiling = tiling
        self.strips = strips
        """Which of the strips are walked through; None: all."""

    def blocks(self, count: Value, body: Callable[[Block], None]) -> None:
        """Run the body for every block of some samples.

        Rows and columns of a block are known while emitting, and so are its samples if blocks have
        one; else the last block has what is left.
        """
        f, tiling = self.f, self.tiling
        rows, columns = tiling.tiles
        grids = f.mul(count, tiling.grids)

        def one(sample: Index, samples: Index, row: Index, column: Index, height: int) -> None:
            width = min(tiling.columns, columns - column if isinstance(column, int) else columns)
            tiles = f.mul(samples, height * width)
            body(Block(sample, row, column, samples, height, width, tiles))

        def column_blocks(sample: Index, samples: Index, row: Index, height: int) -> None:
            self._each(
                columns,
                tiling.columns,
                None if rows > 1 else self.strips,
                lambda c, _: one(sample, samples, row, c, height),
            )

        def row_blocks(sample: Index, samples: Index) -> None:
            self._each(
                rows,
                tiling.rows,
                self.strips if rows > 1 else None,
                lambda r, height: column_blocks(sample, samples, r, height),
            )

        def samples_at(sample: Index) -> Index:
            return 1 if tiling.samples == 1 else f.minimum(f.sub(grids, sample), tiling.samples)

        f.loop(grids, lambda s, _: row_blocks(s, samples_at(s)), step=tiling.samples)

    def strip(self, block: Block) -> Index:
        """Return the number of a block's strip."""
        rows, _ = self.tiling.tiles
        if rows > 1:
            return self.f.quotient(block.row, self.tiling.rows)
        return self.f.quotient(block.column, self.tiling.columns)

    def _each(
        self, count: int, size: int, strips: Bounds | None, body: Callable[[Index, int], None]
    ) -> None:
        """Run the body for runs of so many items, or for some of the runs; the last has the rest.

        The body gets the first item of a run and its size.
        """
        f = self.f
        whole = count // size * size
        if strips is None or count <= size:
            f.loop(whole, lambda i, _: body(i, size), step=size)
            if count > whole:
                body(whole, count - whole)
            return
        first, last = strips
        stop = f.minimum(f.mul(last, size), whole)
        f.loop(stop, lambda i, _: body(i, size), start=f.mul(first, size), step=size)
        if count > whole:
            reached = f.compare("sgt", f.value(last), whole // size)
            begun = f.compare("sle", f.value(first), whole // size)
            with f.when(f.integer("and", reached, begun)):
                body(whole, count - whole)

    def tiles(self, block: Block, body: Callable[[TilePlace], None]) -> None:
        """Run the body for every tile of a block."""
        f, grids = self.f, self.tiling.grids

        def one(s: Index, r: Index, c: Index) -> None:
            number = f.add(f.mul(f.add(f.mul(s, block.rows), r), block.columns), c)
            grid = f.add(block.sample, s)
            sample = f.quotient(grid, grids)
            body(
                TilePlace(
                    number,
                    sample,
                    f.sub(grid, f.mul(sample, grids)) if grids > 1 else 0,
                    f.add(block.row, r),
                    f.add(block.column, c),
                )
            )

        f.loop(
            block.samples,
            lambda s, _: f.loop(
                block.rows,
                lambda r, _: f.loop(block.columns, lambda c, _: one(s, r, c)),
            ),
        )


def each_run(f: Function, count: Index, most: int, body: Callable[[Index, int], None]) -> None:
    """Run the body for items in runs of known sizes: all of the largest, the rest in smaller ones.

    The body gets the first item of a run and its size.
    """
    if isinstance(count, int):
        most = min(most, count)
        whole = count // most * most
        f.loop(whole, lambda i, _: body(i, most), step=most)
        if count > whole:
            body(whole, count - whole)
        return
    start: Index = 0
    for size in (most, *(2**power for power in reversed(range((most - 1).bit_length())))):
        rest = f.integer("srem", f.sub(count, start), size)
        end = f.sub(count, rest)

        def run(i: Index, _: object, size: int = size) -> None:
            body(i, size)

        f.loop(end, run, start=start, step=size)
        start = end


def grid_offsets(layout: Layout, size: int, tiling: Tiling) -> dict[Place, int]:
    """Return the elements from the first position of a tile to each of so many along each axis."""
    pairs = zip(layout.axis_strides, tiling.apart, strict=True)
    strides = [stride * apart for stride, apart in pairs]
    return {
        place: sum(p * stride for p, stride in zip(place, strides, strict=True))
        for place in tiling.places(size)
    }


def tile_start(
    f: Function,
    layout: Layout,
    place: TilePlace,
    tiling: Tiling,
    offset: Sequence[int],
    *,
    window: tuple[int, ...] = (),
) -> Index:
    """Return the element at which a tile begins in an activation.

    Of an activation that was pooled, each position is a window of so many; empty: one.
    """
    strides = layout.axis_strides
    start = layout.origin + sum(o * s for o, s in zip(offset, strides, strict=True))
    found = f.add(start, f.mul(place.sample, layout.size))
    for axis, number in enumerate(place.numbers(len(strides))):
        first = f.quotient(tiling.first(f, number, axis), window[axis] if window else 1)
        found = f.add(found, f.mul(first, strides[axis]))
    return found


@dataclass(frozen=True)
class Stream:
    """An activation that a kernel passes through, block by block."""

    pointer: Value
    layout: Layout
    write: bool = False


def prefetch_ahead(
    f: Function, tiling: Tiling, block: Block, streams: Sequence[Stream]
) -> Callable[[Index], None]:
    """Return what emits, for each transformed position, its share of prefetches.

    While a block's products are summed, memory has nothing else to do. What is asked for is the
    memory of the next row of blocks, which lies a row of blocks further on: a batch is larger than
    the caches, and its samples follow one another.
    """
    rows, columns = tiling.tiles
    per_row = -(-columns // tiling.columns)
    blocks = -(-rows // tiling.rows) * per_row
    ordinal = f.add(
        f.mul(f.quotient(block.row, tiling.rows), per_row),
        f.quotient(block.column, tiling.columns),
    )
    areas = []
    for stream in streams:
        layout = stream.layout
        line, size = ALIGNMENT // layout.element.size, layout.size // tiling.grids
        lines = -(-size * tiling.samples // (blocks * line))
        start = f.add(f.mul(block.sample, size), f.mul(f.add(ordinal, per_row), lines * line))
        share = -(-lines // tiling.positions)
        areas.append((stream, f.at(stream.pointer, start, layout.element), share, line))

    def emit(position: Index) -> None:
        for stream, start, share, line in areas:
            first = f.at(start, f.mul(position, share * line), stream.layout.element)
            for i in range(share):
                there = f.at(first, i * line, stream.layout.element)
                f.prefetch(there, write=stream.write)

    return emit


def transform_tiles(  # noqa: PLR0917 - what is read, how, and where to
    walk: BlockWalk,
    block: Block,
    pointer: Value,
    layout: Layout,
    offset: Sequence[int],
    transform: Transform,
    memory: Value,
    shifts: Sequence[int] = (0,),
) -> None:
    """Emit the transform of a block's tiles: ``memory[f][t][channel]``, a plane for each f.

    A tile has as many positions as the transform has inputs; those beyond the grid are halo. The
    channels of stacked taps follow one another; shifts lead to what they meet.
    """
    f = walk.f
    wide = stacked(layout, len(shifts))
    plane, stride = walk.tiling.plane(wide), tile_stride(wide)
    offsets = grid_offsets(layout, transform.inputs, walk.tiling)
    vector = layout.vector

    def one(place: TilePlace) -> None:
        start = tile_start(f, layout, place, walk.tiling, offset)

        def tap(i: Index, _: object) -> None:
            first, to_first = f.add(start, f.entry(shifts, i)), f.mul(i, layout.stride)

            def channels(c: Index, _: object) -> None:
                base = f.at(pointer, f.add(first, c), layout.element)
                values = {
                    where: f.load(f.at(base, distance, layout.element), vector)
                    for where, distance in offsets.items()
                }
                for axis in walk.tiling.axes:
                    values = transform.along(f, values, axis)
                at = f.add(f.mul(place.number, stride), f.add(to_first, c))
                to = f.at(memory, at, layout.element)
                for number, where in enumerate(sorted(values)):
                    f.store(values[where], f.at(to, number * plane, layout.element))

            f.loop(layout.stride, channels, step=layout.lanes)

        f.loop(len(shifts), tap)

    walk.tiles(block, one)


class Validity:
    """Which positions of a tile lie on the grid: all but those of the last tiles."""

    def __init__(self, f: Function, tiling: Tiling, place: TilePlace) -> None:
        self.f = f
        numbers = place.numbers(len(tiling.spatial))
        self.firsts = [tiling.first(f, number, axis) for axis, number in enumerate(numbers)]
        self.limits = [
            [tiling.limit(axis, p) for p in range(side)] for axis, side in enumerate(tiling.sides)
        ]

    def bounds(self, where: Place) -> tuple[int | None, ...]:
        """Return what the tile's first position has to be below for a position to be on the grid.

        None along an axis: whatever it is.
        """
        return tuple(limits[p] for limits, p in zip(self.limits, where, strict=True))

    def condition(self, bounds: tuple[int | None, ...]) -> Value | bool:
        """Return whether the tile's first position is below bounds: known, or a value."""
        f = self.f
        found: Value | None = None
        for first, bound in zip(self.firsts, bounds, strict=True):
            if bound is None:
                continue
            if isinstance(first, int) or bound <= 0:
                if bound <= 0 or not isinstance(first, int) or first >= bound:
                    return False
                continue
            inside = f.compare("slt", first, bound)
            found = inside if found is None else f.integer("and", found, inside)
        return True if found is None else found
