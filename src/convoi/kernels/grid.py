"""Which input positions a sliding kernel meets at which output positions, axis by axis.

Forward, an output position ``o`` meets the input positions ``stride * o - low + dilation * r``.
Backward, an input position ``i`` meets the output positions ``(i + low - dilation * r) / stride``
that are whole numbers: those depend on ``i`` modulo the stride, so the positions of an axis fall
into runs (phases), each of which is an ordinary correlation. No zeros are inserted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Pair = tuple[int, int]


@dataclass(frozen=True)
class Taps:
    """The weights that one run meets along an axis, and where: two arithmetic progressions."""

    count: int
    weight: int
    """Index of the first weight."""
    weight_step: int
    offset: int
    """Input position that the first weight meets, relative to the run's."""
    offset_step: int

    @property
    def lowest(self) -> int:
        """The smallest offset."""
        return min(self.offset, self.offset + (self.count - 1) * self.offset_step)

    @property
    def highest(self) -> int:
        """The largest offset."""
        return max(self.offset, self.offset + (self.count - 1) * self.offset_step)


@dataclass(frozen=True)
class Run:
    """Positions of an axis that are computed alike.

    The i-th of them is the output position ``first + step * i``; a tap meets the input position
    ``input_step * i + tap.offset``.
    """

    count: int
    first: int
    step: int
    input_step: int
    taps: Taps


Axis = tuple[Run, ...]


def forward_axis(
    output: int, kernel: int, stride: int, low: int, dilation: int, *, flip: bool = False
) -> Axis:
    """Return the one run of an axis of a correlation (with ``flip``, of a convolution)."""
    taps = Taps(
        count=kernel,
        weight=kernel - 1 if flip else 0,
        weight_step=-1 if flip else 1,
        offset=-low,
        offset_step=dilation,
    )
    return (Run(count=output, first=0, step=1, input_step=stride, taps=taps),)


def backward_axis(
    extent: int, kernel: int, stride: int, low: int, dilation: int, *, flip: bool = False
) -> Axis:
    """Return the runs of an axis of a correlation's gradient with respect to its input."""
    step = stride // math.gcd(stride, dilation)
    runs = []
    for phase in range(stride):
        first = (phase - low) % stride
        count = -(-(extent - first) // stride)
        if count <= 0:
            continue
        meeting = [r for r in range(kernel) if (r * dilation) % stride == phase]
        start = meeting[0] if meeting else 0
        taps = Taps(
            count=len(meeting),
            weight=kernel - 1 - start if flip else start,
            weight_step=-step if flip else step,
            offset=(first + low - start * dilation) // stride,
            offset_step=-(step * dilation) // stride,
        )
        runs.append(Run(count=count, first=first, step=stride, input_step=1, taps=taps))
    return tuple(runs)


def reach(axis: Axis, extent: int) -> Pair:
    """Return how far the taps of an axis reach beyond its input: (low, high), at least zero."""
    low = high = 0
    for run in axis:
        if run.taps.count:
            low = max(low, -run.taps.lowest)
            high = max(high, run.input_step * (run.count - 1) + run.taps.highest - (extent - 1))
    return low, high


def reaches(axes: Sequence[Axis], spatial: Sequence[int]) -> tuple[Pair, ...]:
    """Return :func:`reach` for every axis: the halo that the input needs."""
    return tuple(reach(axis, extent) for axis, extent in zip(axes, spatial, strict=True))
