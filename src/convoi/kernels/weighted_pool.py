"""Pooling with weights: binomial ones, or those that values have among themselves.

    blurred     y[c, p] = sum over r of b[r] * x[c, p * stride - low + r] / m[p]
    stochastic  y[c, p] = one of the positive x[c, p * stride - low + r], or their weighted average

Lanes are channels on both sides. Taps outside the input are left out; m is the sum of the weights
of the taps inside. Random numbers are those of :mod:`convoi.ops.weighted_pool`, for each element of
the output, so the backward pass finds what the forward pass took without storing it.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import I64, Value, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.pooling import ForwardKernel, SharingKernel, clear_rest, contribute
from convoi.kernels.random_bits import SampleKeys, element_bits
from convoi.kernels.spans import Sample
from convoi.kernels.vector_math import VectorMath
from convoi.kernels.windows import Elements, Window, Windows, each_window, fold
from convoi.ops.weighted_pool import UNIFORM_BITS, binomial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index
    from convoi.kernels.layout import Layout, Pair


@dataclass(frozen=True)
class BlurPool(ForwardKernel):
    """Average with binomial weights."""

    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Emit the weighted average of a window."""
        x, y = samples
        f, zero = x.f, constant(self.x.vector, 0)

        def add(tap: Elements, weight: Value, sums: list[Value]) -> list[Value]:
            at = f.add(tap[0], element)
            return [f.fma(x.load(at, b), weight, total) for b, total in enumerate(sums)]

        scale = _one_over_weights(f, window, self.size, self.x)
        sums = _each_tap(f, window, self.size, self.x, add, [zero] * blocks)
        for b, total in enumerate(sums):
            y.store(f.fmul(total, scale), f.add(window.outputs[0], element), b)


@dataclass(frozen=True)
class BlurPoolBackward(SharingKernel):
    """Every window shares its gradient by weight."""

    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Share the gradient of a window by weight."""
        dy, dx = samples
        f, overlap = dy.f, self.windows.overlap
        scale = _one_over_weights(f, window, self.size, self.dx)
        at = f.add(window.outputs[0], element)
        shares = [f.fmul(dy.load(at, b), scale) for b in range(blocks)]

        def give(tap: Elements, weight: Value, _: list[Value]) -> list[Value]:
            for b, share in enumerate(shares):
                value, at = f.fmul(share, weight), f.add(tap[0], element)
                contribute(value, dx, at, b, add=overlap)
            return []

        _each_tap(f, window, self.size, self.dx, give, [])


def _each_tap(  # noqa: PLR0917 - the state of the loops
    f: Function,
    window: Window,
    size: tuple[int, ...],
    layout: Layout,
    step: Callable[[Elements, Value, list[Value]], list[Value]],
    carried: list[Value],
) -> list[Value]:
    """Run a step for each tap of a window: where it lies, and its weight in every lane."""
    offsets = window.offsets()
    if offsets is not None:
        rows = [
            binomial(extent)[low:high]
            for extent, (low, high) in zip(size, _known(window), strict=True)
        ]
        weights = [math.prod(chosen) for chosen in itertools.product(*rows)]
        for tap, weight in zip(offsets, weights, strict=True):
            at = tuple(f.add(e, offset) for e, offset in zip(window.inputs, tap, strict=True))
            carried = step(at, constant(layout.vector, float(weight)), carried)
        return carried

    def nest(axis: int, at: Elements, weight: Index, carried: list[Value]) -> list[Value]:
        if axis == len(size):
            number = f.convert("sitofp", f.value(weight), layout.element)
            return step(at, f.splat(number, layout.lanes), carried)
        table = f.module.table(I64, binomial(size[axis]))
        low, high = window.bounds[axis]

        def one(r: Index, inner: list[Value]) -> list[Value]:
            factor = f.load(f.at(table, r, I64), I64)
            strides = window.strides[axis]
            moved = tuple(f.add(e, f.mul(r, s)) for e, s in zip(at, strides, strict=True))
            return nest(axis + 1, moved, f.mul(weight, factor), inner)

        return f.loop(high, one, carried, start=low)

    return nest(0, window.inputs, 1, carried)


def _known(window: Window) -> list[tuple[int, int]]:
    """Return the bounds of a window that is unrolled."""
    return [
        (low, high) for low, high in window.bounds if isinstance(low, int) and isinstance(high, int)
    ]


def _one_over_weights(f: Function, window: Window, size: tuple[int, ...], layout: Layout) -> Value:
    """Return one over the sum of the weights of the taps inside the input, in every lane."""
    total: Index = 1
    for (low, high), extent in zip(window.bounds, size, strict=True):
        sums = (0, *itertools.accumulate(binomial(extent)))
        if isinstance(low, int) and isinstance(high, int):
            total = f.mul(total, sums[high] - sums[low])
            continue
        table = f.module.table(I64, sums)
        ends = [f.load(f.at(table, end, I64), I64) for end in (high, low)]
        total = f.mul(total, f.sub(*ends))
    if isinstance(total, int):
        return constant(layout.vector, 1 / total)
    number = f.convert("sitofp", total, layout.element)
    return f.splat(f.fdiv(constant(layout.element, 1), number), layout.lanes)


@dataclass(frozen=True)
class StochasticPool(ForwardKernel):
    """The positive values of each window weighed by themselves: predictions."""

    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Emit the average of a window, weighted by its positive values."""
        x, y = samples
        f, zero = x.f, constant(self.x.vector, 0)
        m = VectorMath(f, self.x.vector)

        def add(taps: list[Elements], sums: list[Value]) -> list[Value]:
            sums = list(sums)
            for (tap,) in taps:
                for b in range(blocks):
                    a = m.maximum(x.load(f.add(tap, element), b), 0)
                    sums[2 * b] = f.fadd(sums[2 * b], a)
                    sums[2 * b + 1] = f.fma(a, a, sums[2 * b + 1])
            return sums

        sums = fold(f, window, [zero] * 2 * blocks, add)
        for b in range(blocks):
            total, squares = sums[2 * b : 2 * b + 2]
            result = m.div(squares, m.where(m.equal(total, 0), 1, total))
            y.store(result, f.add(window.outputs[0], element), b)


