"""The caller's arrays, as packing reads them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.kernels.pack_rows import SOURCE_TYPES
from convoi.kernels.packing import adjacency
from convoi.runtime.buffers import address_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from convoi.ops import Array, Shape

FEW = 256
"""Numbers that Python looks through sooner than NumPy, whose code a step has left no cache to."""


@dataclass(frozen=True)
class Source:
    """An array of samples ``(n, *input_shape)`` that packing reads in place."""

    array: Array
    rows: NDArray[np.int64] | None
    """The samples to read; None: all, in their order."""
    dtype: str
    geometry: NDArray[np.int64]
    """Byte strides: of samples, channels and each spatial axis."""
    geometry_address: int
    contiguous: bool
    """Whether the last axis has unit stride."""
    channels_last: bool
    """Whether the channels are adjacent, and so are the positions of the last axis."""

    @property
    def address(self) -> int:
        """Where the first element lies."""
        return address_of(self.array)

    def __len__(self) -> int:
        """Return the number of samples to read."""
        return len(self.array if self.rows is None else self.rows)


def open_source(X: ArrayLike, input_shape: Shape, indices: ArrayLike | None = None) -> Source:
    """Return an array, or some rows of it, as a source.

    Only dtypes that packing cannot read are converted, and then only the rows that are wanted.

    Raises
    ------
    ShapeError
        If the samples have another shape.
    ArgumentTypeError
        If the array holds no real numbers, or the indices are no integers.
    ArgumentError
        If an index leads outside of the array.
    """
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
    rows = None if indices is None else _checked_rows(indices, len(array))
    name = _readable(array.dtype)
    if name is None:
        if rows is not None:
            array, rows = array[rows], None
        exact_in_float32 = array.dtype.itemsize <= np.dtype(np.float16).itemsize
        array = array.astype(np.float32 if exact_in_float32 else np.float64)
        name = array.dtype.name
    return Source(array, rows, name, *_geometry(array.strides, array.itemsize, input_shape[0]))


@cache
def _readable(dtype: np.dtype[Any]) -> str | None:
    """Return the name of a dtype that packing reads, None for others."""
    return dtype.name if dtype.isnative and dtype.name in SOURCE_TYPES else None


@lru_cache(maxsize=256)
def _geometry(
    strides: tuple[int, ...], itemsize: int, channels: int
) -> tuple[NDArray[np.int64], int, bool, bool]:
    """Return strides as kernels read them, and what they mean for packing."""
    geometry = np.array(strides, np.int64)
    geometry.flags.writeable = False
    return geometry, address_of(geometry), *adjacency(strides, itemsize, channels)


def _checked_rows(indices: ArrayLike, samples: int) -> NDArray[np.int64]:
    """Return indices as int64, none of which leads outside of the array."""
    rows = np.asarray(indices)
    if rows.ndim != 1:
        message = f"The 'indices' parameter must have one axis, got the shape {rows.shape}."
        raise ShapeError(message)
    if rows.size and rows.dtype.kind not in "iu":
        message = (
            f"The 'indices' parameter must be an array of integers, got the dtype {rows.dtype}. "
            "Give the numbers of the rows."
        )
        raise ArgumentTypeError(message)
    numbers = np.ascontiguousarray(rows, np.int64)
    if not are_below(numbers, samples):
        message = (
            f"The 'indices' parameter must hold row numbers from 0 to {samples - 1}, got numbers "
            f"from {rows.min()} to {rows.max()}. Give rows of 'X' only."
        )
        raise ArgumentError(message)
    return numbers


def are_below(numbers: NDArray[np.int64], limit: int) -> bool:
    """Tell whether all numbers are from 0 to below a limit."""
    if numbers.size <= FEW:
        few = numbers.ravel().tolist()
        return not few or (min(few) >= 0 and max(few) < limit)
    # Seen without a sign, negative numbers are the largest: one pass tells both.
    return int(numbers.view(np.uint64).max()) < limit
