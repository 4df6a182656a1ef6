"""Pooling over intervals: a given number of outputs, whatever the extent of the input.

Every output position has an interval of input positions along each axis. Adaptive pooling spreads
intervals of nearly equal length over the input; fractional pooling shrinks it by a ratio that
need not be an integer, with intervals that follow one another in an irregular order.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convoi.ops import require
from convoi.ops.base import Array, Gradients, GraphBuilder, Operation, Shape, Use, register
from convoi.ops.dropout import SEED, element_bits, sample_keys
from convoi.ops.pool import LinearPoolBackward, PoolBackward
from convoi.ops.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Interval = tuple[int, int]
"""First position, and the one behind the last."""

PHASE_BITS = 16
"""Bits of the fraction that shifts a sequence of fractional intervals."""
MOST_FRACTIONAL = 1 << 23
"""Most positions of an axis: beyond, the bounds of intervals would not fit in 64-bit integers."""
FIXED_PHASE = 1 << (PHASE_BITS - 1)
"""The phase of predictions: one half."""


def adaptive_intervals(extent: int, count: int) -> list[Interval]:
    """Return intervals that cover an axis: ``floor(i X / P)`` to before ``ceil((i + 1) X / P)``.

    Examples
    --------
    >>> adaptive_intervals(7, 3)
    [(0, 3), (2, 5), (4, 7)]
    """
    return [(i * extent // count, -(-(i + 1) * extent // count)) for i in range(count)]


def fractional_intervals(
    extent: int, count: int, phase: int, *, overlapping: bool
) -> list[Interval]:
    """Return intervals that shrink an axis by the ratio ``X / P``, shifted by a phase.

    With ``u = phase / 2**16``, interval i begins at ``floor((i + u) X / P) - floor(u X / P)`` and
    ends where the next one begins, or one position later if they overlap.

    Examples
    --------
    >>> fractional_intervals(7, 5, FIXED_PHASE, overlapping=False)
    [(0, 2), (2, 3), (3, 4), (4, 6), (6, 7)]
    """
    one = 1 << PHASE_BITS
    unit = count * one
    first = phase * extent // unit
    starts = [(i * one + phase) * extent // unit - first for i in range(count + 1)]
    return [(a, min(b + overlapping, extent)) for a, b in itertools.pairwise(starts)]


@dataclass(frozen=True)
class IntervalPool(Operation):
    """What these pools share. Shapes: ``(C, *X)`` to ``(C, *output)``."""

    output: Shape

    def __post_init__(self) -> None:
        """Check the attribute."""
        require.integers(self, "output", self.output, low=1)

    def infer_shape(self, *inputs: Shape) -> Shape:
        shape = inputs[0]
        require.spatial(self, shape, len(self.output))
        return (shape[0], *self.output)

    def windows(self, spatial: Shape) -> list[list[Interval]]:
        """Return the intervals of each axis in inference."""
        axes = zip(spatial, self.output, strict=True)
        return [adaptive_intervals(extent, count) for extent, count in axes]

    def connections(self, *inputs: Shape) -> int:
        ((channels, *spatial), *_) = inputs
        axes = self.windows(tuple(spatial))
        return channels * prod(sum(b - a for a, b in intervals) for intervals in axes)

    def reaches(self, *inputs: Shape) -> tuple[Reach, ...]:
        spatial = inputs[0][1:]
        return tuple(
            Reach(tuple(a for a, _ in intervals), tuple(b - 1 for _, b in intervals), extent)
            for intervals, extent in zip(self.windows(spatial), spatial, strict=True)
        )


def _largest(x: Array, axes: Sequence[Sequence[Interval]]) -> Array:
    """Return the largest value of each window, axis by axis."""
    for axis, intervals in enumerate(axes, start=2):
        steps = (slice(None),) * axis
        parts = [x[(*steps, slice(a, b))].max(axis=axis) for a, b in intervals]
        x = np.stack(parts, axis=axis)
    return x


def _give_to_first(
    x: Array, y: Array, dy: Array, axes: Sequence[Sequence[Interval]], dx: Array
) -> None:
    """Add the gradient of each window to its first maximum; a window of NaN has none."""
    every = (slice(None), slice(None))
    for place, seen in _windows(axes):
        at = (*every, *(slice(i, i + 1) for i in place))
        hits = x[(*every, *seen)] == y[at]
        flat = hits.reshape(*hits.shape[:2], prod(hits.shape[2:]))
        first = (flat & (flat.cumsum(axis=-1) == 1)).reshape(hits.shape)
        dx[(*every, *seen)] += first * dy[at]


def _windows(
    axes: Sequence[Sequence[Interval]],
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Yield (output position, slices of the input) in scan order."""
    for place in np.ndindex(*map(len, axes)):
        yield place, tuple(slice(*axis[i]) for axis, i in zip(axes, place, strict=True))