@dataclass(frozen=True)
class _Sampled(Kernel):
    """What both directions of sampling share: which value of a window is taken."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    stream: int

    def threshold(
        self,
        f: Function,
        window: Window,
        x: Sample,
        places: tuple[Index, Index],
        key: tuple[Value, Value],
    ) -> tuple[Value, Value]:
        """Return which part of the sum of a window passes by, and that sum; for one vector.

        The places are the element of the vector and the output position's number.
        """
        m = VectorMath(f, x.layout.vector)
        element, position = places

        def add(taps: list[Elements], sums: list[Value]) -> list[Value]:
            (total,) = sums
            for tap in taps:
                total = f.fadd(total, m.maximum(x.load(f.add(tap[0], element)), 0))
            return [total]

        (total,) = fold(f, window, [constant(x.layout.vector, 0)], add)
        layout = x.layout
        positions = math.prod(self.outputs)
        start = f.value(f.add(f.mul(element, positions), position))
        grid = replace(layout, spatial=self.outputs, halo=())
        bits = f.integer("lshr", element_bits(f, grid, start, key), 32 - UNIFORM_BITS)
        uniform = m.mul(f.convert("uitofp", bits, layout.vector), 2.0**-UNIFORM_BITS)
        return m.mul(uniform, total), total

    @property
    @abstractmethod
    def outputs(self) -> tuple[int, ...]:
        """Output positions of each axis."""

    def each(
        self,
        f: Function,
        windows: Windows,
        body: Callable[[Window, Index, Index], None],
    ) -> None:
        """Run the body for every window and vector: the window, the element, the position."""
        plain = replace(windows.outputs[0], halo=())
        numbered = replace(windows, outputs=(*windows.outputs, plain))

        def several(window: Window, element: Index, blocks: int) -> None:
            *outputs, number = window.outputs
            position = (
                number // plain.stride
                if isinstance(number, int)
                else f.integer("udiv", number, plain.stride)
            )
            known = replace(window, outputs=tuple(outputs))
            for b in range(blocks):
                body(known, f.add(element, b * plain.lanes), position)

        each_window(f, numbered, several)


def _hit(f: Function, before: Value, after: Value, threshold: Value) -> Value:
    """Return in which lanes a sum passes the threshold."""
    passed = f.fcompare("ogt", after, threshold)
    return f.integer("and", passed, f.fcompare("ole", before, threshold))


@dataclass(frozen=True)
class StochasticPoolSampled(_Sampled):
    """One of the positive values of each window: training. Pointers: x, seed, y."""

    arguments: ClassVar[tuple[str, ...]] = ("x", "seed", "y")

    x: Layout
    y: Layout

    @property
    def outputs(self) -> tuple[int, ...]:
        """Output positions of each axis."""
        return self.y.spatial

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples and windows."""
        windows = Windows((self.x,), (self.y,), self.size, self.stride, self.padding, work=3)
        m, zero = VectorMath(f, self.x.vector), constant(self.x.vector, 0)
        x_pointer, seed, y_pointer = pointers
        keys = SampleKeys(f, seed, self.stream, call)

        def one(i: Index, _: list[Value]) -> None:
            key = keys.halves(i)
            x = Sample(f, f.at(x_pointer, f.mul(i, self.x.size), self.x.element), self.x)
            y = Sample(f, f.at(y_pointer, f.mul(i, self.y.size), self.y.element), self.y)

            def pool(window: Window, element: Index, position: Index) -> None:
                threshold, total = self.threshold(f, window, x, (element, position), key)

                def take(taps: list[Elements], carried: list[Value]) -> list[Value]:
                    so_far, taken = carried
                    for (tap,) in taps:
                        a = m.maximum(x.load(f.add(tap, element)), 0)
                        after = f.fadd(so_far, a)
                        taken = f.select(_hit(f, so_far, after, threshold), a, taken)
                        so_far = after
                    return [so_far, taken]

                # Where nothing is taken: zero, or NaN if a value is not finite.
                _, taken = fold(f, window, [zero, m.mul(total, 0)], take)
                y.store(taken, f.add(window.outputs[0], element))

            self.each(f, windows, pool)

        f.loop(call.count, one)


