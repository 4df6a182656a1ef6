"""Memory for activations and parameters: aligned, zeroed once, reused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""


def aligned_zeros(size: int, dtype: str = "float32", *, alignment: int = ALIGNMENT) -> NDArray[Any]:
    """Return a zeroed array whose data begins at a multiple of the alignment.

    NumPy asks the operating system for large arrays directly and marks them for huge pages; the
    pages are touched when they are first written.
    """
    itemsize = np.dtype(dtype).itemsize
    raw = np.zeros(size * itemsize + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size * itemsize].view(dtype)


def round_up(size: int, granule: int) -> int:
    """Return the smallest multiple of the granule that is not below the size."""
    return math.ceil(size / granule) * granule
