"""Moving NumPy arrays into and out of the layouts of kernels, on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.runtime.buffers import aligned_zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.kernels.layout import Layout


def to_layout(array: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Return a buffer that holds an array ``(n, channels, *spatial)`` in a layout."""
    buffer = aligned_zeros(len(array) * layout.size, layout.dtype)
    _interior(buffer, layout)[...] = np.moveaxis(array, 1, -1)
    return buffer


def from_layout(buffer: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Return the array ``(n, channels, *spatial)`` that a buffer holds."""
    return np.ascontiguousarray(np.moveaxis(_interior(buffer, layout), -1, 1))


def _interior(buffer: NDArray[Any], layout: Layout) -> NDArray[Any]:
    used = int(np.prod(layout.extents, dtype=int)) * layout.stride
    grid = buffer.reshape(-1, layout.size)[:, :used].reshape(-1, *layout.extents, layout.stride)
    inside = tuple(
        slice(lo, lo + extent) for (lo, _), extent in zip(layout.halo, layout.spatial, strict=True)
    )
    return grid[(slice(None), *inside, slice(layout.channels))]
