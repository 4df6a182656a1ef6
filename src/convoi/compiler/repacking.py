"""Finding square blocks of weights that backward passes hold transposed.

Weights are packed for the backward pass by copying each from its place among the parameters. Most
of these copies are transpositions of blocks of output by input channels, which registers do many
times as quickly as copies one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTHS = (1, 2, 3, 4)
"""Vectors from one row of a block to the next."""


def transposed_blocks(index: NDArray[np.int64], lanes: int) -> NDArray[np.int64] | None:
    """Return blocks that cover all copies ``output[i] = source[index[i]]``.

    Parameters
    ----------
    index : ndarray of int64, shape (n,)
        Where each element comes from.
    lanes : int
        Rows and columns of a block.

    Returns
    -------
    ndarray of int64, shape (blocks, 4), or None
        Of each block ``source, source_step, output, output_step``: element ``j`` of the source's
        row ``i``, at ``source + i * source_step + j``, goes to element ``i`` of the output's row
        ``j``. None if some copies are not of this kind.
    """
    if not index.size or index.size % lanes:
        return None
    rows = index.reshape(-1, lanes)
    first, step = rows[:, 0], rows[:, 1] - rows[:, 0]
    if not ((rows[:, 2:] - rows[:, 1:-1]) == step[:, np.newaxis]).all():
        return None
    free = np.ones(len(rows), bool)
    found = []
    for width in WIDTHS:
        starts = _starts(first, step, free, width, lanes)
        blocks = starts[:, np.newaxis] + width * np.arange(lanes)
        free[blocks] = False
        apart = np.full(len(starts), width * lanes)
        found.append(np.stack([first[starts], step[starts], starts * lanes, apart], axis=1))
    return None if free.any() else np.concatenate(found)


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
