"""Finding square blocks of weights that backward passes hold transposed.

Weights are packed for the backward pass by copying each from its place among the parameters. Most
of these copies are transpositions of blocks of output by input channels, which registers do many
times as quickly as copies one by one: what remains at the edges of channels that are no multiple of
the lanes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WIDTHS = (1, 2, 3, 4, 6, 8)
"""Vectors from one row of a block to the next: up to four, of which each may be two of a block."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Square blocks of so many lanes that cover some copies ``output[i] = source[index[i]]``."""

    lanes: int
    records: NDArray[np.int64]
    """Of each block ``source, source_step, output, output_step``: element ``j`` of the source's row
    ``i``, at ``source + i * source_step + j``, goes to element ``i`` of the output's row ``j``."""
    rest: NDArray[np.bool_]
    """Which elements of the output are in no block."""


def widest_blocks(index: NDArray[np.int64], widths: Sequence[int]) -> Blocks:
    """Return the blocks that leave the least, as wide as may be.

    Blocks of several widths would read most lines of memory several times. (1280 channels to 1000
    classes, which lie eight by eight, from memory on a Zen 4: copied one by one 1.9 ms, in blocks
    of 16 and for the rest of 8 1.8 ms, in blocks of 8 1.25 ms.)
    """
    return min((transposed_blocks(index, w) for w in widths), key=lambda found: found.rest.sum())


def transposed_blocks(index: NDArray[np.int64], lanes: int) -> Blocks:
    """Return the blocks of so many lanes that cover as many copies as they can.

    Parameters
    ----------
    index : ndarray of int64, shape (n,)
        Where each element comes from; 0, of which there is no row, for padding.
    lanes : int
        Rows and columns of a block.
    """
    rows = index[: index.size // lanes * lanes].reshape(-1, lanes)
    first, step = rows[:, 0], rows[:, 1] - rows[:, 0]
    free = ((rows[:, 2:] - rows[:, 1:-1]) == step[:, np.newaxis]).all(axis=1) & (step > 0)
    rest = np.ones(index.size, bool)
    outside = rest[: rows.size].reshape(rows.shape)
    found = [np.zeros((0, 4), np.int64)]
    for width in WIDTHS:
        starts = _starts(first, step, free, width, lanes)
        blocks = starts[:, np.newaxis] + width * np.arange(lanes)
        free[blocks] = outside[blocks] = False
        apart = np.full(len(starts), width * lanes)
        found.append(np.stack([first[starts], step[starts], starts * lanes, apart], axis=1))
    return Blocks(lanes, np.concatenate(found), rest)


def _starts(
    first: NDArray[np.int64],
    step: NDArray[np.int64],
    free: NDArray[np.bool_],
    width: int,
    lanes: int,
) -> NDArray[np.int64]:
    """Return the rows that begin a block whose rows are so many rows apart."""
    count = -(-len(first) // width) * width
    follows = np.zeros(count, bool)
    follows[width : len(first)] = (
        (first[width:] == first[:-width] + 1)
        & (step[width:] == step[:-width])
        & free[width:]
        & free[:-width]
    )
    chains = follows.reshape(-1, width)
    numbers = np.arange(len(chains))[:, np.newaxis]
    place = numbers - np.maximum.accumulate(np.where(chains, 0, numbers), axis=0)
    begins = place % lanes == 0
    whole = np.zeros_like(begins)
    ends = place[lanes - 1 :]
    whole[: len(ends)] = ends == place[: len(ends)] + lanes - 1
    rows: NDArray[np.int64] = np.flatnonzero(begins & whole)
    return rows