@dataclass(frozen=True)
class StochasticPoolBackward(_Sampled):
    """The gradient goes to the value that was taken. Pointers: x, dy, seed, dx."""

    arguments: ClassVar[tuple[str, ...]] = ("x", "dy", "seed", "dx")

    x: Layout
    dy: Layout
    dx: Layout

    @property
    def outputs(self) -> tuple[int, ...]:
        """Output positions of each axis."""
        return self.dy.spatial

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples and windows."""
        inputs = (self.x, self.dx)
        windows = Windows(inputs, (self.dy,), self.size, self.stride, self.padding, work=3)
        m, zero = VectorMath(f, self.x.vector), constant(self.x.vector, 0)
        *tensors, seed, dx_pointer = pointers
        keys = SampleKeys(f, seed, self.stream, call)
        placed = list(zip((*tensors, dx_pointer), (self.x, self.dy, self.dx), strict=True))

        def one(i: Index, _: list[Value]) -> None:
            key = keys.halves(i)
            x, dy, dx = (Sample(f, f.at(p, f.mul(i, a.size), a.element), a) for p, a in placed)

            def share_out(window: Window, element: Index, position: Index) -> None:
                threshold, _ = self.threshold(f, window, x, (element, position), key)
                gradient = dy.load(f.add(window.outputs[0], element))

                def give(taps: list[Elements], carried: list[Value]) -> list[Value]:
                    (so_far,) = carried
                    for x_at, dx_at in taps:
                        after = f.fadd(so_far, m.maximum(x.load(f.add(x_at, element)), 0))
                        taken = f.select(_hit(f, so_far, after, threshold), gradient, zero)
                        contribute(taken, dx, f.add(dx_at, element), 0, add=windows.overlap)
                        so_far = after
                    return [so_far]

                fold(f, window, [zero], give)

            clear_rest(windows, dx)
            self.each(f, windows, share_out)

        f.loop(call.count, one)
