"""Pools that a convolution makes of what it computes, while the vectors are in registers.

Windows that neither overlap nor reach beyond the grid cut the positions of a tile into parts, if
its sides are multiples of theirs. The kernel then stores one vector for each window; what was
pooled is written nowhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import constant
from convoi.kernels.lanes import tree
from convoi.kernels.pool import largest
from convoi.kernels.winners import first_largest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Value
    from convoi.kernels.layout import Layout


@dataclass(frozen=True)
class EpiloguePool:
    """What is stored of each window of positions: here, each position by itself."""

    name: ClassVar[str] = ""
    """That of the operation."""

    size: tuple[int, ...] = ()
    """Positions of a window along each axis; empty: one."""

    @property
    def extra(self) -> tuple[Layout, ...]:
        """What is stored besides the output; the pointers precede the output's."""
        return ()

    @property
    def taps(self) -> int:
        """Positions of a window."""
        return math.prod(self.size)

    def side(self, axis: int) -> int:
        """Return the positions of a window along an axis."""
        return self.size[axis] if self.size else 1

    def emit(self, f: Function, values: Sequence[Value]) -> list[Value]:
        """Return the extra vectors of a window, and its output; values are in scan order."""
        del f
        return list(values)


NO_POOL = EpiloguePool()


@dataclass(frozen=True)
class EpilogueMaximum(EpiloguePool):
    """The largest value of each window; NaN if there is one."""

    name: ClassVar[str] = "MaxPool"

    def emit(self, f: Function, values: Sequence[Value]) -> list[Value]:
        """Return it."""
        return [largest(f, values)]


@dataclass(frozen=True)
class EpilogueAverage(EpiloguePool):
    """The average of each window."""

    name: ClassVar[str] = "AveragePool"

    def emit(self, f: Function, values: Sequence[Value]) -> list[Value]:
        """Return it."""
        total = tree(values, f.fadd)
        return [f.fmul(total, constant(total.type, 1 / self.taps))]


@dataclass(frozen=True, kw_only=True)
class EpilogueWinners(EpiloguePool):
    """The largest value of each window, and the number of its place in a byte.

    They are those of :class:`~convoi.kernels.winners.MaxPoolWinners`.
    """

    name: ClassVar[str] = "MaxPool"

    winners: Layout
    rectified: bool

    @property
    def extra(self) -> tuple[Layout, ...]:
        """The winners."""
        return (self.winners,)

    def emit(self, f: Function, values: Sequence[Value]) -> list[Value]:
        """Return the winner's number, and its value."""
        top, number = first_largest(f, values, self.winners.lanes, rectified=self.rectified)
        return [f.convert("trunc", number, self.winners.vector), top]
