"""What each axis of a problem is in the grid of a direct correlation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convoi.signal.problem import Problem, SlidingAxis


@dataclass(frozen=True)
class Roles:
    """What each axis is in the grid."""

    batch: tuple[int, ...]
    outer: tuple[int, ...]
    row: int | None
    column: int
    inner: tuple[int, ...]

    def order(self) -> tuple[int, ...]:
        """Return the axes of the output as the grid has them in memory."""
        row = () if self.row is None else (self.row,)
        return (*self.batch, *self.outer, *row, self.column, *self.inner)


def assign_roles(problem: Problem, pitches: list[int], lanes: int) -> Roles:
    """Decide what each axis is in the grid.

    The last sliding axis has the lanes. Axes after it that only repeat the kernel, such as colours
    or the parts of complex numbers, are merged with it if they lie together in memory.
    """
    *others, column = problem.sliding
    rank = len(problem.x_shape)
    first = rank
    together = 1
    for axis in reversed(range(column + 1, rank)):
        extent = problem.x_shape[axis]
        if problem.kernel_shape[axis] > 1 or (extent > 1 and pitches[axis] != together):
            break
        together *= extent
        first = axis
    inner = tuple(range(first, rank))
    row: int | None = None
    if others:
        *others, row = others
    batch = [a for a in range(rank) if a not in inner and a not in problem.sliding]
    if row is None:
        row = _batch_row(problem, batch, inner, lanes)
        if row is not None:
            batch.remove(row)
    return Roles(tuple(batch), tuple(others), row, column, inner)


def _batch_row(
    problem: Problem, batch: list[int], inner: tuple[int, ...], lanes: int
) -> int | None:
    """Return the batch axis whose signals are the rows of a picture, if that is worth it.

    Long kernels share more loads along the signal. The choice may not depend on the length of
    the signal, because the order of the taps would then depend on it.
    """
    axis: SlidingAxis = problem.axes[0]
    spacing = axis.dilation * math.prod(problem.x_shape[a] for a in inner)
    if axis.stride == 1 and lanes % spacing == 0 and axis.taps >= 2 * lanes // spacing:
        return None
    candidates = [a for a in batch if problem.kernel_shape[a] == 1 and problem.x_shape[a] > 1]
    return max(candidates, key=lambda a: problem.x_shape[a], default=None)
