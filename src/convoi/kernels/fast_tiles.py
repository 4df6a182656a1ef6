"""Tiles of fast convolution: how a grid is cut, walked through and transformed.

A tile is the m x m outputs (or m of a run) that one product in the transformed domain yields, and
the (m + r - 1) x (m + r - 1) inputs under them, for r taps along each axis. Some tiles are a block:
their transforms are kept in scratch memory while their products are summed, a plane of vectors per
transformed position.

Taps that lie d positions apart see every d-th position only. Their outputs are d grids, each of
which is cut into tiles by itself: tile number t along an axis begins at position t % d of the
t // d-th stretch of m d outputs, and its outputs lie d apart.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.kernels.forms import form_named
from convoi.runtime.buffers import ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout
    from convoi.kernels.sharing import Bounds
    from convoi.kernels.transforms import Place, Transform


ODD_LINES = 8
"""Cache lines of a tile's channels from which their number is made odd: eight and more, if they are
a power of two, leave the tiles of a block no more than eight sets of the cache."""


@dataclass(frozen=True)
class Tiling:
    """How the outputs are cut into tiles, and tiles into blocks that are computed together."""

    form: str
    """Name of the form, which decides the outputs of a tile along each axis."""
    spatial: tuple[int, ...]
    """Positions of the output."""
    samples: int = 1
    """Samples of a block; more than one only if a block covers whole samples."""
    rows: int = 1
    columns: int = 1
    """Tiles of a block along the last two axes."""
    dilation: tuple[int, ...] = ()
    """Positions from one tap to the next along each axis; empty: 1."""
    plain: tuple[bool, ...] = ()
    """Axes along which the kernel has one tap, and a tile one position; empty: none."""

    @property
    def outputs(self) -> int:
        """Outputs of a tile along each axis."""
        return form_named(self.form).outputs

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that are transformed."""
        rank = len(self.spatial)
        return tuple(axis for axis in range(rank) if not (self.plain and self.plain[axis]))

    @property
    def sides(self) -> tuple[int, ...]:
        """Outputs of a tile along each axis."""
        return self._along_axes((self.outputs,) * len(self.spatial))

    @property
    def apart(self) -> tuple[int, ...]:
        """How far the positions of a tile are apart along each axis."""
        return self._along_axes(self.dilation or (1,) * len(self.spatial))

    def _along_axes(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """Return a number for each axis: 1 for those that are not transformed."""
        axes = self.axes
        return tuple(number if axis in axes else 1 for axis, number in enumerate(numbers))

    @property
    def covered(self) -> tuple[int, ...]:
        """Positions that the tiles cover along each axis: all, and those that fill up the last."""
        stretches = [side * apart for side, apart in zip(self.sides, self.apart, strict=True)]
        pairs = zip(self.spatial, stretches, strict=True)
        return tuple(-(-extent // stretch) * stretch for extent, stretch in pairs)

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles of a sample."""
        pairs = zip(self.covered, self.sides, strict=True)
        per_axis = [covered // side for covered, side in pairs]
        return (1, per_axis[0]) if len(per_axis) == 1 else (per_axis[0], per_axis[1])

    @property
    def block(self) -> int:
        """Tiles of a block."""
        return self.samples * self.rows * self.columns

    @property
    def strips(self) -> int:
        """Rows of blocks of a sample, or blocks if they lie in one row; 1 if a block is larger."""
        rows, columns = self.tiles
        if self.samples > 1:
            return 1
        return -(-rows // self.rows) if rows > 1 else -(-columns // self.columns)

    @property
    def positions(self) -> int:
        """Transformed positions of a tile."""
        return int(form_named(self.form).size ** len(self.axes))

    def places(self, size: int) -> list[Place]:
        """Return the positions of a square (or run) of some size: one along plain axes."""
        sides = self._along_axes((size,) * len(self.spatial))
        return list(itertools.product(*map(range, sides)))

    def plane(self, layout: Layout) -> int:
        """Return the elements from one transformed position to the next in scratch memory.

        An odd number of cache lines: planes whose size is a power of two, which are common, would
        all begin in the same sets of the caches.
        """
        line = ALIGNMENT // layout.element.size
        return (-(-self.block * tile_stride(layout) // line) | 1) * line

    def scratch(self, layout: Layout) -> int:
        """Return the elements of scratch memory that the transformed tiles of a block take."""
        return self.positions * self.plane(layout)

    def reach(self, offset: Sequence[int], extents: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """Return the halo that the input needs, whose position ``offset`` meets output 0."""
        found = []
        taps = self._along_axes((form_named(self.form).taps,) * len(self.spatial))
        axes = zip(offset, extents, self.covered, taps, self.apart, strict=True)
        for start, extent, covered, along, apart in axes:
            last = covered - 1 + (along - 1) * apart + start
            found.append((max(0, -start), max(0, last - (extent - 1))))
        return tuple(found)

    def first(self, f: Function, number: Index, axis: int) -> Index:
        """Return the first position of a tile, given by its number along an axis."""
        apart, side = self.apart[axis], self.sides[axis]
        if apart == 1:
            return f.mul(number, side)
        stretch = f.quotient(number, apart)
        within = f.sub(number, f.mul(stretch, apart))
        return f.add(f.mul(stretch, side * apart), within)


def tile_stride(layout: Layout) -> int:
    """Return the elements from one tile to the next in a plane of scratch memory.

    Many channels take an odd number of cache lines. A product reads a few channels of all tiles of
    a block, which would otherwise lie in a few sets of the first-level cache.
    """
    line = ALIGNMENT // layout.element.size
    lines = -(-layout.stride // line)
    return (lines | 1) * line if lines >= ODD_LINES else layout.stride


@dataclass(frozen=True)
class Block:
    """A block of tiles: where it begins, and how large it is."""

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
    row: Index
    column: Index

    def numbers(self, rank: int) -> tuple[Index, ...]:
        """Return the tile's number along each axis of a grid."""
        return (self.row, self.column)[-rank:]


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
            return 1 if tiling.samples == 1 else f.minimum(f.sub(count, sample), tiling.samples)

        f.loop(count, lambda s, _: row_blocks(s, samples_at(s)), step=tiling.samples)

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
        f = self.f

        def one(s: Index, r: Index, c: Index) -> None:
            number = f.add(f.mul(f.add(f.mul(s, block.rows), r), block.columns), c)
            body(
                TilePlace(
                    number,
                    f.add(block.sample, s),
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
    f: Function, layout: Layout, place: TilePlace, tiling: Tiling, offset: Sequence[int]
) -> Index:
    """Return the element at which a tile begins in an activation."""
    strides = layout.axis_strides
    start = layout.origin + sum(o * s for o, s in zip(offset, strides, strict=True))
    found = f.add(start, f.mul(place.sample, layout.size))
    for axis, number in enumerate(place.numbers(len(strides))):
        found = f.add(found, f.mul(tiling.first(f, number, axis), strides[axis]))
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
        line = ALIGNMENT // layout.element.size
        lines = -(-layout.size * tiling.samples // (blocks * line))
        start = f.add(
            f.mul(block.sample, layout.size), f.mul(f.add(ordinal, per_row), lines * line)
        )
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
    scratch: tuple[Value, int],
) -> None:
    """Emit the transform of a block's tiles: ``scratch[f][t][channel]``, a plane for each f.

    Scratch memory is given with the elements of a plane.

    A tile has as many positions as the transform has inputs; those beyond the grid are halo.
    """
    f = walk.f
    memory, plane = scratch
    offsets = grid_offsets(layout, transform.inputs, walk.tiling)
    vector = layout.vector

    def one(place: TilePlace) -> None:
        start = tile_start(f, layout, place, walk.tiling, offset)

        def channels(c: Index, _: object) -> None:
            base = f.at(pointer, f.add(start, c), layout.element)
            values = {
                where: f.load(f.at(base, distance, layout.element), vector)
                for where, distance in offsets.items()
            }
            for axis in walk.tiling.axes:
                values = transform.along(f, values, axis)
            to = f.at(memory, f.add(f.mul(place.number, tile_stride(layout)), c), layout.element)
            for number, where in enumerate(sorted(values)):
                f.store(values[where], f.at(to, number * plane, layout.element))

        f.loop(layout.stride, channels, step=layout.lanes)

    walk.tiles(block, one)


class Validity:
    """Which positions of a tile lie on the grid: all but those of the last tiles."""

    def __init__(self, f: Function, tiling: Tiling, place: TilePlace) -> None:
        self.f = f
        numbers = place.numbers(len(tiling.spatial))
        self.firsts = [tiling.first(f, number, axis) for axis, number in enumerate(numbers)]
        self.limits = [
            [_limit(tiling, axis, p) for p in range(side)] for axis, side in enumerate(tiling.sides)
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


def _limit(tiling: Tiling, axis: int, position: int) -> int | None:
    """Return what the first position of a tile has to be below for one of its positions to count.

    None: it always does.
    """
    extent, apart = tiling.spatial[axis], tiling.apart[axis]
    last = tiling.covered[axis] - tiling.sides[axis] * apart
    limit = extent - position * apart
    if last + apart - 1 < limit:
        return None
    # Where no tile of the last stretch has it, all others do: their positions have one limit.
    return max(last, limit)
