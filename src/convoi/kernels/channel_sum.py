"""The gradient of a bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.lanes import groups
from convoi.kernels.sources import origin
from convoi.kernels.sums import (
    GroupShape,
    Rows,
    accumulator_elements,
    tile_positions,
    tile_sums,
)
from convoi.kernels.traversal import Point, Tile, Traversal, steps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout


@dataclass(frozen=True)
class ChannelSumAccumulate(Kernel):
    """Sum over positions and samples, per channel: the gradient of a bias.

    ``accumulator[k] += sum over n, p of dy[n, p, k]``; fresh sums begin at zero. The accumulator
    has the layout's ``stride`` elements.
    """

    arguments: ClassVar[tuple[str, ...]] = ("dy", "accumulator")

    dy: Layout

    @property
    def accumulator_size(self) -> int:
        """Elements of a chunk's accumulator."""
        return accumulator_elements(self.dy, 1)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the sums of each tile and group of channels."""
        dy, accumulator = pointers
        layout = self.dy
        base = origin(f, dy, layout)
        rows = Rows(f, layout, accumulator)
        rows.clear_when_fresh(1, call)
        traversal = Traversal(f, layout.spatial, [steps_of(layout)], call)

        def one_tile(tile: Tile) -> None:
            def one_group(channel: Index, blocks: int) -> None:
                def add(point: Point, block: int, sums: list[Value]) -> list[Value]:
                    offset = f.add(f.add(point[0], channel), block * layout.lanes)
                    return [f.fadd(sums[0], f.load(f.at(base, offset, layout.element), vector))]

                shape = GroupShape.of(layout, blocks, sums=1)
                for block, (total,) in enumerate(tile_sums(f, layout, tile, shape, add)):
                    rows.add(total, 0, f.add(channel, block * layout.lanes))

            groups(f, layout, GroupShape.widest(layout, sums=1), one_group)

        vector = layout.vector
        traversal.tiles(tile_positions(layout), one_tile)
