"""The definition, in NumPy: slow, and what everything else is tested against."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.signal.boundaries import source_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.signal.problem import Problem


def correlate_reference(
    problem: Problem, x: NDArray[Any], kernel: NDArray[Any], fill: complex
) -> NDArray[Any]:
    """Return ``y[o] = sum over t of w[t] x[o stride + t dilation - low]``, tap by tap.

    Any dtype that NumPy can multiply and add will do, objects such as Python's integers included.
    """
    dtype = np.result_type(x, kernel)
    y = np.zeros(problem.output_shape, dtype)
    for taps in itertools.product(*(range(axis.taps) for axis in problem.axes)):
        shifted = x.astype(dtype)
        at: list[Any] = [slice(None)] * x.ndim
        for axis, tap in zip(problem.axes, taps, strict=True):
            positions = np.arange(axis.output) * axis.stride + tap * axis.dilation - axis.low
            sources = source_positions(positions, problem.boundary, axis.extent)
            shifted = np.take(shifted, np.maximum(sources, 0), axis=axis.axis)
            outside: list[Any] = [slice(None)] * x.ndim
            outside[axis.axis] = sources < 0
            shifted[tuple(outside)] = fill
            chosen = axis.taps - 1 - tap if problem.flip else tap
            at[axis.axis] = slice(chosen, chosen + 1)
        y = y + shifted * kernel[tuple(at)]
    return y
