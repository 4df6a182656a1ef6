"""How a grid of outputs is cut into the tiles of fast convolution.

Taps that lie d positions apart see every d-th position only. Their outputs are d grids, each of
which is cut into tiles by itself: tile number t along an axis begins at position t % d of the
t // d-th stretch of m d outputs, and its outputs lie d apart.

Axes along which nothing is transformed come first. Taps along them are *stacked*: each is summed as
if it were further input channels, those of the positions that it meets. The first of three axes is
such an axis; its positions are grids of two axes, which are walked through as samples are.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convoi.kernels.forms import form_named
from convoi.runtime.buffers import ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index
    from convoi.kernels.layout import Layout
    from convoi.kernels.transforms import Place

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
    """Grids of a block, of one sample or several; more than one only if it covers them wholly."""
    rows: int = 1
    columns: int = 1
    """Tiles of a block along the last two axes."""
    dilation: tuple[int, ...] = ()
    """Positions from one tap to the next along each axis; empty: 1."""
    plain: tuple[bool, ...] = ()
    """Axes that are not transformed, along which a tile has one position; empty: none."""
    stack: tuple[int, ...] = ()
    """Taps along each axis that is not transformed, 1 for the others; empty: one."""

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
        """Rows and columns of tiles of a grid."""
        pairs = zip(self.covered, self.sides, strict=True)
        rows, columns = [1, *(covered // side for covered, side in pairs)][-2:]
        return rows, columns

    @property
    def grids(self) -> int:
        """Grids of rows and columns that a sample consists of."""
        return math.prod(self.spatial[:-2])

    @property
    def stacked(self) -> int:
        """Taps that are summed as further input channels."""
        return math.prod(self.stack)

    def shifts(self, layout: Layout) -> list[int]:
        """Return the elements from the input of the first stacked tap to that of each."""
        ones = (1,) * len(self.spatial)
        pairs = zip(layout.axis_strides, self.dilation or ones, strict=True)
        steps = [stride * apart for stride, apart in pairs]
        return [
            sum(tap * step for tap, step in zip(taps, steps, strict=True))
            for taps in itertools.product(*map(range, self.stack or ones))
        ]

    @property
    def block(self) -> int:
        """Tiles of a block."""
        return self.samples * self.rows * self.columns

    @property
    def strips(self) -> int:
        """Rows of blocks of a grid, or blocks if they lie in one row; 1 if a block is larger."""
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
        ones = (1,) * len(self.spatial)
        taps = self._along_axes((form_named(self.form).taps,) * len(ones))
        taps = tuple(map(max, taps, self.stack or ones))
        axes = zip(offset, extents, self.covered, taps, self.dilation or ones, strict=True)
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

    def limit(self, axis: int, position: int) -> int | None:
        """Return what the first position of a tile has to be below for one of its own to count.

        None: it always does. Tiles reach beyond the grid at its end.
        """
        extent, apart = self.spatial[axis], self.apart[axis]
        last = self.covered[axis] - self.sides[axis] * apart
        limit = extent - position * apart
        if last + apart - 1 < limit:
            return None
        # Where no tile of the last stretch has it, all others do: their positions have one limit.
        return max(last, limit)


def stacked(layout: Layout, count: int) -> Layout:
    """Return how the channels of some stacked taps lie, one after the other."""
    return layout if count == 1 else replace(layout, channels=count * layout.stride)


def tile_stride(layout: Layout) -> int:
    """Return the elements from one tile to the next in a plane of scratch memory.

    Many channels take an odd number of cache lines. A product reads a few channels of all tiles of
    a block, which would otherwise lie in a few sets of the first-level cache.
    """
    line = ALIGNMENT // layout.element.size
    lines = -(-layout.stride // line)
    return (lines | 1) * line if lines >= ODD_LINES else layout.stride
