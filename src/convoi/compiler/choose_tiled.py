"""The choice of tiles for convolutions whose weights repeat every few positions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from convoi.compiler.choose import (
    MOST_POSITIONS,
    CorrelateChoice,
    Slot,
    blocks_for,
    tile_cost,
)
from convoi.kernels.correlate import Tile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convoi.codegen.target import Target
    from convoi.kernels.layout import Layout

SAMPLES = (1, 2, 4, 8)
"""Samples of a tile. They lie a whole activation apart, often a multiple of 4 KiB: more of them
than a first-level cache has ways would displace one another."""


def tiled_choice(y: Layout, counts: Sequence[int], target: Target) -> CorrelateChoice:
    """Return the blocks and the tile for a grid of positions that share weights.

    Where the positions that share weights are few, a tile spans samples too, so that each vector
    of weights is loaded once for all of them.
    """
    limits = MOST_POSITIONS[target.registers]
    slot = Slot(y.vector.size, target)
    rows = max(counts[-2], 1) if len(counts) > 1 else 1
    columns = max(counts[-1], 1)
    best: tuple[float, CorrelateChoice] | None = None
    for size in range(1, min(max(limits), y.blocks) + 1):
        blocks = blocks_for(y.blocks, size)
        for tile in _tiles(limits[size], rows, columns):
            tiles = -(-rows // tile.rows) * -(-columns // tile.columns) / tile.samples
            cost = sum(tile_cost(block, tile.positions, slot) for block in blocks) * tiles
            if best is None or cost < best[0] - 1e-9:
                best = (cost, CorrelateChoice(blocks, tile))
    if best is None:  # pragma: no cover - a tile of one position is always among them
        message = "a convolution without output channels"
        raise ValueError(message)
    return best[1]


def _tiles(most: int, rows: int, columns: int) -> Iterator[Tile]:
    """Yield the tiles of at most so many positions; they span samples once they span the grid."""
    for height, width in itertools.product(range(1, rows + 1), range(1, columns + 1)):
        if height * width > most or (height > 1 and width < columns):
            continue
        whole = height == rows and width == columns
        for samples in SAMPLES if whole else SAMPLES[:1]:
            if samples * height * width <= most:
                yield Tile(samples, height, width)
