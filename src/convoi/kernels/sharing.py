"""Units of a kernel's work, which threads share: a grid of two axes, numbered in C order.

A thread does the units from ``begin`` to ``end``. Of the rows of the grid that these lie in, the
first and the last may be done in part:

    for outer in range(begin // inner_count, ceil(end / inner_count)):
        for inner in range(max(begin - outer * inner_count, 0), min(end - ..., inner_count)):

What is computed for one unit is the same whoever does the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index
    from convoi.kernels.base import CallArguments

Bounds = tuple["Index", "Index"]
"""The first of some items, and the one behind the last."""


@dataclass(frozen=True)
class Units:
    """The units that a call is to do."""

    f: Function
    outer_count: int
    inner_count: int
    bounds: Bounds

    @classmethod
    def of(
        cls, f: Function, call: CallArguments, outer: int, inner: int, *, divided: bool
    ) -> Units:
        """Return those of a call: all of them, unless the kernel's work is divided."""
        return cls(f, outer, inner, (call.begin, call.end) if divided else (0, outer * inner))

    @property
    def outer(self) -> Bounds:
        """The rows of the grid that have units of the call."""
        f, (begin, end) = self.f, self.bounds
        if self.inner_count == 1:
            return begin, end
        if isinstance(begin, int) and isinstance(end, int):
            return 0, self.outer_count
        above = f.integer("udiv", f.add(end, self.inner_count - 1), self.inner_count)
        return f.integer("udiv", begin, self.inner_count), above

    def inner(self, outer: Index) -> Bounds:
        """Return the units of the call in a row of the grid."""
        f, (begin, end) = self.f, self.bounds
        if isinstance(begin, int) and isinstance(end, int):
            return 0, self.inner_count
        if self.inner_count == 1:
            return 0, 1
        before = f.mul(outer, self.inner_count)
        low = f.maximum(f.sub(begin, before), 0)
        return low, f.minimum(f.sub(end, before), self.inner_count)


@dataclass(frozen=True)
class WeighedUnits:
    """Units that are blocks times tiles, where a block of so many vectors is so many units.

    The vectors are cut into blocks of one size, the last of which may have fewer. A thread whose
    share begins or ends within a block does that part of the block's tiles.
    """

    f: Function
    blocks: int
    vectors: int
    """Of a block."""
    tiles: int
    bounds: Bounds

    @property
    def outer(self) -> Bounds:
        """The blocks that have units of the call."""
        f, (begin, end) = self.f, self.bounds
        per_block = self.vectors * self.tiles
        first = f.integer("udiv", begin, per_block)
        return first, f.add(f.integer("udiv", f.sub(end, 1), per_block), 1)

    def inner(self, block: Index, vectors: int) -> Bounds:
        """Return the tiles of the call in a block of so many vectors."""
        f = self.f
        before = f.mul(block, self.vectors * self.tiles)

        def tile(unit: Index) -> Index:
            inside = f.value(f.maximum(f.sub(unit, before), 0))
            return f.minimum(f.integer("udiv", inside, vectors), self.tiles)

        return tile(self.bounds[0]), tile(self.bounds[1])


def within(f: Function, bounds: Bounds, first: int, count: int) -> Bounds:
    """Return the bounds of what lies in a run of items, counted from the first of the run."""
    low, high = bounds
    return f.maximum(f.sub(low, first), 0), f.minimum(f.sub(high, first), count)
