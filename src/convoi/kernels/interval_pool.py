"""Pooling over intervals of each axis: adaptive and fractional.

    average  y[c, p] = sum over q in I(p) of x[c, q] / |I(p)|
    maximum  y[c, p] = max over q in I(p) of x[c, q]

Lanes are channels on both sides. Where intervals begin and end is computed in the loops, in
integers: by position, and for fractional pooling in training by the sample's random phase.
Backward, dx is cleared and windows add to it in scan order.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.pool import (
    Shared,
    give_to_all,
    give_to_maxima,
    largest_values,
    one_over_taps,
    sum_taps,
)
from convoi.kernels.pooling import clear_all
from convoi.kernels.random_bits import SampleKeys, number_bits
from convoi.kernels.spans import Sample
from convoi.kernels.windows import BLOCKS, Elements, Window, each_block
from convoi.ops.interval_pool import FIXED_PHASE, PHASE_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout

Bounds: TypeAlias = Callable[[int, "Index"], tuple["Index", "Index"]]
"""Gives the interval of a position of an axis: the first input position, and how many there are."""


def adaptive_bounds(f: Function, inputs: Layout, outputs: Layout) -> Bounds:
    """Return the intervals ``floor(i X / P)`` to before ``ceil((i + 1) X / P)``."""

    def bounds(axis: int, i: Index) -> tuple[Index, Index]:
        extent, count = inputs.spatial[axis], outputs.spatial[axis]
        start = _divide(f, f.mul(i, extent), count)
        stop = _divide(f, f.add(f.mul(f.add(i, 1), extent), count - 1), count)
        return start, f.sub(stop, start)

    return bounds


def fractional_bounds(
    f: Function, inputs: Layout, outputs: Layout, phases: Sequence[Index], *, overlapping: bool
) -> Bounds:
    """Return the intervals from ``floor((i + u) X / P) - floor(u X / P)`` to the next one."""

    def bounds(axis: int, i: Index) -> tuple[Index, Index]:
        extent, count = inputs.spatial[axis], outputs.spatial[axis]
        one, unit, phase = 1 << PHASE_BITS, count << PHASE_BITS, phases[axis]
        first = _divide(f, f.mul(phase, extent), unit)

        def start(i: Index) -> Index:
            shifted = f.add(f.mul(i, one), phase)
            return f.sub(_divide(f, f.mul(shifted, extent), unit), first)

        begin, end = start(i), start(f.add(i, 1))
        if overlapping:
            end = f.minimum(f.add(end, 1), extent)
        return begin, f.sub(end, begin)

    return bounds


def _divide(f: Function, number: Index, divisor: int) -> Index:
    """Return a quotient of numbers that are not negative."""
    return number // divisor if isinstance(number, int) else f.integer("udiv", number, divisor)


def each_interval(
    f: Function,
    inputs: Sequence[Layout],
    outputs: Sequence[Layout],
    bounds: Bounds,
    body: Callable[[Window, Index, int], None],
) -> None:
    """Run the body for every window and every few vectors of channels."""
    strides = tuple(zip(*(layout.axis_strides for layout in inputs), strict=True))

    def move(elements: Elements, steps: Index, layouts: Sequence[Layout], axis: int) -> Elements:
        return tuple(
            f.add(element, f.mul(steps, layout.axis_strides[axis]))
            for element, layout in zip(elements, layouts, strict=True)
        )

    def nest(window: Window) -> None:
        axis = len(window.bounds)
        if axis == len(outputs[0].spatial):
            each_block(f, outputs[0], BLOCKS, lambda element, n: body(window, element, n))
            return

        def one(i: Index, _: list[Value]) -> None:
            start, length = bounds(axis, i)
            seen = move(window.inputs, start, inputs, axis)
            written = move(window.outputs, i, outputs, axis)
            nest(Window(seen, written, (*window.bounds, (0, length)), strides))

        f.loop(outputs[0].spatial[axis], one)

    origins = tuple(layout.origin for layout in inputs)
    nest(Window(origins, tuple(layout.origin for layout in outputs), (), strides))


@dataclass(frozen=True)
class _IntervalKernel(Kernel):
    """The loop over samples; kernels with a stream have the seed before their output."""

    @property
    @abstractmethod
    def layouts(self) -> tuple[Layout, ...]:
        """How the activations lie, the output last."""

    @property
    def stream(self) -> int | None:
        """Number of the source of random numbers; None: windows do not depend on the sample."""
        return None

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return len(self.layouts) + (self.stream is not None)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over samples."""
        *inputs, output = pointers
        keys = None
        if self.stream is not None:
            keys = SampleKeys(f, inputs.pop(), self.stream, call)
        activations = list(zip((*inputs, output), self.layouts, strict=True))

        def one(i: Index, _: list[Value]) -> None:
            samples = [Sample(f, f.at(p, f.mul(i, a.size), a.element), a) for p, a in activations]
            self.sample(f, samples, keys.halves(i) if keys else None)

        f.loop(call.count, one)

    @abstractmethod
    def sample(
        self, f: Function, samples: Sequence[Sample], key: tuple[Value, Value] | None
    ) -> None:
        """Emit the work on one sample."""


