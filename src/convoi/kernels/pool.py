"""Maximum and average over windows, and their gradients.

    maximum  y[c, p] = max over r of x[c, p * stride - low + r]
    average  y[c, p] = sum over r of x[c, p * stride - low + r] / m[p]

Lanes are channels on both sides. Taps outside the input are left out: padding never wins, and m is
the number of taps inside (or of all, with ``count_padding``). Backward, windows give to their
positions: where windows do not overlap, each position of dx is written once; where they do, dx is
cleared and windows add to it in scan order, so results do not depend on threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.codegen.types import Value, constant
from convoi.kernels.lanes import tree
from convoi.kernels.pooling import ForwardKernel, GivingKernel, SharingKernel, contribute
from convoi.kernels.windows import Elements, Window, Windows, fold, reduce_taps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index
    from convoi.kernels.layout import Layout
    from convoi.kernels.spans import Sample

TAP = 4
"""Multiply-adds that take as long as the load of a tap, and what is done with it."""
SHARED_TAPS = 1 << 18
"""Work on a sample from which threads share it: 3 us."""


@dataclass(frozen=True)
class MaxPool(ForwardKernel):
    """Largest value of each window; NaN if there is one, as NumPy's ``max``."""

    @property
    def units(self) -> int:
        """Windows along the first axis, where a sample has many."""
        return self.y.spatial[0] if self.y.spatial and self.work >= SHARED_TAPS else 1

    @property
    def work(self) -> int:
        """What the taps of a sample take, in multiply-adds."""
        return TAP * self.y.positions * self.y.stride * math.prod(self.size)

    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Emit the maximum of a window."""
        x, y = samples
        for b, result in enumerate(largest_values(window, x, element, blocks)):
            y.store(result, y.f.add(window.outputs[0], element), b)


@dataclass(frozen=True)
class MaxPoolBackward(GivingKernel):
    """The gradient of each window goes to its first maximum; windows of NaN give none.

    With ``relu``, x is the output of a fused ReLU, and dx is the gradient with respect to the
    input of the ReLU: windows whose maximum is not positive give none.
    """

    relu: bool = False

    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Give the gradient of a window to its first maximum."""
        x, y, dy, dx = samples
        shared = Shared(x, y, dy, dx, add=self.windows.overlap)
        give_to_maxima(window, shared, element, blocks, relu=self.relu)


@dataclass(frozen=True)
class AveragePool(ForwardKernel):
    """Average of each window over the positions that it sees, or over all its taps."""

    count_padding: bool = False

    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Emit the average of a window."""
        x, y = samples
        f = x.f
        weight = _weight(f, window, self.windows, count_padding=self.count_padding)
        for b, total in enumerate(sum_taps(f, window, x, element, blocks)):
            y.store(f.fmul(total, weight), f.add(window.outputs[0], element), b)


@dataclass(frozen=True)
class AveragePoolBackward(SharingKernel):
    """Every window shares its gradient among the positions that it averaged."""

    count_padding: bool = False

    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Share the gradient of a window."""
        dy, dx = samples
        f = dy.f
        weight = _weight(f, window, self.windows, count_padding=self.count_padding)
        at = f.add(window.outputs[0], element)
        shares = [f.fmul(dy.load(at, b), weight) for b in range(blocks)]
        give_to_all(window, shares, dx, element, add=self.windows.overlap)


def sum_taps(f: Function, window: Window, x: Sample, element: Index, blocks: int) -> list[Value]:
    """Return the sums over a window of some vectors of channels."""

    def sums(taps: list[Elements]) -> list[Value]:
        return [
            tree([x.load(f.add(t, element), b) for (t,) in taps], f.fadd) for b in range(blocks)
        ]

    return reduce_taps(f, window, [constant(x.layout.vector, 0)] * blocks, sums, f.fadd)


