"""Sums over positions and samples, one for each channel, that a chunk of the batch accumulates.

The sums of a tile of positions are found in registers, several accumulators each, and then added
to memory. So the error grows with the number of tiles, not of positions, and the order of the
additions depends on shapes and convoys alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.codegen.types import constant
from convoi.kernels.lanes import registers, tree
from convoi.runtime.buffers import ALIGNMENT, round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.base import CallArguments
    from convoi.kernels.layout import Layout
    from convoi.kernels.traversal import Point, Stretch, Tile

TILE_BYTES = 16384
"""Of a tensor: what a first-level cache of 32 KiB keeps beside other things."""
TILE_POSITIONS = 8
"""The fewest positions of a tile: the work on a whole tile has to pay off."""


def tile_positions(layout: Layout) -> int:
    """Return how many positions of a tensor make a tile."""
    return max(TILE_POSITIONS, TILE_BYTES // (layout.stride * layout.element.size))


def accumulator_elements(layout: Layout, rows: int) -> int:
    """Return the elements of an accumulator of some vectors per channel.

    It fills cache lines: the accumulators of several chunks are written by different threads.
    """
    return round_up(rows * layout.stride, ALIGNMENT // layout.element.size)


@dataclass(frozen=True)
class GroupShape:
    """How the registers are used for sums over a tile."""

    blocks: int
    """Blocks of channels at a time."""
    sums: int
    """Sums per channel."""
    unroll: int
    """Positions at a time, each with accumulators of its own."""

    @staticmethod
    def widest(layout: Layout, sums: int) -> int:
        """Return the most blocks whose accumulators leave half of the registers free."""
        return min(4, registers(layout) // 4 // sums)

    @classmethod
    def of(cls, layout: Layout, blocks: int, sums: int) -> GroupShape:
        """Return the shape for some blocks: as many accumulators as hide the adder's latency."""
        return cls(blocks, sums, max(1, min(8, registers(layout) // 2 // sums) // blocks))


def tile_sums(
    f: Function,
    layout: Layout,
    tile: Tile | Stretch,
    shape: GroupShape,
    add: Callable[[Point, int, list[Value]], Sequence[Value]],
) -> list[list[Value]]:
    """Emit sums over the positions of a tile; return the sums of each block.

    ``add(point, block, sums)`` emits the additions of one position to one block's sums.
    """
    per_position = shape.blocks * shape.sums

    def body(points: Sequence[Point], carried: list[Value]) -> list[Value]:
        for j, point in enumerate(points):
            for block in range(shape.blocks):
                start = j * per_position + block * shape.sums
                own = slice(start, start + shape.sums)
                carried[own] = add(point, block, carried[own])
        return carried

    zeros = [constant(layout.vector, 0)] * (per_position * shape.unroll)
    totals = tile.each(body, zeros, shape.unroll)
    return [
        [tree(totals[block * shape.sums + i :: per_position], f.fadd) for i in range(shape.sums)]
        for block in range(shape.blocks)
    ]


@dataclass(frozen=True)
class Rows:
    """An array of several vectors per channel: ``[row][stride]``."""

    f: Function
    layout: Layout
    pointer: Value

    def at(self, row: int, channel: Index) -> Value:
        """Return the address of a channel's value."""
        offset = self.f.add(channel, row * self.layout.stride)
        return self.f.at(self.pointer, offset, self.layout.element)

    def load(self, row: int, channel: Index) -> Value:
        """Load the vector that begins at a channel."""
        return self.f.load(self.at(row, channel), self.layout.vector)

    def store(self, value: Value, row: int, channel: Index) -> None:
        """Store the vector that begins at a channel."""
        self.f.store(value, self.at(row, channel))

    def add(self, value: Value, row: int, channel: Index) -> None:
        """Add to the vector that begins at a channel."""
        self.store(self.f.fadd(self.load(row, channel), value), row, channel)

    def clear_when_fresh(self, rows: int, call: CallArguments) -> None:
        """Emit the clearing of so many rows when the sums over a chunk begin."""
        f, layout = self.f, self.layout
        zero = constant(layout.vector, 0)
        with f.when(f.compare("ne", call.fresh, 0)):
            f.loop(rows * layout.stride, lambda i, _: self.store(zero, 0, i), step=layout.lanes)
