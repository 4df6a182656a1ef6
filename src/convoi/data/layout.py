"""From arrays as people store them to samples of shape ``(n, channels, *spatial)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from convoi.data.sources import ArraySource
from convoi.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.data.options import Layout
    from convoi.data.sources import SampleSource

ValueRange: TypeAlias = "tuple[float, float]"

MAX_CHANNELS = 4
"""Longest axis that can be taken for the channels of images: grey, RGB, RGBA."""

_CHECKED_ELEMENTS = 1 << 22  # per step of a check, so that a mapped array is not read at once


def to_samples(
    array: NDArray[Any], *, layout: Layout, what: str
) -> tuple[NDArray[Any] | SampleSource, ValueRange | None]:
    """Return an array as samples, and the values that stand for black and white if known.

    uint8 stays as it is, booleans become 0 and 1 in uint8, other real numbers become float32. A
    memory-mapped array is converted only as its samples are taken.
    """
    array = _channels_first(array, layout, what)
    if 0 in array.shape:
        raise DataError(
            f"{what} holds an array of shape {array.shape}, which is empty. "
            "Every axis needs at least one element."
        )
    if array.dtype == np.uint8:
        return array, (0.0, 255.0)
    if array.dtype == np.bool_:
        # A stored boolean may be any byte; all but 0 are true.
        return np.minimum(array.view(np.uint8), np.uint8(1)), (0.0, 1.0)
    if array.dtype.kind not in "iuf":
        raise DataError(
            f"{what} holds samples of dtype {array.dtype}. "
            "Store them as uint8, as another real number or as booleans."
        )
    _check_finite(array, what)
    if isinstance(array, np.memmap) and array.dtype != np.float32:
        return ArraySource(array, np.dtype(np.float32)), None
    return array.astype(np.float32, copy=False), None


def _channels_first(array: NDArray[Any], layout: Layout, what: str) -> NDArray[Any]:
    """Return a view with the channels on axis 1."""
    least = 2 if layout == "no_channels" else 3
    if array.ndim < least:
        raise DataError(
            f"{what} holds an array of shape {array.shape}. Samples need at least {least} axes, "
            "as (n, height, width) for images. Reshape it"
            + (
                ", or give layout='no_channels' for series of shape (n, time)."
                if array.ndim == 2
                else "."
            )
        )
    if layout == "auto":
        layout = _recognised_layout(array.shape, what)
    if layout == "no_channels":
        return array[:, np.newaxis]
    return array if layout == "channels_first" else np.moveaxis(array, -1, 1)


def _recognised_layout(shape: tuple[int, ...], what: str) -> Layout:
    """Apply the rule for images: of axes 1 and 3, one only is short enough to be the channels."""
    rank = len(shape)
    if rank == 3:
        return "no_channels"
    problem = f"{what} holds an array of shape {shape}"
    remedy = "Give layout='channels_first', 'channels_last' or 'no_channels'"
    if rank > 4:
        raise DataError(f"{problem}, whose axes could mean several things. {remedy}.")
    first, last = shape[1] <= MAX_CHANNELS, shape[3] <= MAX_CHANNELS
    if first == last:
        which = "both axis 1 and axis 3" if first else "neither axis 1 nor axis 3"
        raise DataError(
            f"{problem}, where {which} can be the channels of images (at most {MAX_CHANNELS}). "
            f"{remedy}."
        )
    return "channels_first" if first else "channels_last"


def _check_finite(array: NDArray[Any], what: str) -> None:
    """Raise if a sample has a value that float32 does not hold."""
    if array.dtype.kind != "f":
        return
    step = max(1, _CHECKED_ELEMENTS * len(array) // array.size)
    for start in range(0, len(array), step):
        part = array[start : start + step]
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(part.astype(np.float32, copy=False))
        if bad.any():
            sample = start + int(np.argmax(bad.reshape(len(part), -1).any(axis=1)))
            raise DataError(
                f"Sample {sample} of {what} has a value that is NaN, infinite or beyond "
                "float32. Remove or repair the sample."
            )
