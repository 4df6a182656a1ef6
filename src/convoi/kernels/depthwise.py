"""Depthwise convolution: each channel has a kernel of its own. Lanes are channels on both sides.

    y[k, o]  = f( bias[k] + sum over r of w[k, r] * x[k, position(o, r)] )
    dw[k, r] = sum over samples and positions o of dy[k, o] * x[k, position(o, r)]

Weights lie as ``[vector of channels][tap][lane]``. Forward and backward to the input differ only
in the runs of their axes (:mod:`convoi.kernels.grid`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convoi.codegen.types import Index, Value, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.expression import IDENTITY, Expression
from convoi.kernels.sharing import Bounds, Units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convoi.codegen.builder import Function
    from convoi.kernels.grid import Axis, Run
    from convoi.kernels.layout import Layout

UNROLLED_PRODUCTS = 96
"""Multiply-adds that the innermost loop may hold."""
WAITING = 4
"""Multiply-adds of other kernels that take as long as one of these, where memory is far."""
STRIP = 4
"""The most rows that are computed for one vector of channels before the next: they share rows of x
in the first-level cache, and a thread needs few rows that another one has written."""


def depthwise_indices(channels: int, taps: int, lanes: int) -> NDArray[np.int64]:
    """Return the flat index in weights ``(K, 1, *taps)`` of every packed element; -1: padding."""
    blocks = -(-channels // lanes)
    block, tap, lane = np.meshgrid(
        np.arange(blocks), np.arange(taps), np.arange(lanes), indexing="ij"
    )
    k = (block * lanes + lane).ravel()
    return np.where(k < channels, k * taps + tap.ravel(), -1)


@dataclass(frozen=True)
class DepthwiseCorrelate(Kernel):
    """Forward, or backward to the input. Pointers: x, weights, [bias], epilogue tensors, y."""

    x: Layout
    y: Layout
    axes: tuple[Axis, ...]
    kernel: tuple[int, ...]
    columns: int
    """Positions of a tile."""
    bias: bool = False
    epilogue: Expression = IDENTITY
    tensors: tuple[Layout, ...] = ()
    divided: bool = False
    """Whether threads may share the strips of rows and the vectors of channels."""
    by_channels: bool = False
    """Whether they share the vectors of channels alone, as they share those of x."""

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return 3 + self.bias + len(self.tensors)

    @property
    def strips(self) -> int:
        """Strips of adjacent positions of the first of several axes."""
        if self.by_channels or len(self.axes) < 2:
            return 1
        return -(-self.axes[0][0].count // STRIP)

    @property
    def units(self) -> int:
        """Strips of rows times vectors of channels."""
        return self.strips * self.y.blocks if self.divided else 1

    @property
    def work(self) -> int:
        """Multiply-adds of a sample, which wait for loads as often as not."""
        return WAITING * self.y.positions * self.y.stride * int(np.prod(self.kernel, dtype=int))

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples, strips, vectors of channels, runs and rows."""

        def one(s: Index, b: Index, rows: Bounds | None) -> None:
            lane = f.mul(b, self.y.lanes)
            for runs in itertools.product(*self.axes):
                layouts = (self.x, *self.tensors, self.y)
                starts = [
                    f.add(f.add(layout.origin, lane), f.mul(s, layout.size)) for layout in layouts
                ]
                self._rows(f, pointers, runs, 0, starts, b, rows)

        units = Units.of(f, call, self.strips, self.y.blocks, divided=True)

        def strips(s: Index, _: object) -> None:
            count = self.axes[0][0].count if self.axes else 1
            size = -(-count // self.strips)

            def strip(i: Index, _: object) -> None:
                first = f.mul(i, size)
                rows = (first, f.minimum(f.add(first, size), count)) if self.strips > 1 else None
                low, high = units.inner(i)
                f.loop(high, lambda b, _: one(s, b, rows), start=low)

            f.loop(units.outer[1], strip, start=units.outer[0])

        def blocks(s: Index, _: object) -> None:
            f.loop(self.y.blocks, lambda b, _: one(s, b, None))

        f.loop(call.count, strips if self.divided else blocks)

    def _rows(  # noqa: PLR0917 - the state of the loops
        self,
        f: Function,
        pointers: Sequence[Value],
        runs: tuple[Run, ...],
        axis: int,
        starts: list[Index],
        block: Index,
        rows: Bounds | None = None,
    ) -> None:
        """Emit the loops over the positions of an axis (or some of them), and of those after it."""
        if axis == len(runs):
            self._tile(f, pointers, runs, starts, 1, block)
            return
        run = runs[axis]
        layouts = (*self.tensors, self.y)

        def advanced(i: Index) -> list[Index]:
            out = f.add(run.first, f.mul(i, run.step))
            x = f.add(starts[0], f.mul(i, run.input_step * self.x.axis_strides[axis]))
            return [
                x,
                *(
                    f.add(start, f.mul(out, layout.axis_strides[axis]))
                    for start, layout in zip(starts[1:], layouts, strict=True)
                ),
            ]

        if axis < len(runs) - 1:
            start, stop = rows or (0, run.count)
            f.loop(
                stop,
                lambda i, _: self._rows(f, pointers, runs, axis + 1, advanced(i), block),
                start=start,
            )
            return
        width = min(self.columns, run.count)
        whole = run.count // width * width
        f.loop(
            whole,
            lambda i, _: self._tile(f, pointers, runs, advanced(i), width, block),
            step=width,
        )
        if run.count > whole:
            self._tile(f, pointers, runs, advanced(whole), run.count - whole, block)

    def _tile(  # noqa: PLR0917 - the state of the loops
        self,
        f: Function,
        pointers: Sequence[Value],
        runs: tuple[Run, ...],
        starts: list[Index],
        columns: int,
        block: Index,
    ) -> None:
        """Emit a tile of columns."""
        element, vector, lanes = self.y.element, self.y.vector, self.y.lanes
        x = f.at(pointers[0], starts[0], element)
        taps = int(np.prod(self.kernel, dtype=int))
        w = f.at(pointers[1], f.mul(block, taps * lanes), element)
        sums = [constant(vector, 0.0)] * columns
        if self.bias:
            sums = [f.load(f.at(pointers[2], f.mul(block, lanes), element), vector)] * columns
        sums = self._taps(f, runs, 0, x, w, sums)
        last = runs[-1] if runs else None
        layouts = (*self.tensors, self.y)
        outputs = [
            f.at(pointer, start, element)
            for pointer, start in zip(pointers[2 + self.bias :], starts[1:], strict=True)
        ]
        for j, total in enumerate(sums):
            shifts = [j * last.step * layout.axis_strides[-1] if last else 0 for layout in layouts]
            places = [f.at(o, shift, element) for o, shift in zip(outputs, shifts, strict=True)]
            extra = [f.load(place, vector) for place in places[:-1]]
            f.store(self.epilogue.emit(f, [total, *extra]), places[-1])

    def _taps(  # noqa: PLR0917 - the state of the loops
        self,
        f: Function,
        runs: tuple[Run, ...],
        axis: int,
        x: Value,
        w: Value,
        sums: list[Value],
    ) -> list[Value]:
        """Emit the loops over the taps of an axis; those of the last axis are unrolled."""
        element, vector, lanes = self.y.element, self.y.vector, self.y.lanes
        if axis == len(runs):
            weight = f.load(w, vector)
            return [f.fma(f.load(x, vector), weight, total) for total in sums]
        run = runs[axis]
        taps = run.taps
        stride = self.x.axis_strides[axis]
        inner = lanes * int(np.prod(self.kernel[axis + 1 :], dtype=int))
        if axis < len(runs) - 1 or taps.count * len(sums) > UNROLLED_PRODUCTS:

            def one(t: Index, carried: list[Value]) -> list[Value]:
                x_tap = f.add(taps.offset * stride, f.mul(t, taps.offset_step * stride))
                w_tap = f.add(taps.weight * inner, f.mul(t, taps.weight_step * inner))
                x_here, w_here = f.at(x, x_tap, element), f.at(w, w_tap, element)
                if axis < len(runs) - 1:
                    return self._taps(f, runs, axis + 1, x_here, w_here, carried)
                weight = f.load(w_here, vector)
                step = run.input_step * stride
                return [
                    f.fma(f.load(f.at(x_here, j * step, element), vector), weight, total)
                    for j, total in enumerate(carried)
                ]

            return f.loop(taps.count, one, sums)
        sums = list(sums)
        loaded: dict[int, Value] = {}
        for t in range(taps.count):
            weight = f.load(f.at(w, (taps.weight + t * taps.weight_step) * inner, element), vector)
            for j in range(len(sums)):
                where = taps.offset + t * taps.offset_step + j * run.input_step
                if where not in loaded:
                    loaded[where] = f.load(f.at(x, where * stride, element), vector)
                sums[j] = f.fma(loaded[where], weight, sums[j])
        return sums


@dataclass(frozen=True)
class DepthwiseWeightGradient(Kernel):
    """The gradient of the weights, summed over the chunk."""

    arguments: ClassVar[tuple[str, ...]] = ("x", "dy", "dw")

    x: Layout
    dy: Layout
    axes: tuple[Axis, ...]
    kernel: tuple[int, ...]
    taps: int
    """Taps whose sums are kept in registers at a time."""

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over vectors of channels, groups of taps and positions."""
        places = self._tap_places()
        for start in range(0, len(places), self.taps):
            some = partial(self._block, f, pointers, call, places[start : start + self.taps])
            f.loop(self.dy.blocks, some)

    def _tap_places(self) -> list[tuple[int, int]]:
        """Return (index in the weights, element of x) for every tap."""
        ranges = [range(axis[0].taps.count) for axis in self.axes]
        found = []
        for combination in itertools.product(*ranges):
            index = offset = 0
            for t, axis, extent, stride in zip(
                combination, self.axes, self.kernel, self.x.axis_strides, strict=True
            ):
                taps = axis[0].taps
                index = index * extent + taps.weight + t * taps.weight_step
                offset += (taps.offset + t * taps.offset_step) * stride
            found.append((index, offset))
        return found

    def _block(
        self,
        f: Function,
        pointers: Sequence[Value],
        call: CallArguments,
        places: list[tuple[int, int]],
        block: Index,
        _: object,
    ) -> None:
        """Emit the sums of some taps for one vector of channels."""
        element, vector, lanes = self.dy.element, self.dy.vector, self.dy.lanes
        total_taps = int(np.prod(self.kernel, dtype=int))
        lane = f.mul(block, lanes)
        x = f.at(pointers[0], f.add(self.x.origin, lane), element)
        dy = f.at(pointers[1], f.add(self.dy.origin, lane), element)
        dw = f.at(pointers[2], f.mul(block, total_taps * lanes), element)
        fresh = f.compare("ne", call.fresh, 0)
        zero = constant(vector, 0.0)
        initial = [
            f.select(fresh, zero, f.load(f.at(dw, index * lanes, element), vector))
            for index, _ in places
        ]

        def positions(axis: int, xi: Index, di: Index, sums: list[Value]) -> list[Value]:
            if axis == len(self.axes):
                gradient = f.load(f.at(dy, di, element), vector)
                here = f.at(x, xi, element)
                return [
                    f.fma(f.load(f.at(here, offset, element), vector), gradient, total)
                    for (_, offset), total in zip(places, sums, strict=True)
                ]
            run = self.axes[axis][0]
            x_step = run.input_step * self.x.axis_strides[axis]
            dy_step = run.step * self.dy.axis_strides[axis]
            return f.loop(
                run.count,
                lambda i, s: positions(
                    axis + 1, f.add(xi, f.mul(i, x_step)), f.add(di, f.mul(i, dy_step)), s
                ),
                sums,
            )

        sums = f.loop(
            call.count,
            lambda s, carried: positions(0, f.mul(s, self.x.size), f.mul(s, self.dy.size), carried),
            initial,
        )
        for (index, _), total in zip(places, sums, strict=True):
            f.store(total, f.at(dw, index * lanes, element))