def give_to_all(
    window: Window, shares: list[Value], dx: Sample, element: Index, *, add: bool
) -> None:
    """Give shares of some vectors of channels to every position of a window."""
    f = dx.f

    def give(taps: list[Elements], _: list[Value]) -> list[Value]:
        for (tap,) in taps:
            for b, share in enumerate(shares):
                contribute(share, dx, f.add(tap, element), b, add=add)
        return []

    fold(f, window, [], give)


def largest_values(window: Window, x: Sample, element: Index, blocks: int) -> list[Value]:
    """Return the largest values of a window for some vectors of channels."""
    f = x.f
    least = constant(x.layout.vector, -math.inf)

    def of_taps(taps: list[Elements]) -> list[Value]:
        values = [[x.load(f.add(t, element), b) for (t,) in taps] for b in range(blocks)]
        return [largest(f, block) for block in values]

    return reduce_taps(f, window, [least] * blocks, of_taps, lambda a, b: largest(f, [a, b]))


@dataclass(frozen=True)
class Shared:
    """The samples of a gradient that goes to maxima."""

    x: Sample
    y: Sample
    dy: Sample
    dx: Sample
    add: bool
    """Whether windows overlap, so that dx is added to."""


def give_to_maxima(
    window: Window, samples: Shared, element: Index, blocks: int, *, relu: bool = False
) -> None:
    """Give the gradient of a window to its first maximum."""
    x, dy, f = samples.x, samples.dy, samples.x.f
    zero = constant(x.layout.vector, 0)
    y_at, dy_at = (f.add(e, element) for e in window.outputs)
    maxima = [samples.y.load(y_at, b) for b in range(blocks)]
    # What a window has to give, until its first maximum has taken it.
    left = [dy.load(dy_at, b) for b in range(blocks)]
    if relu:
        left = [
            f.select(f.fcompare("ogt", top, zero), value, zero)
            for top, value in zip(maxima, left, strict=True)
        ]

    def give(taps: list[Elements], left: list[Value]) -> list[Value]:
        left = list(left)
        for x_at, dx_at in taps:
            for b in range(blocks):
                value = x.load(f.add(x_at, element), b)
                hit = f.fcompare("oeq", value, maxima[b])
                taken = f.select(hit, left[b], zero)
                left[b] = f.select(hit, zero, left[b])
                contribute(taken, samples.dx, f.add(dx_at, element), b, add=samples.add)
        return left

    fold(f, window, left, give)


def largest(f: Function, values: Sequence[Value]) -> Value:
    """Return the lane-wise maximum, NaN where one of the values is.

    ``a > b ? a : b`` is one instruction of x86, which keeps NaN on its right side only; comparing
    values in pairs costs half an instruction more for each. The last of an odd number of values
    is on the right side of all its comparisons.
    """
    if len(values) == 1:
        return values[0]
    pairs = zip(values[::2], values[1::2], strict=False)
    unordered = tree(
        [f.fcompare("uno", a, b) for a, b in pairs], lambda a, b: f.integer("or", a, b)
    )
    top = tree(values, lambda a, b: f.select(f.fcompare("ogt", a, b), a, b))
    return f.select(unordered, constant(top.type, math.nan), top)


def _weight(f: Function, window: Window, windows: Windows, *, count_padding: bool) -> Value:
    """Return one over the number of taps that a window averages, in every lane."""
    x = windows.inputs[0]
    if count_padding:
        return constant(x.vector, 1 / math.prod(windows.size))
    return one_over_taps(f, window, x)


def one_over_taps(f: Function, window: Window, x: Layout) -> Value:
    """Return one over the number of taps of a window, in every lane."""
    taps: Index = 1
    for low, high in window.bounds:
        taps = f.mul(taps, f.sub(high, low))
    if isinstance(taps, int):
        return constant(x.vector, 1 / taps)
    count = f.convert("sitofp", taps, x.element)
    return f.splat(f.fdiv(constant(x.element, 1), count), x.lanes)
