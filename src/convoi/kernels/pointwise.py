"""Passes over tensors that compute each element by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.lanes import registers
from convoi.kernels.sources import Channels, Operands, Source, Tensor, check_inputs, origin
from convoi.kernels.traversal import Point, Traversal, steps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.expression import Expression
    from convoi.kernels.layout import Layout

__all__ = ["Channels", "Pointwise", "Source", "Tensor"]

UNROLL = 4
"""Vectors per iteration: more do not make the loop faster, fewer leave it slower in L1."""


@dataclass(frozen=True)
class Pointwise(Kernel):
    """``y = expression(sources)``, element by element.

    Pointers: the sources in their order, then y. Tensors agree in channels, spatial extents,
    lanes and dtype; halos may differ. y may be the buffer of a source that has its layout.
    """

    in_place: ClassVar[bool] = True

    expression: Expression
    sources: tuple[Source, ...]
    output: Layout

    def __post_init__(self) -> None:
        """Check that the sources fit the expression and the output."""
        check_inputs(self.expression.inputs, self.sources, self.output)

    def pointer_count(self) -> int:
        """Return the number of sources and the output."""
        return len(self.sources) + 1

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over positions, or over vectors where channels do not matter."""
        output = self.output
        operands = Operands(f, self.sources, pointers[:-1], output)
        passes = _Passes(f, self, operands, origin(f, pointers[-1], output))
        steps = [steps_of(layout) for layout in (*operands.layouts, output)]
        if not operands.channel_count:
            vectors = (output.blocks, output.lanes)
            traversal = Traversal(f, output.spatial, steps, call, vectors)
            traversal.each(lambda points, _: passes.run(points, 0, []), (), UNROLL)
            return
        traversal = Traversal(f, output.spatial, steps, call)
        if output.blocks * operands.channel_count <= registers(output) // 2:
            passes.over_positions(traversal)
        else:
            passes.over_blocks(traversal)


@dataclass(frozen=True)
class _Passes:
    """The loops of a kernel, each the best for some number of channels."""

    f: Function
    kernel: Pointwise
    operands: Operands
    output: Value
    """Address of the output's first position."""

    def over_positions(self, traversal: Traversal) -> None:
        """Keep the vectors per channel in registers."""
        layout = self.kernel.output
        known = self.operands.load_channels(0, layout.blocks)

        def body(points: Sequence[Point], _: list[Value]) -> None:
            for block, vectors in enumerate(known):
                self.run(points, block * layout.lanes, vectors)

        traversal.each(body, (), max(1, UNROLL // layout.blocks))

    def over_blocks(self, traversal: Traversal) -> None:
        """Load the vectors per channel once for some positions."""
        layout, f = self.kernel.output, self.f

        def body(points: Sequence[Point], _: list[Value]) -> None:
            def one(block: Index, _: list[Value]) -> None:
                channel = f.mul(block, layout.lanes)
                (vectors,) = self.operands.load_channels(channel, 1)
                self.run(points, channel, vectors)

            f.loop(layout.blocks, one)

        traversal.each(body, (), UNROLL)

    def run(self, points: Sequence[Point], channel: Index, vectors: Sequence[Value]) -> None:
        """Compute one vector at each of some positions: load all, then store all."""
        f, operands = self.f, self.operands
        loaded = [operands.load_tensors(offsets[:-1], channel) for offsets in points]
        for tensors, (*_, offset) in zip(loaded, points, strict=True):
            result = self.kernel.expression.emit(f, operands.order(tensors, vectors))
            end = f.at(self.output, f.add(offset, channel), self.kernel.output.element)
            f.store(result, end)
