"""Losses and their gradients with respect to the prediction, in one pass.

Pointers: prediction, target, weight, loss, and the prediction's gradient if `gradient` gives its
layout. Weight and loss have one element per sample; weights are normalised by the caller, so the
loss of a batch is the sum of its losses.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from convoi.codegen.types import I64
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.lanes import (
    across,
    channel_numbers,
    existing,
    fold_blocks,
    keep_existing,
    narrow,
    tree,
)
from convoi.kernels.softmax import Exponentials
from convoi.kernels.sources import check_same_elements, origin
from convoi.kernels.traversal import Point, Traversal, numbering, steps_of
from convoi.kernels.vector_math import VectorMath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout


class DifferenceFormula(Protocol):
    """A loss of one element, as a function of prediction minus target."""

    def formula(self, m: Any, difference: Any) -> Any:  # noqa: ANN401 - arrays or vectors
        """Return the loss."""

    def slope(self, m: Any, difference: Any) -> Any:  # noqa: ANN401 - arrays or vectors
        """Return its derivative."""


@dataclass(frozen=True)
class _Loss(Kernel):
    """What the losses share: the loop over samples."""

    in_place: ClassVar[bool] = True

    prediction: Layout
    gradient: Layout | None
    """Of the prediction's gradient; None: it is not computed."""

    def __post_init__(self) -> None:
        """Check that the tensors belong together."""
        if self.gradient is not None:
            check_same_elements(self.gradient, self.prediction)

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return 4 + (self.gradient is not None)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over samples."""
        layout = self.prediction
        prediction, target, weight, loss, *gradient = pointers
        prediction = origin(f, prediction, layout)
        m = VectorMath(f, layout.vector)

        def one(sample: Index, _: list[Value]) -> None:
            dx = None
            if self.gradient is not None:
                base = origin(f, gradient[0], self.gradient)
                dx = f.at(base, f.mul(sample, self.gradient.size), layout.element)
            x = f.at(prediction, f.mul(sample, layout.size), layout.element)
            share = m.mul(
                f.broadcast(f.at(weight, sample, layout.element), layout.vector),
                1 / self._terms(),
            )
            total = self._emit_sample(f, (x, self._target(f, target, sample), dx), share)
            value = f.extract(m.mul(total, share), 0)
            f.store(value, f.at(loss, sample, layout.element))

        f.loop(call.count, one)

    @abstractmethod
    def _terms(self) -> int:
        """Return the number of terms of the mean."""

    @abstractmethod
    def _target(self, f: Function, pointer: Value, sample: Index) -> Value:
        """Return the address of a sample's target."""

    @abstractmethod
    def _emit_sample(
        self, f: Function, addresses: tuple[Value, Value, Value | None], share: Value
    ) -> Value:
        """Emit a sample's gradient, and return the sum of its losses in every lane.

        The addresses are those of prediction, target and gradient; the share is what the sum is
        to be multiplied by.
        """

    def _layouts(self) -> list[Layout]:
        """Return the layouts of the prediction and of the gradient, if there is one."""
        return [self.prediction] if self.gradient is None else [self.prediction, self.gradient]


