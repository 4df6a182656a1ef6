"""How the outputs of a correlation are cut into the blocks of a Fourier transform."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convoi.signal.problem import Problem, SlidingAxis

BLOCK_ELEMENTS = 2**17
"""The longest transform of a block."""


@dataclass(frozen=True)
class AxisBlocks:
    """How the positions of an axis (outputs before the stride) are cut into blocks."""

    positions: int
    block: int
    length: int
    """Of the transform."""

    @property
    def count(self) -> int:
        """The number of blocks."""
        return -(-self.positions // self.block)


def positions_of(axis: SlidingAxis) -> int:
    """Return the outputs of an axis before the stride leaves some out."""
    return (axis.output - 1) * axis.stride + 1


def whole_blocks(problem: Problem, fill: complex, *, real: bool) -> tuple[AxisBlocks, ...]:
    """Return one block for everything."""
    zero = problem.boundary == "constant" and fill == 0
    blocks = []
    for axis in problem.axes:
        positions = positions_of(axis)
        needed = positions + axis.reach - 1
        if zero:  # of the zeros beyond the ends, only those that would wrap around are needed
            needed = max(
                axis.extent + min(axis.low, axis.reach - 1), positions + axis.reach - 1 - axis.low
            )
            needed = max(needed, positions, axis.reach)
        blocks.append(AxisBlocks(positions, positions, fast_length(needed, real=real)))
    return tuple(blocks)


def cut_blocks(problem: Problem, *, real: bool) -> tuple[AxisBlocks, ...]:
    """Return blocks of the least work whose transforms fit the cache.

    The work per output is ``N log N`` of the transform over the outputs that it gives. Axes are
    chosen together, because they share the room.
    """
    candidates = []
    for axis in problem.axes:
        positions = positions_of(axis)
        longest = fast_length(positions + axis.reach - 1, real=real)
        lengths = {longest}
        length = 64
        while length < 2 * axis.reach:
            length *= 2
        while length < longest and length <= 8 * max(axis.reach, 2**13):
            lengths.add(length)
            length *= 2
        candidates.append([(axis, positions, length) for length in sorted(lengths)])

    def cost(choice: tuple[tuple[SlidingAxis, int, int], ...]) -> float:
        size = math.prod(length for _, _, length in choice)
        count = math.prod(
            -(-positions // (length - axis.reach + 1)) for axis, positions, length in choice
        )
        beyond = 1 + max(0.0, math.log2(size / BLOCK_ELEMENTS))
        return count * (size * math.log2(max(size, 2)) * beyond + 2000)

    best = min(itertools.product(*candidates), key=cost)
    return tuple(
        AxisBlocks(positions, min(length - axis.reach + 1, positions), length)
        for axis, positions, length in best
    )


def fast_length(length: int, *, real: bool) -> int:
    """Return a length not below this one whose transform is quick."""
    from scipy.fft import next_fast_len  # noqa: PLC0415 - kept out of the import

    return int(next_fast_len(length, real=real))
