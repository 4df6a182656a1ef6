"""The layout of a direct correlation: which axis has the lanes, blocks, the order of the taps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from convoi.kernels.pixel_correlate import PixelCorrelate
from convoi.kernels.pixel_pack import ELEMENTS
from convoi.kernels.pixel_tables import AXIS, GRID, NO_PLANE, SECTION
from convoi.runtime.buffers import aligned_zeros
from convoi.signal.boundaries import Boundary, extension, source_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.codegen.target import Target

PITCHES = (144, 272, 528, 1040, 2064, 4112)
"""Elements per row of scratch memory: an odd number of cache lines, so that rows do not compete
for the same sets of the cache."""
NARROWEST_CUT = 1040
"""The least pitch of blocks that a long row is cut into."""
ROWS_PER_SPAN = 3
"""Rows of a block for each that it reads beyond its own, before blocks are made wider: wide ones
are read from memory quicker, high ones read less twice."""
SCRATCH_BYTES = 160 * 1024
"""Scratch memory that a block of rows aims at: it stays in the second-level cache."""
MOST_BLOCK_ROWS = 64
FLAT_BLOCK = 6144
"""Elements of a signal per block: with their outputs they stay in the first-level cache."""


@dataclass(frozen=True)
class Line:
    """An axis of the grid: positions in the input, outputs, taps."""

    extent: int
    pitch: int
    """Elements between neighbours in the input."""
    output: int
    taps: int = 1
    stride: int = 1
    dilation: int = 1
    low: int = 0

    @property
    def reach(self) -> int:
        """Positions from the first tap to the last, both included."""
        return (self.taps - 1) * self.dilation + 1

    @property
    def phases(self) -> int:
        """Residues modulo the stride that taps have."""
        return min(self.stride, self.reach)

    @property
    def span(self) -> int:
        """Positions of a phase that a block reads beyond its own."""
        return (self.reach - 1) // self.stride

    def place(self, tap: int, phase_extent: int) -> int:
        """Return where in scratch memory the tap of output 0 is found."""
        position = tap * self.dilation
        return position % self.stride * phase_extent + position // self.stride


@dataclass(frozen=True)
class Section:
    """Taps that are used in the same way: groups of ``unroll`` tap rows."""

    unroll: int
    taps: int
    """Tap columns per group."""
    bases: tuple[int, ...]
    """Where in scratch memory each group begins."""


@dataclass(frozen=True)
class Layout:
    """The grid of a problem: outer axes, rows, columns of `inner` elements, items."""

    outer: tuple[Line, ...]
    row: Line
    column: Line
    inner: int
    items: int
    boundary: Boundary


@dataclass(frozen=True)
class Tile:
    """The register tile of a kernel."""

    rows: int
    vectors: int
    most_unroll: int


@dataclass(frozen=True)
class Blocks:
    """What a task covers."""

    pitch: int
    """Elements from one row of scratch memory to the next."""
    rows: int
    columns: int
    scratch: int
    """Elements of scratch memory."""


TILES = {
    # (vector registers, kind): accumulators + loaded rows + one weight fit the registers
    (32, "picture"): Tile(8, 2, 5),
    (32, "narrow"): Tile(12, 1, 7),
    (32, "signal"): Tile(16, 1, 7),
    (16, "picture"): Tile(6, 1, 4),
    (16, "narrow"): Tile(6, 1, 4),
    (16, "signal"): Tile(6, 1, 4),
}


@dataclass(frozen=True)
class Grid:
    """All that a direct correlation needs besides the numbers."""

    kernel: PixelCorrelate
    words: NDArray[np.int64]
    """The record of the kernel, without the addresses of arrays."""
    tables: tuple[NDArray[np.int64], ...]
    """What the record's addresses of tables lead to."""
    tap_order: NDArray[np.int64]
    """Number of the tap in C order, for each weight in the order of use."""
    tasks: int
    scratch: int
    """Bytes per thread."""


