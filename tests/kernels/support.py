"""Buffers for tests of kernels: what a kernel may not read is NaN, what it may not write is known.

Inputs have NaN in their halo unless the kernel may read it. Outputs are followed by a sample that
no kernel may touch, and are filled with a number that must be gone where they are written.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convoi.codegen.types import FLOATS
from convoi.runtime.buffers import aligned_zeros
from tests.kernels.harness import ALL_TARGETS, target_named

if TYPE_CHECKING:
    from convoi.codegen.target import Target
    from convoi.kernels.layout import Layout

UNTOUCHED = 7.25

every_machine = pytest.mark.parametrize(
    ("cpu", "dtype"),
    [(cpu, dtype) for cpu in ALL_TARGETS for dtype in FLOATS],
    ids=lambda value: value.removeprefix("x86-64-"),
)
"""Runs a test for every target and dtype."""


def machine(cpu: str, dtype: str) -> tuple[Target, int]:
    """Return a target and how many lanes its vectors of a dtype have."""
    target = target_named(cpu)
    return target, target.lanes(dtype)


def grid(buffer: np.ndarray, layout: Layout) -> np.ndarray:
    """Return a view (n, *extents, stride) of a buffer."""
    used = prod(layout.extents) * layout.stride
    return buffer.reshape(-1, layout.size)[:, :used].reshape(-1, *layout.extents, layout.stride)


def interior(buffer: np.ndarray, layout: Layout) -> np.ndarray:
    """Return a view (n, *spatial, stride) of a buffer: what lies inside the halo."""
    inside = (
        slice(low, low + extent)
        for (low, _), extent in zip(layout.halo, layout.spatial, strict=True)
    )
    return grid(buffer, layout)[(slice(None), *inside)]


def placed(array: np.ndarray, layout: Layout, *, beyond: float, halo: float = np.nan) -> np.ndarray:
    """Return a buffer with an array (n, channels, *spatial); `beyond` fills the other lanes."""
    buffer = aligned_zeros(len(array) * layout.size, layout.dtype)
    buffer[...] = np.nan
    grid(buffer, layout)[...] = halo
    values = interior(buffer, layout)
    values[...] = beyond
    values[..., : layout.channels] = np.moveaxis(array, 1, -1)
    return buffer


def activation(array: np.ndarray, layout: Layout) -> np.ndarray:
    """Return a buffer with an activation: lanes beyond the channels hold anything finite."""
    return placed(array, layout, beyond=3.5)


def gradient(array: np.ndarray, layout: Layout) -> np.ndarray:
    """Return a buffer with a gradient: lanes beyond the channels are zero."""
    return placed(array, layout, beyond=0)


def output(layout: Layout, count: int) -> np.ndarray:
    """Return a buffer for the samples that a kernel writes, and one more."""
    buffer = aligned_zeros((count + 1) * layout.size, layout.dtype)
    buffer[...] = UNTOUCHED
    grid(buffer, layout)[...] = 0
    interior(buffer, layout)[...] = UNTOUCHED
    return buffer


def written(buffer: np.ndarray, layout: Layout, *, zero_beyond: bool = True) -> np.ndarray:
    """Return what a kernel wrote, (n, channels, *spatial), after checking all else it did."""
    inside = interior(buffer, layout)
    result = np.moveaxis(inside[:-1, ..., : layout.channels], -1, 1).copy()
    beyond = inside[:-1, ..., layout.channels :]
    assert np.all(beyond == 0) if zero_beyond else np.all(np.isfinite(beyond))
    rest = buffer.copy()
    interior(rest, layout)[:-1] = UNTOUCHED
    np.testing.assert_array_equal(rest, output(layout, len(inside) - 1))
    return result


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    """Compare with the accuracy of the dtype."""
    epsilon = np.finfo(actual.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=20 * epsilon, atol=20 * epsilon)
