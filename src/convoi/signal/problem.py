"""A convolution or correlation, checked and brought to one form.

Both are the same sum over taps of the kernel:

    y[o] = sum over t of  w[t] x[o stride + t dilation - low]

on each sliding axis, where w is the kernel (flipped for a convolution, conjugated for a
correlation) and `low` says how far before the input the first output begins. The mode decides
`low` and how many outputs there are.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from convoi.errors import ShapeError

if TYPE_CHECKING:
    import numpy as np

    from convoi.signal.boundaries import Boundary

Mode: TypeAlias = Literal["full", "same", "valid"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True)
class SlidingAxis:
    """One axis along which the kernel slides."""

    axis: int
    """Its number in the arrays, which have equally many axes."""
    extent: int
    """Of the input."""
    taps: int
    stride: int
    dilation: int
    low: int
    """Positions before the input that the first output reads."""
    output: int

    @property
    def reach(self) -> int:
        """Positions from the first tap to the last, both included."""
        return (self.taps - 1) * self.dilation + 1


@dataclass(frozen=True)
class Terms:
    """How a problem is computed, whatever the method."""

    result: np.dtype[Any]
    """Of the output."""
    fill: complex
    """Value outside the input for ``boundary="constant"``."""
    threads: int
    """The most threads."""


@dataclass(frozen=True)
class Problem:
    """What is computed, apart from the numbers."""

    owner: str
    """The function that the user called, for messages."""
    x_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    """Both with the same number of axes: those that an array lacks have length 1."""
    axes: tuple[SlidingAxis, ...]
    boundary: Boundary
    flip: bool
    """Whether the kernel is flipped: a convolution."""

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        """The hash, once: problems are looked up at every call."""
        arrays = (self.x_shape, self.kernel_shape)
        return hash((self.owner, *arrays, self.axes, self.boundary, self.flip))

    @functools.cached_property
    def sliding(self) -> tuple[int, ...]:
        """The numbers of the sliding axes."""
        return tuple(axis.axis for axis in self.axes)

    @functools.cached_property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        shape = [n if k == 1 else k for n, k in zip(self.x_shape, self.kernel_shape, strict=True)]
        for axis in self.axes:
            shape[axis.axis] = axis.output
        return tuple(shape)

    @functools.cached_property
    def taps(self) -> int:
        """Taps of one kernel."""
        return math.prod(axis.taps for axis in self.axes)


def sliding_axis(
    axis: int, extent: int, taps: int, *, stride: int, dilation: int, mode: Mode, owner: str
) -> SlidingAxis:
    """Return an axis of a problem.

    ``same`` has as many positions as the input, the middle ones of ``full``: it begins at number
    ``(reach - 1) // 2`` of them.
    """
    reach = (taps - 1) * dilation + 1
    positions, low = {
        "full": (extent + reach - 1, reach - 1),
        "same": (extent, reach - 1 - (reach - 1) // 2),
        "valid": (extent - reach + 1, 0),
    }[mode]
    if positions < 1:
        dilated = "" if dilation == 1 else f" (taps {dilation} apart reach over {reach})"
        raise ShapeError(
            f"The kernel of {owner} has length {taps}{dilated} along axis {axis}, and the input "
            f"has {extent}: with mode='valid' it must fit into the input. Use mode='same' or "
            "mode='full', or exchange the arguments."
        )
    output = -(-positions // stride)
    return SlidingAxis(axis, extent, taps, stride, dilation, low, output)
