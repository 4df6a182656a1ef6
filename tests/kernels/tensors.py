"""Tensors in the layouts of kernels, built and read without the code under test."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convoi.kernels.layout import Layout
from convoi.kernels.moments import Partial
from convoi.runtime.buffers import aligned_zeros

MACHINES = [
    ("x86-64-v2", "float32"),
    ("x86-64-v2", "float64"),
    ("x86-64-v3", "float32"),
    ("x86-64-v3", "float64"),
    ("x86-64-v4", "float32"),
    ("x86-64-v4", "float64"),
]
"""Each vector width in each element type."""

LANES = {"x86-64-v2": 16, "x86-64-v3": 32, "x86-64-v4": 64}
"""Bytes of a vector."""


def layout_for(machine, channels, spatial, halo=()):
    """Return a layout in the full vectors of a machine."""
    cpu, dtype = machine
    return Layout(channels, spatial, LANES[cpu] // np.dtype(dtype).itemsize, dtype, halo)


def inside(buffer, layout):
    """Return a view of the positions without the halo, with all lanes: (n, *spatial, stride)."""
    n = len(buffer) // layout.size
    steps = [layout.size, *layout.axis_strides, 1]
    return as_strided(
        buffer[layout.origin :],
        (n, *layout.spatial, layout.stride),
        [step * buffer.itemsize for step in steps],
    )


def stored(array, layout, *, beyond=0.0):
    """Return a buffer that holds ``(n, channels, *spatial)``; lanes beyond hold a number."""
    buffer = aligned_zeros(len(array) * layout.size, layout.dtype)
    view = inside(buffer, layout)
    view[..., layout.channels :] = beyond
    view[..., : layout.channels] = np.moveaxis(array, 1, -1)
    return buffer


def unwritten(count, layout):
    """Return a buffer in which every element tells whether it was written."""
    buffer = aligned_zeros(max(count, 1) * layout.size, layout.dtype)
    buffer[:] = UNTOUCHED
    return buffer


UNTOUCHED = 12345.0


def read(buffer, layout, count, *, beyond=None):
    """Return ``(n, channels, *spatial)`` after checking that nothing else was written.

    Lanes beyond the channels must be finite or, if given, have this value.
    """
    view = inside(buffer, layout)[:count]
    lanes = view[..., layout.channels :]
    if beyond is None:
        assert np.isfinite(lanes).all()
    else:
        np.testing.assert_array_equal(lanes, beyond)
    result = np.moveaxis(view[..., : layout.channels], -1, 1).copy()
    rest = buffer.copy()
    inside(rest, layout)[:count] = UNTOUCHED
    np.testing.assert_array_equal(rest, UNTOUCHED)
    return result


def per_channel(values, layout):
    """Return per-channel values as kernels read them: zero beyond the channels."""
    buffer = aligned_zeros(layout.stride, layout.dtype)
    buffer[: layout.channels] = values
    return buffer


def random_array(layout, count, seed=0):
    """Return ``(n, channels, *spatial)`` of normal random numbers."""
    rng = np.random.default_rng(seed)
    shape = (count, layout.channels, *layout.spatial)
    return rng.standard_normal(shape).astype(layout.dtype)


def tolerance(dtype, units=8):
    """Return the relative tolerance of so many roundings."""
    return units * np.finfo(dtype).eps


def chunk_moments(accumulator, layout):
    """Return count, mean and variance of each channel that a chunk's accumulator holds."""
    rows = accumulator[: len(Partial) * layout.stride].astype(np.float64)
    rows = rows.reshape(len(Partial), layout.stride)[:, : layout.channels]
    count = rows[Partial.COUNT]
    return count, rows[Partial.ORIGIN] + rows[Partial.MEAN], rows[Partial.SQUARES] / count
