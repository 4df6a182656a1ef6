"""Sliding windows over the spatial axes: extents, padding, and views of arrays.

Convolution and pooling share this geometry. With input extent *X*, window size *R*, stride *s*,
dilation *d* and padding *(l, h)*, output position *p* sees the input positions
``p * s - l + r * d`` for ``r = 0 ... R - 1``, and there are

    P = floor((X + l + h - d * (R - 1) - 1) / s) + 1

output positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convoi.ops import require
from convoi.ops.reach import Reach

if TYPE_CHECKING:
    from convoi.ops.base import Array, Operation, Shape

Padding = tuple[tuple[int, int], ...]
"""How far each spatial axis is extended at its low and at its high end."""


def same_padding(extent: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Return the padding for which the output has ``ceil(extent / stride)`` positions.

    The rule SAME_UPPER of ONNX, and "SAME" of TensorFlow: where the total is odd, the larger half
    is at the high end.

    Examples
    --------
    >>> same_padding(28, kernel=3)
    (1, 1)
    >>> same_padding(28, kernel=3, stride=2)
    (0, 1)
    """
    positions = -(-extent // stride)
    total = max((positions - 1) * stride + dilation * (kernel - 1) + 1 - extent, 0)
    return total // 2, total - total // 2


def output_extent(
    extent: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    padding: tuple[int, int] = (0, 0),
) -> int:
    """Return how many positions a window takes along one axis; 0 if it does not fit.

    Examples
    --------
    >>> output_extent(28, kernel=5)
    24
    >>> output_extent(3, kernel=5)
    0
    """
    room = extent + sum(padding) - dilation * (kernel - 1) - 1
    return room // stride + 1 if room >= 0 else 0


def pad(x: Array, padding: Padding, fill: float = 0.0) -> Array:
    """Extend the last axes of an array, one per pair."""
    kept = x.ndim - len(padding)
    return np.pad(x, ((0, 0),) * kept + padding, constant_values=fill)


def crop(x: Array, padding: Padding) -> Array:
    """Undo :func:`pad`; return a view."""
    extents = x.shape[x.ndim - len(padding) :]
    kept = tuple(slice(p[0], e - p[1]) for p, e in zip(padding, extents, strict=True))
    return x[(slice(None),) * (x.ndim - len(padding)) + kept]


@dataclass(frozen=True)
class Window:
    """A window that slides over the spatial axes."""

    size: Shape
    stride: Shape
    padding: Padding
    dilation: Shape

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.size)

    @property
    def taps(self) -> int:
        """Positions in one window."""
        return prod(self.size)

    @property
    def span(self) -> Shape:
        """How far one window reaches along each axis, holes included."""
        return tuple(d * (r - 1) + 1 for r, d in zip(self.size, self.dilation, strict=True))

    def output(self, op: Operation, spatial: Shape, *, called: str = "window") -> Shape:
        """Return the number of output positions along each axis.

        Raises
        ------
        ShapeError
            If the window does not fit into the padded input; `called` is the word for it.
        """
        axes = (spatial, self.size, self.stride, self.dilation, self.padding)
        result = tuple(output_extent(*axis) for axis in zip(*axes, strict=True))
        if 0 in result:
            padded = tuple(x + sum(p) for x, p in zip(spatial, self.padding, strict=True))
            holes = "" if self.span == self.size else f" (it spans {self.span} with its dilation)"
            require.invalid_shape(
                op,
                f"the {called} {self.size} is larger than the padded input {padded}{holes}.",
                f"Use padding='same' or a smaller {called}.",
            )
        return result

    @property
    def reaches(self) -> tuple[Reach, ...]:
        """What the windows see, axis by axis."""
        axes = (self.size, self.stride, self.dilation, (low for low, _ in self.padding))
        return tuple(Reach.of_window(*axis) for axis in zip(*axes, strict=True))

    def pairs(self, op: Operation, spatial: Shape) -> int:
        """Return how many pairs there are of a window and an input position that it sees."""
        counts = (
            np.count_nonzero((taps >= 0) & (taps < extent))
            for taps, extent in zip(
                map(Reach.taps, self.reaches, self.output(op, spatial)), spatial, strict=True
            )
        )
        return prod(int(count) for count in counts)

    def patches(self, x: Array, fill: float = 0.0) -> Array:
        """Return what every window sees: ``(n, C, *X)`` to a view ``(n, C, *P, *R)``."""
        padded = pad(x, self.padding, fill)
        axes = tuple(range(2, 2 + self.rank))
        view = sliding_window_view(padded, self.span, axis=axes)
        steps = (*self.stride, *self.dilation)
        return view[(slice(None), slice(None), *(slice(None, None, step) for step in steps))]

    def scatter(self, patches: Array, spatial: Shape) -> Array:
        """Add up what the windows give back to each position: the adjoint of :meth:`patches`."""
        n, channels, *positions = patches.shape[: 2 + self.rank]
        padded_extents = (x + sum(p) for x, p in zip(spatial, self.padding, strict=True))
        total = np.zeros((n, channels, *padded_extents), patches.dtype)
        every = (slice(None), slice(None))
        for tap in np.ndindex(*self.size):
            seen = tuple(
                slice(t * d, t * d + (p - 1) * s + 1, s)
                for t, d, p, s in zip(tap, self.dilation, positions, self.stride, strict=True)
            )
            total[every + seen] += patches[every + (slice(None),) * self.rank + tap]
        return crop(total, self.padding)


def check_window(op: Operation, window: Window, *, size: str) -> None:
    """Require attributes that describe a window; `size` is the name of the first of them."""
    require.integers(op, size, window.size, low=1)
    require.integers(op, "stride", window.stride, low=1, rank=len(window.size))
    require.pairs(op, "padding", window.padding, rank=len(window.size))
    require.integers(op, "dilation", window.dilation, low=1, rank=len(window.size))
