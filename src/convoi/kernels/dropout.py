"""Dropout, forward and backward, with the masks of :mod:`convoi.ops.dropout`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.lanes import fold_blocks
from convoi.kernels.random_bits import SampleKeys, element_bits, signed
from convoi.kernels.sources import check_same_elements, origin
from convoi.kernels.traversal import Point, Traversal, numbering, steps_of
from convoi.kernels.vector_math import VectorMath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout


@dataclass(frozen=True)
class DropoutMasked(Kernel):
    """``y[e] = scale x[e]`` where the hash of element e is not below the threshold, else 0.

    Elements are counted in the order (channel, position), as in arrays. Pointers: x, the seed of
    the step (uint64), y.
    """

    arguments: ClassVar[tuple[str, ...]] = ("x", "seed", "y")
    in_place: ClassVar[bool] = True

    x: Layout
    y: Layout
    threshold: int
    scale: float
    stream: int

    def __post_init__(self) -> None:
        """Check that the tensors belong together."""
        check_same_elements(self.y, self.x)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over samples, positions and blocks of channels."""
        x, seed, y = pointers
        layout = self.x
        keys = SampleKeys(f, seed, self.stream, call)
        x, y = origin(f, x, layout), origin(f, y, self.y)
        steps = [steps_of(layout), numbering(layout.spatial), steps_of(self.y)]

        def one_sample(sample: Index, _: list[Value]) -> None:
            halves = keys.halves(sample)
            source = f.at(x, f.mul(sample, layout.size), layout.element)
            output = f.at(y, f.mul(sample, self.y.size), layout.element)

            def body(points: Sequence[Point], _: list[Value]) -> None:
                for point in points:
                    self._emit_position(f, (source, output), halves, point)

            traversal = Traversal(f, layout.spatial, steps, None)
            traversal.each(body, (), max(1, 2 // layout.blocks))

        f.loop(call.count, one_sample)

    def _emit_position(
        self,
        f: Function,
        addresses: tuple[Value, Value],
        halves: tuple[Value, Value],
        point: Point,
    ) -> None:
        """Emit all channels of a position, given both halves of the sample's key."""
        layout = self.x
        m = VectorMath(f, layout.vector)
        source, output = addresses
        place, position, end = point

        def one_block(channel: Index, _: list[Value]) -> None:
            start = f.value(f.add(f.mul(channel, layout.positions), position))
            bits = element_bits(f, layout, start, halves)
            kept = f.compare("uge", bits, signed(self.threshold, 32))
            x = f.load(f.at(source, f.add(place, channel), layout.element), layout.vector)
            result = m.mul(m.where(kept, x, 0.0), self.scale)
            f.store(result, f.at(output, f.add(end, channel), layout.element))

        fold_blocks(f, layout, one_block)
