"""The caller's arrays, as packing reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convoi.errors import ArgumentTypeError, ShapeError
from convoi.kernels.pack_rows import SOURCE_TYPES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from convoi.ops import Array, Shape


@dataclass(frozen=True)
class Source:
    """An array of samples ``(n, *input_shape)`` that packing reads in place."""

    array: Array
    geometry: NDArray[np.int64]
    """Byte strides: of samples, channels and each spatial axis."""
    dtype: str
    contiguous: bool
    """Whether the last axis has unit stride."""
    channels_last: bool
    """Whether the channels are adjacent, and so are the positions of the last axis."""

    @property
    def address(self) -> int:
        """Where the first element lies."""
        return int(self.array.ctypes.data)


def open_source(X: ArrayLike, input_shape: Shape) -> Source:
    """Return an array as a source; only dtypes that packing cannot read are converted."""
    array = np.asarray(X)
    if array.shape[1:] != input_shape:
        wanted = ", ".join(("n", *map(str, input_shape)))
        message = (
            f"The 'X' parameter must have the shape ({wanted}), got {array.shape}. "
            "Arrange it as samples, channels, then the spatial axes."
        )
        raise ShapeError(message)
    if array.dtype.kind not in "biuf":
        message = (
            f"The 'X' parameter must be an array of booleans, integers or floats, got the dtype "
            f"{array.dtype}. Convert it to numbers."
        )
        raise ArgumentTypeError(message)
    if array.dtype.name not in SOURCE_TYPES or not array.dtype.isnative:
        array = array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
    strides = np.array(array.strides, np.int64)
    itemsize = array.itemsize
    contiguous = bool(strides[-1] == itemsize) or array.shape[-1] == 1
    channels = array.shape[1]
    interleaved = bool(
        array.ndim > 2
        and channels > 1
        and strides[1] == itemsize
        and strides[-1] == channels * itemsize
    )
    return Source(array, strides, array.dtype.name, contiguous and not interleaved, interleaved)
