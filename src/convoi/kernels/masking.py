"""Samples of unequal length: filling what is behind the end, and counting what is before it.

All of them take the lengths of the samples, int64, as their first pointer. A sample has
``(length + offset) // divisor`` positions of the ``T`` that are stored, see
:mod:`convoi.ops.masking`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import I64, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.lanes import fold_blocks, groups
from convoi.kernels.moments import MomentsAccumulate, accumulate_tile, begin_chunk
from convoi.kernels.sources import check_same_elements, origin
from convoi.kernels.spans import Sample, clamp, maximum
from convoi.kernels.sums import GroupShape, Rows, tile_positions
from convoi.kernels.traversal import Stretch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout


@dataclass(frozen=True)
class Ends:
    """Where the samples of a value end: after ``(length + offset) // divisor`` positions."""

    offset: int
    divisor: int
    positions: int
    """That are stored."""

    def of(self, f: Function, length: Value) -> Index:
        """Return the number of positions of a sample, from 0 to those that are stored."""
        sum_ = maximum(f, f.add(length, self.offset), 0)
        count = sum_ if self.divisor == 1 else f.integer("sdiv", sum_, self.divisor)
        return clamp(f, count, 0, self.positions)


def each_length(
    f: Function,
    call: CallArguments,
    lengths: Value,
    activations: Sequence[tuple[Value, Layout]],
    body: Callable[[Value, list[Sample]], None],
) -> None:
    """Run the body for every sample, which it receives with its length."""

    def one(i: Index, _: list[Value]) -> None:
        length = f.load(f.at(lengths, i, I64), I64)
        places = [
            Sample(f, f.at(p, f.mul(i, layout.size), layout.element), layout)
            for p, layout in activations
        ]
        body(length, places)

    f.loop(call.count, one)


@dataclass(frozen=True)
class ClearBehind(Kernel):
    """Set the positions behind the end of each sample to zero, where they are."""

    arguments: ClassVar[tuple[str, ...]] = ("lengths", "x")

    x: Layout
    ends: Ends

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over samples and the vectors behind their ends."""
        lengths, x = pointers

        def one(length: Value, samples: list[Sample]) -> None:
            _fill(f, samples[0], self.ends.of(f, length), 0.0)

        each_length(f, call, lengths, [(x, self.x)], one)


@dataclass(frozen=True)
class FillBehind(Kernel):
    """Copy samples, with a number in the positions behind their ends."""

    arguments: ClassVar[tuple[str, ...]] = ("lengths", "x", "y")

    x: Layout
    y: Layout
    ends: Ends
    fill: float

    def __post_init__(self) -> None:
        """Check that the tensors belong together."""
        check_same_elements(self.y, self.x)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples and vectors."""
        lengths, x, y = pointers

        def one(length: Value, samples: list[Sample]) -> None:
            source, target = samples
            count = self.ends.of(f, length)

            def copy(i: Index, _: list[Value]) -> None:
                value = source.load(f.add(self.x.origin, i))
                target.store(value, f.add(self.y.origin, i))

            f.loop(f.mul(count, self.x.stride), copy, step=self.x.lanes)
            _fill(f, target, count, self.fill)

        each_length(f, call, lengths, [(x, self.x), (y, self.y)], one)


def _fill(f: Function, target: Sample, first: Index, number: float) -> None:
    """Store a number in all positions from the first on."""
    layout = target.layout
    value = constant(layout.vector, number)
    start = f.add(layout.origin, f.mul(first, layout.stride))
    stop = layout.origin + layout.positions * layout.stride
    f.loop(stop, lambda i, _: target.store(value, i), start=start, step=layout.lanes)


@dataclass(frozen=True)
class WindowShare(Kernel):
    """Turn averages over windows that end with the padding into those that end with the sample.

    See :class:`convoi.ops.WindowShare`; ``ends`` are those of the values that were averaged.
    """

    arguments: ClassVar[tuple[str, ...]] = ("lengths", "x", "y")

    x: Layout
    y: Layout
    ends: Ends
    size: int
    stride: int
    low: int

    def __post_init__(self) -> None:
        """Check that the tensors belong together."""
        check_same_elements(self.y, self.x)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples, positions and blocks of channels."""
        lengths, x, y = pointers
        layout = self.x

        def one(length: Value, samples: list[Sample]) -> None:
            source, target = samples
            count = self.ends.of(f, length)

            def position(q: Index, _: list[Value]) -> None:
                factor = f.splat(self._share(f, q, count), layout.lanes)

                def block(channel: Index, _: list[Value]) -> None:
                    place = f.add(f.mul(q, layout.stride), channel)
                    value = f.fmul(source.load(f.add(layout.origin, place)), factor)
                    target.store(value, f.add(self.y.origin, place))

                fold_blocks(f, layout, block)

            f.loop(layout.positions, position)

        each_length(f, call, lengths, [(x, self.x), (y, self.y)], one)

    def _share(self, f: Function, q: Index, count: Index) -> Value:
        """Return the positions that a window averaged, divided by those of the sample in it."""
        start = f.sub(f.mul(q, self.stride), self.low)
        first, stop = maximum(f, start, 0), f.add(start, self.size)
        averaged = f.sub(f.minimum(stop, self.ends.positions), first)
        seen = f.sub(f.minimum(stop, count), first)
        element = self.x.element
        above = f.convert("sitofp", f.value(averaged), element)
        below = f.convert("sitofp", f.value(maximum(f, seen, 1)), element)
        share = f.fdiv(above, below)
        return f.select(f.compare("sgt", seen, 0), share, constant(element, 0))


@dataclass(frozen=True)
class MaskedMomentsAccumulate(MomentsAccumulate):
    """Merge the moments of the positions before the ends of some samples into those of a chunk."""

    arguments: ClassVar[tuple[str, ...]] = ("lengths", "x", "accumulator")

    ends: Ends

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit both passes over each tile of a sample and group of channels, and the merging."""
        lengths, x, accumulator = pointers
        layout = self.x
        values = Rows(f, layout, origin(f, x, layout))
        chunk = Rows(f, layout, accumulator)
        begin_chunk(f, values, chunk, call)
        size = tile_positions(layout)
        widest = GroupShape.widest(layout, sums=1)

        def one(i: Index, _: list[Value]) -> None:
            length = f.load(f.at(lengths, i, I64), I64)
            count, sample = self.ends.of(f, length), f.mul(i, layout.size)

            def tile(first: Index, _: list[Value]) -> None:
                positions = f.minimum(size, f.sub(count, first))
                start = f.add(sample, f.mul(first, layout.stride))
                stretch = Stretch(f, start, layout.stride, positions)
                groups(
                    f,
                    layout,
                    widest,
                    lambda channel, blocks: accumulate_tile(
                        values, chunk, stretch, channel, blocks
                    ),
                )

            f.loop(count, tile, step=size)

        f.loop(call.count, one)