@dataclass(frozen=True)
class CrossEntropy(_Loss):
    """Cross-entropy of logits and class numbers, averaged over the positions.

    At a position with the class t among K, with label smoothing s::

        loss = log sum over c of e^x[c] - (1 - s) x[t] - s / K * sum over c of x[c]
        dx[k] = softmax(x)[k] - (1 - s) [k = t] - s / K

    The target has one int64 per position. The logit of the class is found by comparing numbers,
    not by its address: a number that is no class has a wrong loss, and reads nothing outside.
    """

    smoothing: float = 0.0

    def _terms(self) -> int:
        return self.prediction.positions

    def _target(self, f: Function, pointer: Value, sample: Index) -> Value:
        return f.at(pointer, f.mul(sample, self.prediction.positions), I64)

    def _emit_sample(
        self, f: Function, addresses: tuple[Value, Value, Value | None], share: Value
    ) -> Value:
        layout = self.prediction
        x, target, dx = addresses
        m = VectorMath(f, layout.vector)

        def body(points: Sequence[Point], carried: list[Value]) -> list[Value]:
            ((place, number, *gradient),) = points
            exponentials = Exponentials(f, layout, f.at(x, place, layout.element))
            wanted = f.load(f.at(target, number, I64), I64)
            probabilities = _TargetProbabilities(f, layout, wanted, self.smoothing)

            def add(channel: Index, sums: list[Value]) -> list[Value]:
                q, power = probabilities.at(channel), exponentials.power(channel)
                lanes = existing(f, layout, channel)
                shifted = keep_existing(m, lanes, exponentials.shifted(channel))
                return [m.add(sums[0], power), m.fma(q, shifted, sums[1])]

            sums = fold_blocks(f, layout, add, [m.constant(0), m.constant(0)])
            total, chosen = (across(f, value, f.fadd) for value in sums)
            if dx is not None:
                inverse = m.div(1.0, total)

                def store(channel: Index, _: list[Value]) -> None:
                    p = m.mul(exponentials.power(channel), inverse)
                    result = m.mul(m.sub(p, probabilities.at(channel)), share)
                    end = f.at(dx, f.add(gradient[0], channel), layout.element)
                    f.store(keep_existing(m, existing(f, layout, channel), result), end)

                fold_blocks(f, layout, store)
            return [m.add(carried[0], m.sub(m.log(total), chosen))]

        first, *gradient = (steps_of(t) for t in self._layouts())
        steps = [first, numbering(layout.spatial), *gradient]
        return Traversal(f, layout.spatial, steps, None).each(body, [m.constant(0)])[0]


class _TargetProbabilities:
    """What the probabilities of a position should be, block by block."""

    def __init__(self, f: Function, layout: Layout, wanted: Value, smoothing: float) -> None:
        self._f = f
        self._layout = layout
        self._m = VectorMath(f, layout.vector)
        self._wanted = f.splat(narrow(f, layout, wanted), layout.lanes)
        self._off = smoothing / layout.channels
        self._on = 1 - smoothing + self._off

    def at(self, channel: Index) -> Value:
        """Return a block of the probabilities."""
        numbers = channel_numbers(self._f, self._layout, channel)
        hit = self._f.compare("eq", numbers, self._wanted)
        return self._m.where(hit, self._on, self._off)


@dataclass(frozen=True)
class ElementwiseLoss(_Loss):
    """A loss of the difference of prediction and target, averaged over the elements.

    The target is a tensor in the prediction's layout.
    """

    loss: DifferenceFormula

    def _terms(self) -> int:
        return self.prediction.positions * self.prediction.channels

    def _target(self, f: Function, pointer: Value, sample: Index) -> Value:
        layout = self.prediction
        return f.at(origin(f, pointer, layout), f.mul(sample, layout.size), layout.element)

    def _emit_sample(
        self, f: Function, addresses: tuple[Value, Value, Value | None], share: Value
    ) -> Value:
        layout = self.prediction
        x, target, dx = addresses
        m = VectorMath(f, layout.vector)

        def one(point: Point, carried: list[Value]) -> list[Value]:
            def add(channel: Index, sums: list[Value]) -> list[Value]:
                offset = f.add(point[0], channel)
                a, b = (f.load(f.at(p, offset, layout.element), layout.vector) for p in (x, target))
                difference = m.sub(a, b)
                lanes = existing(f, layout, channel)
                if dx is not None:
                    slope = m.mul(self.loss.slope(m, difference), share)
                    end = f.at(dx, f.add(point[1], channel), layout.element)
                    f.store(keep_existing(m, lanes, slope), end)
                value = keep_existing(m, lanes, m.value(self.loss.formula(m, difference)))
                return [m.add(sums[0], value)]

            return fold_blocks(f, layout, add, carried)

        def body(points: Sequence[Point], carried: list[Value]) -> list[Value]:
            sums = [one(point, [s])[0] for point, s in zip(points, carried, strict=False)]
            return sums + carried[len(points) :]

        steps = [steps_of(t) for t in self._layouts()]
        unroll = max(1, 4 // layout.blocks)
        traversal = Traversal(f, layout.spatial, steps, None)
        sums = traversal.each(body, [m.constant(0)] * unroll, unroll)
        return across(f, tree(sums, f.fadd), f.fadd)
