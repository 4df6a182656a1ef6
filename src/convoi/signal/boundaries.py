"""What an input is taken to be beyond its ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Boundary: TypeAlias = Literal["constant", "edge", "reflect", "symmetric", "wrap"]
BOUNDARIES: tuple[Boundary, ...] = get_args(Boundary)

UNBOUNDED = 2**62
"""Beyond every position of an array."""


@dataclass(frozen=True)
class Extension:
    """How a position, anywhere on the line, is mapped to one of the input.

    It is clipped to ``smallest..largest``, taken modulo ``period``, and where that is not below
    the extent it is subtracted from ``mirror``.
    """

    smallest: int
    largest: int
    period: int
    mirror: int


def extension(boundary: Boundary, extent: int) -> Extension:
    """Return the mapping of a boundary for an axis; that of ``constant`` is never used outside."""
    if boundary == "edge":
        return Extension(0, extent - 1, extent, 0)
    if boundary == "symmetric":
        return Extension(-UNBOUNDED, UNBOUNDED, 2 * extent, 2 * extent - 1)
    if boundary == "reflect" and extent > 1:
        return Extension(-UNBOUNDED, UNBOUNDED, 2 * extent - 2, 2 * extent - 2)
    return Extension(-UNBOUNDED, UNBOUNDED, extent, 0)


def source_positions(
    positions: NDArray[np.int64], boundary: Boundary, extent: int
) -> NDArray[np.int64]:
    """Return where in the input each position is found; -1 where the fill value stands."""
    rule = extension(boundary, extent)
    rest = np.clip(positions, rule.smallest, rule.largest) % rule.period
    mapped = np.where(rest >= extent, rule.mirror - rest, rest)
    if boundary == "constant":
        mapped = np.where((positions < 0) | (positions >= extent), -1, mapped)
    return mapped