@dataclass(frozen=True)
class AdaptiveAveragePool(_IntervalKernel):
    """Average of each window. Pointers: x, y."""

    x: Layout
    y: Layout

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """How the activations lie, the output last."""
        return (self.x, self.y)

    def sample(
        self, f: Function, samples: Sequence[Sample], key: tuple[Value, Value] | None
    ) -> None:
        """Emit the work on one sample."""
        del key
        x, y = samples

        def pool(window: Window, element: Index, blocks: int) -> None:
            weight = one_over_taps(f, window, self.x)
            for b, total in enumerate(sum_taps(f, window, x, element, blocks)):
                y.store(f.fmul(total, weight), f.add(window.outputs[0], element), b)

        each_interval(f, (self.x,), (self.y,), adaptive_bounds(f, self.x, self.y), pool)


@dataclass(frozen=True)
class AdaptiveAveragePoolBackward(_IntervalKernel):
    """Every window shares its gradient among its positions. Pointers: dy, dx."""

    dy: Layout
    dx: Layout

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """How the activations lie, the output last."""
        return (self.dy, self.dx)

    def sample(
        self, f: Function, samples: Sequence[Sample], key: tuple[Value, Value] | None
    ) -> None:
        """Emit the work on one sample."""
        del key
        dy, dx = samples

        def share_out(window: Window, element: Index, blocks: int) -> None:
            weight = one_over_taps(f, window, self.dx)
            at = f.add(window.outputs[0], element)
            shares = [f.fmul(dy.load(at, b), weight) for b in range(blocks)]
            give_to_all(window, shares, dx, element, add=True)

        clear_all(dx)
        each_interval(f, (self.dx,), (self.dy,), adaptive_bounds(f, self.dx, self.dy), share_out)


@dataclass(frozen=True)
class Fraction:
    """How fractional intervals are found; without a stream their phase is fixed."""

    overlapping: bool
    stream: int | None = None


@dataclass(frozen=True)
class _MaxKernel(_IntervalKernel):
    """What both directions of the maximum share."""

    fraction: Fraction | None
    """None: the intervals are adaptive."""

    @property
    def stream(self) -> int | None:
        """Number of the source of random numbers; None: windows do not depend on the sample."""
        return None if self.fraction is None else self.fraction.stream

    def bounds(
        self, f: Function, inputs: Layout, outputs: Layout, key: tuple[Value, Value] | None
    ) -> Bounds:
        """Return the intervals of a sample."""
        if self.fraction is None:
            return adaptive_bounds(f, inputs, outputs)
        phases: list[Index] = [FIXED_PHASE] * len(inputs.spatial)
        if key is not None:
            phases = [
                f.integer("lshr", number_bits(f, axis, key), 32 - PHASE_BITS)
                for axis in range(len(inputs.spatial))
            ]
        overlapping = self.fraction.overlapping
        return fractional_bounds(f, inputs, outputs, phases, overlapping=overlapping)


@dataclass(frozen=True)
class IntervalMaxPool(_MaxKernel):
    """Largest value of each window; NaN if there is one. Pointers: x, [seed], y."""

    x: Layout
    y: Layout

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """How the activations lie, the output last."""
        return (self.x, self.y)

    def sample(
        self, f: Function, samples: Sequence[Sample], key: tuple[Value, Value] | None
    ) -> None:
        """Emit the work on one sample."""
        x, y = samples

        def pool(window: Window, element: Index, blocks: int) -> None:
            for b, result in enumerate(largest_values(window, x, element, blocks)):
                y.store(result, f.add(window.outputs[0], element), b)

        each_interval(f, (self.x,), (self.y,), self.bounds(f, self.x, self.y, key), pool)


@dataclass(frozen=True)
class IntervalMaxPoolBackward(_MaxKernel):
    """Each window's gradient goes to its first maximum. Pointers: x, y, dy, [seed], dx."""

    x: Layout
    y: Layout
    dy: Layout
    dx: Layout

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """How the activations lie, the output last."""
        return (self.x, self.y, self.dy, self.dx)

    def sample(
        self, f: Function, samples: Sequence[Sample], key: tuple[Value, Value] | None
    ) -> None:
        """Emit the work on one sample."""
        x, y, dy, dx = samples
        shared = Shared(x, y, dy, dx, add=True)

        def share_out(window: Window, element: Index, blocks: int) -> None:
            give_to_maxima(window, shared, element, blocks)

        clear_all(dx)
        bounds = self.bounds(f, self.x, self.y, key)
        each_interval(f, (self.x, self.dx), (self.y, self.dy), bounds, share_out)