@register
@dataclass(frozen=True)
class AdaptiveAveragePool(IntervalPool):
    r"""Average windows that are spread over the input, as many as `output` says.

    .. math:: y_{c,p} = \frac{1}{|I_p|} \sum_{q \in I_p} x_{c,q}, \qquad
              I_p = \lfloor p X / P \rfloor, \dots, \lceil (p + 1) X / P \rceil - 1

    on each axis. Windows differ by one position at most, and may share positions.
    """

    name: ClassVar[str] = "adaptive_average_pool"

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        for axis, count in enumerate(self.output, start=2):
            steps = (slice(None),) * axis
            intervals = adaptive_intervals(x.shape[axis], count)
            parts = [
                x[(*steps, slice(a, b))].sum(axis=axis) / x.dtype.type(b - a) for a, b in intervals
            ]
            x = np.stack(parts, axis=axis)
        return x

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        back = AdaptiveAveragePoolBackward(self, build.shape(use.inputs[0]))
        return Gradients((build(back, [use.output_gradient]),))


@register
@dataclass(frozen=True)
class AdaptiveAveragePoolBackward(LinearPoolBackward):
    r"""Gradient of :class:`AdaptiveAveragePool`.

    .. math:: dx_{c,q} = \sum_{p:\; q \in I_p} dy_{c,p} / |I_p|

    Shapes: ``(C, *output)`` to `input_shape`.
    """

    name: ClassVar[str] = "adaptive_average_pool_backward"

    pool: AdaptiveAveragePool

    def reference(self, *arrays: Array) -> Array:
        (dy,) = arrays
        for axis, extent in enumerate(self.input_shape[1:], start=2):
            steps = (slice(None),) * axis
            dx = np.zeros((*dy.shape[:axis], extent, *dy.shape[axis + 1 :]), dy.dtype)
            for i, (a, b) in enumerate(adaptive_intervals(extent, dy.shape[axis])):
                dx[(*steps, slice(a, b))] += dy[(*steps, slice(i, i + 1))] / dy.dtype.type(b - a)
            dy = dx
        return dy


@register
@dataclass(frozen=True)
class AdaptiveMaxPool(IntervalPool):
    r"""Take the largest value of windows spread over the input, as many as `output` says.

    .. math:: y_{c,p} = \max_{q \in I_p} x_{c,q}

    with the windows of :class:`AdaptiveAveragePool`. NaN in a window gives NaN. The gradient goes
    to the first of equal maxima.
    """

    name: ClassVar[str] = "adaptive_max_pool"

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        return _largest(x, self.windows(x.shape[2:]))

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        values = [use.inputs[0], use.output, use.output_gradient]
        return Gradients((build(AdaptiveMaxPoolBackward(self), values),))


@register
@dataclass(frozen=True)
class AdaptiveMaxPoolBackward(PoolBackward):
    r"""Gradient of :class:`AdaptiveMaxPool`: that of each window goes to its first maximum.

    .. math:: dx_q = \sum_{p:\; q = q^*(p)} dy_p, \qquad q^*(p) = \min \{q \in I_p : x_q = y_p\}

    Inputs: x, y and dy of the pooling. A window of NaN has no gradient.
    """

    name: ClassVar[str] = "adaptive_max_pool_backward"

    pool: AdaptiveMaxPool

    def reference(self, *arrays: Array) -> Array:
        x, y, dy = arrays
        dx = np.zeros_like(x)
        _give_to_first(x, y, dy, self.pool.windows(x.shape[2:]), dx)
        return dx


@dataclass(frozen=True)
class _Fractional(IntervalPool):
    """The attributes of both forms of fractional pooling."""

    overlapping: bool = False

    def __post_init__(self) -> None:
        """Check the attributes."""
        super().__post_init__()
        require.flag(self, "overlapping", self.overlapping)

    def infer_shape(self, *inputs: Shape) -> Shape:
        output = super().infer_shape(*inputs)
        if any(p > x for p, x in zip(self.output, inputs[0][1:], strict=True)):
            require.invalid_shape(
                self,
                f"an input of {inputs[0][1:]} positions cannot shrink to {self.output}.",
                "Use an 'output' of at most the input's extents.",
            )
        if any(x > MOST_FRACTIONAL for x in inputs[0][1:]):
            require.invalid_shape(
                self,
                f"an input of {inputs[0][1:]} positions is longer than {MOST_FRACTIONAL}.",
                "Use a MaxPool first.",
            )
        return output

    def windows(self, spatial: Shape) -> list[list[Interval]]:
        return self.intervals(spatial, (FIXED_PHASE,) * len(self.output))

    def intervals(self, spatial: Shape, phases: Sequence[int]) -> list[list[Interval]]:
        """Return the intervals of each axis."""
        axes = zip(spatial, self.output, phases, strict=True)
        return [fractional_intervals(x, p, u, overlapping=self.overlapping) for x, p, u in axes]


