"""Which channels of a series a random kernel looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convoi.errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def choose_channels(
    channels: int, limits: NDArray[np.int64], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | tuple[None, None]:
    """Return how many channels each kernel takes and which, or nothing for one channel.

    The number is 2 to the power of a uniform number, cut off, and at most the kernel's limit; the
    channels of a kernel differ from each other.
    """
    if channels == 1:
        return None, None
    exponent = random.random(len(limits)) * np.log2(np.minimum(limits, channels) + 1)
    counts = np.minimum((2**exponent).astype(np.int64), np.minimum(limits, channels))
    indices = [random.choice(channels, count, replace=False) for count in counts]
    return counts, np.concatenate(indices).astype(np.int64)


def check_channels(
    counts: ArrayLike | None, indices: ArrayLike | None, kernels: int, owner: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | tuple[None, None]:
    """Return what a user gave as numbers and indices of channels."""
    if counts is None and indices is None:
        return None, None
    numbers, chosen = (np.asarray(a if a is not None else []) for a in (counts, indices))
    if (
        numbers.dtype.kind not in "iu"
        or chosen.dtype.kind not in "iu"
        or numbers.shape != (kernels,)
        or numbers.min() < 1
        or chosen.shape != (int(numbers.sum()),)
        or chosen.min() < 0
    ):
        raise ArgumentError(
            f"The numbers of channels of {owner} must be {kernels} integers greater than or equal "
            "to 1, and 'channel_indices' as many integers greater than or equal to 0 as they sum "
            f"to. Got arrays of shape {numbers.shape} and {chosen.shape} instead."
        )
    return np.ascontiguousarray(numbers, np.int64), np.ascontiguousarray(chosen, np.int64)


def choice_table(
    counts: NDArray[np.int64] | None, indices: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], ...]:
    """Return where the channels of each kernel begin, and the channels."""
    if counts is None or indices is None:
        return ()
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), indices