def build_grid(layout: Layout, source: str, element: str, result: str, target: Target) -> Grid:
    """Choose tile and blocks for a layout, and write the record of its kernel."""
    size = ELEMENTS[element].size
    width = layout.column.output * layout.inner
    lanes = target.vector_bytes // size
    flat = layout.row.output == 1 and layout.row.taps == 1 and not layout.outer
    # The lanes of a signal decide the order of its taps, so they may not depend on its length.
    while not flat and lanes * size > 16 and width <= lanes // 2:
        lanes //= 2
    kind = "signal" if flat else "narrow" if width <= lanes else "picture"
    tile = TILES[32 if target.registers >= 32 else 16, kind]
    if flat:
        while tile.rows > 2 and tile.rows * lanes >= 2 * width:
            tile = replace(tile, rows=tile.rows // 2)
    blocks = _flat_blocks(layout, tile, lanes) if flat else _blocks(layout, tile, lanes, size)
    if flat:
        sections, order = _signal_sections(layout, tile, lanes)
    else:
        sections, order = _picture_sections(layout, tile, blocks)
    kernel = PixelCorrelate(
        source,
        element,
        result,
        lanes,
        tile.rows,
        tile.vectors,
        tuple(section.unroll for section in sections),
        blocks.pitch,
        flat,
        target.is_x86,
    )
    words, tables = grid_record(layout, blocks, sections)
    tasks = layout.items * int(
        words[GRID.outer] * words[GRID.row_blocks] * words[GRID.column_blocks]
    )
    return Grid(kernel, words, tables, order, tasks, blocks.scratch * size)


def grid_record(
    layout: Layout, blocks: Blocks, sections: tuple[Section, ...]
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], ...]]:
    """Return the words of the kernel's record, and the tables that they lead to."""
    row, column = layout.row, layout.column
    places = [
        layout.inner * column.place(s, blocks.columns + column.span) for s in range(column.taps)
    ]
    columns_of_taps = np.array(places, np.int64)
    outer_taps, planes = _planes(layout)
    pairs = np.array([base for section in sections for base in section.bases], np.int64)
    words = aligned_zeros(GRID.words, "int64")
    words[GRID.planes] = planes.ctypes.data
    words[GRID.outer_taps], words[GRID.outer] = outer_taps, len(planes)
    words[GRID.rows], words[GRID.columns] = row.output, column.output
    words[GRID.inner] = layout.inner
    words[GRID.block_rows], words[GRID.block_columns] = blocks.rows, blocks.columns
    words[GRID.row_blocks] = -(-row.output // blocks.rows)
    words[GRID.column_blocks] = -(-column.output // blocks.columns)
    words[GRID.pairs] = pairs.ctypes.data
    words[GRID.columns_of_taps] = columns_of_taps.ctypes.data
    words[GRID.constant] = layout.boundary == "constant"
    words[GRID.contiguous] = column.stride == 1 and column.pitch == layout.inner
    words[GRID.plane_rows] = row.phases * (blocks.rows + row.span)
    _write_axis(words[GRID.row_axis :], row, layout.boundary)
    _write_axis(words[GRID.column_axis :], column, layout.boundary)
    for number, section in enumerate(sections):
        first = GRID.sections + number * SECTION.words
        words[first + SECTION.pairs] = len(section.bases)
        words[first + SECTION.taps] = section.taps
    return words, (planes, pairs, columns_of_taps)


def _write_axis(record: NDArray[np.int64], line: Line, boundary: Boundary) -> None:
    rule = extension(boundary, line.extent)
    record[AXIS.extent], record[AXIS.pitch] = line.extent, line.pitch
    record[AXIS.stride], record[AXIS.low] = line.stride, line.low
    record[AXIS.phases], record[AXIS.span] = line.phases, line.span
    record[AXIS.smallest], record[AXIS.largest] = rule.smallest, rule.largest
    record[AXIS.period], record[AXIS.mirror] = rule.period, rule.mirror


def _planes(layout: Layout) -> tuple[int, NDArray[np.int64]]:
    """Return the number of outer taps and the offsets [outer position][outer tap] of planes."""
    offsets = np.zeros((1, 1), np.int64)
    for line in layout.outer:
        output = np.arange(line.output)[:, None] * line.stride
        positions = output + np.arange(line.taps) * line.dilation - line.low
        mapped = source_positions(positions, layout.boundary, line.extent)
        mine = np.where(mapped < 0, NO_PLANE, mapped * line.pitch)
        missing = (offsets == NO_PLANE)[:, None, :, None] | (mine == NO_PLANE)[None, :, None, :]
        total = np.where(missing, 0, offsets[:, None, :, None] + mine[None, :, None, :])
        total[missing] = NO_PLANE
        offsets = total.reshape(len(offsets) * len(mine), -1)
    return offsets.shape[1], np.ascontiguousarray(offsets)


def _flat_blocks(layout: Layout, tile: Tile, lanes: int) -> Blocks:
    """Return the blocks of a signal."""
    column, inner = layout.column, layout.inner
    across = lanes * tile.rows
    elements = max(FLAT_BLOCK // column.phases, across)
    whole = math.lcm(across, inner) // inner
    columns = min(max(elements // inner // whole, 1) * whole, column.output)
    extent = column.phases * (columns + column.span) * inner
    return Blocks(0, 1, columns, extent + 2 * across + (tile.most_unroll + 1) * lanes)


def _blocks(layout: Layout, tile: Tile, lanes: int, size: int) -> Blocks:
    """Return the blocks of a picture."""
    across = lanes * tile.vectors
    pitch, columns = _columns_of_block(layout, across, size)
    rows = _rows_of_block(layout, tile.rows, pitch * size)
    planes = math.prod(line.taps for line in layout.outer)
    in_scratch = planes * layout.row.phases * (rows + layout.row.span) + tile.rows
    return Blocks(pitch, rows, columns, (in_scratch + 1) * pitch + across)


def _columns_of_block(layout: Layout, across: int, size: int) -> tuple[int, int]:
    """Return the pitch of scratch memory and the columns of a block."""
    column, inner = layout.column, layout.inner

    def most(pitch: int) -> int:
        return (pitch - across) // (column.phases * inner) - column.span

    def whole(columns: int) -> int:
        """Round up, so that only the last tile of a row is cut off."""
        granule = math.lcm(across, inner) // inner
        return -(-columns // granule) * granule

    widest = SCRATCH_BYTES // (size * max(1, ROWS_PER_SPAN * layout.row.span))
    for number, pitch in enumerate(PITCHES):
        room = most(pitch)
        if room >= column.output:
            return pitch, column.output
        last = pitch >= NARROWEST_CUT and (pitch == PITCHES[-1] or PITCHES[number + 1] > widest)
        if last and room >= 2 * column.span and room * inner >= across:
            count = -(-column.output // room)
            even = whole(-(-column.output // count))
            return pitch, min(even, room)
    columns = min(column.output, max(whole(column.span), whole(1)))
    needed = (columns + column.span) * column.phases * inner + across
    lines = -(-needed // 16)
    return (lines + 1 - lines % 2) * 16, columns


def _rows_of_block(layout: Layout, granule: int, row_bytes: int) -> int:
    row = layout.row
    planes = math.prod(line.taps for line in layout.outer)
    room = SCRATCH_BYTES // (row_bytes * planes * row.phases) - row.span
    room = min(max(room, row.span // 2, 2 * granule), MOST_BLOCK_ROWS)
    # A few blocks at least, so that threads have something to share.
    room = min(room, max(-(-row.output // 8), 2 * granule))
    return min(-(-room // granule) * granule, row.output)


def _picture_sections(
    layout: Layout, tile: Tile, blocks: Blocks
) -> tuple[tuple[Section, ...], NDArray[np.int64]]:
    """Return the sections of a picture's taps: rows in groups, along them all columns."""
    row, column = layout.row, layout.column
    planes = math.prod(line.taps for line in layout.outer)
    pitch, phase_rows = blocks.pitch, blocks.rows + row.span
    plane_rows = row.phases * phase_rows
    groups = _row_groups(row, tile.most_unroll)
    sections, order = [], []
    numbers = np.arange(planes * row.taps * column.taps).reshape(planes, row.taps, column.taps)
    for unroll, firsts in groups:
        bases = []
        for plane in range(planes):
            for first in firsts:
                bases.append((plane * plane_rows + row.place(first, phase_rows)) * pitch)
                order.append(numbers[plane, first : first + unroll].T.ravel())
        sections.append(Section(unroll, column.taps, tuple(bases)))
    return tuple(sections), np.concatenate(order)


def _row_groups(row: Line, most: int) -> list[tuple[int, list[int]]]:
    """Return how many tap rows share loads, and where the groups of so many begin."""
    if row.dilation != row.stride:  # their rows in scratch memory do not follow each other
        return [(1, list(range(row.taps)))]
    if row.taps <= most:
        return [(row.taps, [0])]
    unroll = max(range(most // 2 + 1, most + 1), key=lambda u: ((row.taps - 1) % u, u))
    whole = row.taps // unroll * unroll
    groups = [(unroll, list(range(0, whole, unroll)))]
    if whole < row.taps:
        groups.append((row.taps - whole, [whole]))
    return groups


def _signal_sections(
    layout: Layout, tile: Tile, lanes: int
) -> tuple[tuple[Section, ...], NDArray[np.int64]]:
    """Return the sections of a signal's taps: those a vector apart share loads."""
    column = layout.column
    spacing = column.dilation * layout.inner
    if column.stride > 1 or lanes % spacing:
        return (Section(1, column.taps, (0,)),), np.arange(column.taps)
    per_vector = lanes // spacing
    sections, order = [], []
    whole, rest = divmod(column.taps, per_vector)
    # Tap columns of which the kernel has one tap more, then the others.
    for first, columns, rows in ((0, rest, whole + 1), (rest, per_vector - rest, whole)):
        for unroll, groups in _groups(rows if columns else 0, tile.most_unroll):
            bases = tuple((first + g * per_vector) * spacing for g in groups)
            sections.append(Section(unroll, columns, bases))
            steps = np.arange(unroll)[None, None] * per_vector + np.arange(columns)[None, :, None]
            starts = np.array(groups)[:, None, None] * per_vector + first
            order.append((starts + steps).ravel())
    return tuple(sections), np.concatenate(order)


def _groups(rows: int, most: int) -> list[tuple[int, list[int]]]:
    """Return how many rows of taps share loads, and where the groups of so many begin."""
    found, start = [], 0
    for unroll in range(most, 0, -1):
        count = (rows - start) // unroll
        if count:
            found.append((unroll, [start + unroll * g for g in range(count)]))
            start += count * unroll
    return found
