"""Repeating every position, and the gradient of that.

    upsample           y[c, q]  = x[c, q // scale]
    its gradient       dx[c, q] = sum over r < scale of dy[c, q * scale + r]

Both are windows of the size ``scale`` over the finer grid that neither overlap nor leave gaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.pool import sum_taps
from convoi.kernels.spans import Sample, each_sample
from convoi.kernels.windows import Elements, Window, Windows, each_window, fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout


def _tiling(fine: Layout, coarse: Layout, scale: tuple[int, ...]) -> Windows:
    return Windows((fine,), (coarse,), scale, scale, ((0, 0),) * len(scale))


@dataclass(frozen=True)
class Upsample(Kernel):
    """Repeat every position ``scale`` times along each axis (nearest neighbour)."""

    arguments: ClassVar[tuple[str, ...]] = ("x", "y")

    x: Layout
    y: Layout
    scale: tuple[int, ...]

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples and windows."""

        def one(x: Sample, y: Sample) -> None:
            def repeat(window: Window, element: Index, blocks: int) -> None:
                values = [x.load(f.add(window.outputs[0], element), b) for b in range(blocks)]

                def write(taps: list[Elements], _: list[Value]) -> list[Value]:
                    for (tap,) in taps:
                        for b, value in enumerate(values):
                            y.store(value, f.add(tap, element), b)
                    return []

                fold(f, window, [], write)

            each_window(f, _tiling(self.y, self.x, self.scale), repeat)

        each_sample(f, call.count, pointers, (self.x, self.y), lambda samples: one(*samples))


@dataclass(frozen=True)
class UpsampleBackward(Kernel):
    """Sum over each block of repeated positions."""

    arguments: ClassVar[tuple[str, ...]] = ("dy", "dx")

    dy: Layout
    dx: Layout
    scale: tuple[int, ...]

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples and windows."""

        def one(dy: Sample, dx: Sample) -> None:
            def gather(window: Window, element: Index, blocks: int) -> None:
                for b, total in enumerate(sum_taps(f, window, dy, element, blocks)):
                    dx.store(total, f.add(window.outputs[0], element), b)

            each_window(f, _tiling(self.dy, self.dx, self.scale), gather)

        each_sample(f, call.count, pointers, (self.dy, self.dx), lambda samples: one(*samples))
