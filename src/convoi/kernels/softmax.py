"""Probabilities from the channels of each position."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.lanes import across, existing, fold_blocks, keep_existing
from convoi.kernels.sources import check_same_elements, origin
from convoi.kernels.traversal import Point, Traversal, steps_of
from convoi.kernels.vector_math import VectorMath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout


class Exponentials:
    """The exponentials of the channels at one position, divided by the largest.

    Parameters
    ----------
    f : Function
        Where to emit.
    layout : Layout
        Of the tensor.
    place : Value
        Address of the position's first channel.
    """

    def __init__(self, f: Function, layout: Layout, place: Value) -> None:
        self._f = f
        self._layout = layout
        self._place = place
        self._m = m = VectorMath(f, layout.vector)
        self._shifted: dict[Index, Value] = {}
        self._powers: dict[Index, Value] = {}

        def larger(a: Value, b: Value) -> Value:
            # NaN may get lost here: it comes back in the sum.
            return m.where(m.greater(a, b), a, b)

        def body(channel: Index, carried: list[Value]) -> list[Value]:
            return [larger(carried[0], self._load(channel))]

        (largest,) = fold_blocks(f, layout, body, [m.constant(-math.inf)])
        self._largest = across(f, largest, larger)

    def _load(self, channel: Index) -> Value:
        f, layout = self._f, self._layout
        x = f.load(f.at(self._place, channel, layout.element), layout.vector)
        lanes = existing(f, layout, channel)
        return keep_existing(self._m, lanes, x, -math.inf)

    def shifted(self, channel: Index) -> Value:
        """Return a block's values minus the largest; minus infinity beyond the channels."""
        known = self._shifted.get(channel)
        if known is None:
            known = self._m.sub(self._load(channel), self._largest)
            if isinstance(channel, int):
                self._shifted[channel] = known
        return known

    def power(self, channel: Index) -> Value:
        """Return a block's exponentials; zero beyond the channels."""
        known = self._powers.get(channel)
        if known is None:
            known = self._m.exp(self.shifted(channel))
            if isinstance(channel, int):
                self._powers[channel] = known
        return known


@dataclass(frozen=True)
class Softmax(Kernel):
    """``y[k] = e^x[k] / sum over c of e^x[c]`` at each position; zero beyond the channels."""

    arguments: ClassVar[tuple[str, ...]] = ("x", "y")
    in_place: ClassVar[bool] = True

    x: Layout
    y: Layout

    def __post_init__(self) -> None:
        """Check that the tensors belong together."""
        check_same_elements(self.x, self.y)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit three passes over the channels of each position."""
        layout = self.x
        x, y = (origin(f, p, t) for p, t in zip(pointers, (self.x, self.y), strict=True))
        m = VectorMath(f, layout.vector)

        def body(points: Sequence[Point], _: list[Value]) -> None:
            ((source, target),) = points
            exponentials = Exponentials(f, layout, f.at(x, source, layout.element))

            def add(channel: Index, carried: list[Value]) -> list[Value]:
                return [m.add(carried[0], exponentials.power(channel))]

            (total,) = fold_blocks(f, layout, add, [m.constant(0)])
            inverse = m.div(1.0, across(f, total, f.fadd))

            def store(channel: Index, _: list[Value]) -> None:
                lanes = existing(f, layout, channel)
                result = m.mul(exponentials.power(channel), inverse)
                end = f.at(y, f.add(target, channel), layout.element)
                f.store(keep_existing(m, lanes, result), end)

            fold_blocks(f, layout, store)

        steps = [steps_of(self.x), steps_of(self.y)]
        Traversal(f, layout.spatial, steps, call).each(body)


@dataclass(frozen=True)
class SoftmaxBackward(Kernel):
    """``dx[k] = y[k] (dy[k] - sum over c of y[c] dy[c])`` at each position."""

    arguments: ClassVar[tuple[str, ...]] = ("y", "dy", "dx")
    in_place: ClassVar[bool] = True

    y: Layout
    dy: Layout
    dx: Layout

    def __post_init__(self) -> None:
        """Check that the tensors belong together."""
        check_same_elements(self.dy, self.y)
        check_same_elements(self.dx, self.y)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit two passes over the channels of each position."""
        layout = self.y
        layouts = (self.y, self.dy, self.dx)
        bases = [origin(f, p, t) for p, t in zip(pointers, layouts, strict=True)]
        m = VectorMath(f, layout.vector)

        def body(points: Sequence[Point], _: list[Value]) -> None:
            (offsets,) = points

            def place(tensor: int, channel: Index) -> Value:
                return f.at(bases[tensor], f.add(offsets[tensor], channel), layout.element)

            def load(channel: Index) -> tuple[Value, Value]:
                y, dy = (f.load(place(tensor, channel), layout.vector) for tensor in (0, 1))
                return y, dy

            def add(channel: Index, carried: list[Value]) -> list[Value]:
                y, dy = load(channel)
                return [m.fma(y, dy, carried[0])]

            (total,) = fold_blocks(f, layout, add, [m.constant(0)])
            product = across(f, total, f.fadd)

            def store(channel: Index, _: list[Value]) -> None:
                y, dy = load(channel)
                f.store(m.mul(y, m.sub(dy, product)), place(2, channel))

            fold_blocks(f, layout, store)

        Traversal(f, layout.spatial, [steps_of(t) for t in layouts], call).each(body)