@register
@dataclass(frozen=True)
class FractionalMaxPool(_Fractional):
    r"""Take the largest value of intervals whose lengths alternate irregularly.

    .. math:: y_{c,p} = \max_{a_p \le q < a_{p+1}} x_{c,q}, \qquad
              a_p = \lfloor (p + u) X / P \rfloor - \lfloor u X / P \rfloor

    on each axis, with *u* = 1/2. Intervals that overlap are one position longer. In training:
    :class:`FractionalMaxPoolSampled`, with other intervals for each sample.

    Reference: B. Graham, "Fractional max-pooling", 2014, with pseudorandom sequences.
    """

    name: ClassVar[str] = "fractional_max_pool"

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        return _largest(x, self.windows(x.shape[2:]))

    def for_training(
        self, build: GraphBuilder, inputs: Sequence[str], parameters: Sequence[str]
    ) -> str:
        del parameters
        sampled = FractionalMaxPoolSampled(self.output, self.overlapping, build.new_stream())
        return build(sampled, [*inputs, SEED])


@register
@dataclass(frozen=True)
class FractionalMaxPoolSampled(_Fractional):
    r"""Fractional max pooling with random intervals for each sample, the same in all channels.

    As :class:`FractionalMaxPool`, with ``u = floor(h / 2**16) / 2**16`` on each axis, where *h* are
    the bits of :func:`~convoi.ops.dropout.element_bits` for the number of the axis. Inputs: x and
    the seed of the step.
    """

    name: ClassVar[str] = "fractional_max_pool_sampled"
    arity: ClassVar[int | None] = 2
    batch_inputs: ClassVar[frozenset[int]] = frozenset({1})

    stream: int = 0

    def __post_init__(self) -> None:
        """Check the attributes."""
        super().__post_init__()
        require.integer(self, "stream", self.stream, low=0)

    def infer_shape(self, *inputs: Shape) -> Shape:
        shape, seed = inputs
        require.same(self, "a seed", (), seed)
        return super().infer_shape(shape)

    def of_samples(self, spatial: Shape, seed: Array, samples: int) -> list[list[list[Interval]]]:
        """Return the intervals of each sample and axis."""
        bits = element_bits(sample_keys(seed, self.stream, samples), len(self.output))
        phases = bits >> np.uint32(32 - PHASE_BITS)
        return [self.intervals(spatial, row) for row in phases.tolist()]

    def reference(self, *arrays: Array) -> Array:
        x, seed = arrays
        y = np.empty((*x.shape[:2], *self.output), x.dtype)
        for i, axes in enumerate(self.of_samples(x.shape[2:], seed, len(x))):
            y[i : i + 1] = _largest(x[i : i + 1], axes)
        return y

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        values = [use.inputs[0], use.output, use.output_gradient, SEED]
        return Gradients((build(FractionalMaxPoolBackward(self), values), None))


@register
@dataclass(frozen=True)
class FractionalMaxPoolBackward(Operation):
    r"""Gradient of :class:`FractionalMaxPoolSampled`: each window's goes to its first maximum.

    .. math:: dx_q = \sum_{p:\; q = q^*(p)} dy_p

    Inputs: x, y and dy of the pooling, and the seed of the step.
    """

    name: ClassVar[str] = "fractional_max_pool_backward"
    arity: ClassVar[int | None] = 4
    differentiable: ClassVar[bool] = False
    batch_inputs: ClassVar[frozenset[int]] = frozenset({3})

    pool: FractionalMaxPoolSampled

    def infer_shape(self, *inputs: Shape) -> Shape:
        x, y, dy, seed = inputs
        require.same(self, "an output", self.pool.infer_shape(x, seed), y)
        require.same(self, "a gradient", y, dy)
        return x

    def reference(self, *arrays: Array) -> Array:
        x, y, dy, seed = arrays
        dx = np.zeros_like(x)
        for i, axes in enumerate(self.pool.of_samples(x.shape[2:], seed, len(x))):
            one = slice(i, i + 1)
            _give_to_first(x[one], y[one], dy[one], axes, dx[one])
        return dx
