"""The sum over taps in plain NumPy on a padded array: independent of the code under test."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np


def correlate_padded(x: np.ndarray, kernel: np.ndarray, **options: Any) -> np.ndarray:
    """Return the correlation of arrays with equally many axes, without conjugation."""
    rank = x.ndim
    axes = [a % rank for a in options["axes"]]
    mode, boundary = options.get("mode", "full"), options.get("boundary", "constant")
    strides = options.get("stride", [1] * len(axes))
    dilations = options.get("dilation", [1] * len(axes))
    steps = [slice(None)] * rank
    for axis, stride, dilation in zip(axes, strides, dilations, strict=True):
        reach = (kernel.shape[axis] - 1) * dilation + 1
        before = {"full": reach - 1, "same": reach // 2, "valid": 0}[mode]
        after = {"full": reach - 1, "same": reach - 1 - reach // 2, "valid": 0}[mode]
        widths = [(0, 0)] * rank
        widths[axis] = (before, after)
        fill = {"constant_values": options.get("fill_value", 0)} if boundary == "constant" else {}
        x = np.pad(x, widths, mode=boundary, **fill)
        if x.dtype == object:  # np.pad puts NumPy's integers in, which overflow
            x = np.frompyfunc(int, 1, 1)(x)
        steps[axis] = slice(None, None, stride)
    y: Any = 0
    for taps in itertools.product(*(range(kernel.shape[a]) for a in axes)):
        window, tap = [slice(None)] * rank, [slice(None)] * rank
        for axis, t, dilation in zip(axes, taps, dilations, strict=True):
            count = x.shape[axis] - (kernel.shape[axis] - 1) * dilation
            window[axis] = slice(t * dilation, t * dilation + count)
            tap[axis] = slice(t, t + 1)
        y = y + x[tuple(window)] * kernel[tuple(tap)]
    return y[tuple(steps)]
