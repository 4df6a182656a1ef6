"""Batch normalisation: the formulas of both passes, and the sums that the backward pass needs.

For each channel with N values x, weight w, bias b and the gradient g with respect to y::

    scale = w invstd
    y = (x - mean) scale + b                                     (Normalize)
    db = sum g      dw = invstd sum g (x - mean)
    dx = scale (g - db / N - (x - mean) invstd dw / N)           (NormBackward)

Reference: S. Ioffe and C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by
Reducing Internal Covariate Shift", ICML 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar

from convoi.codegen.types import I64
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.lanes import fold_blocks, groups
from convoi.kernels.layout import Layout
from convoi.kernels.moments import Moment
from convoi.kernels.sources import Operands, Source, check_inputs, check_same_elements, origin
from convoi.kernels.sums import (
    GroupShape,
    Rows,
    accumulator_elements,
    tile_positions,
    tile_sums,
)
from convoi.kernels.traversal import Point, Tile, Traversal, steps_of
from convoi.kernels.vector_math import VectorMath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.expression import Expression


class Coefficient(IntEnum):
    """The rows of a block of coefficients of the backward pass."""

    SLOPE = 0
    OFFSET = 1


@dataclass(frozen=True)
class Normalize:
    """(x - mean) * scale + bias."""

    def formula(self, m: Any, x: Any, mean: Any, scale: Any, bias: Any) -> Any:  # noqa: ANN401
        """Return y; the difference comes first, as large means would cancel later."""
        return m.fma(m.sub(x, mean), scale, bias)


@dataclass(frozen=True)
class NormBackward:
    """The gradient with respect to x: g * scale + (x - mean) * slope + offset.

    Mean and scale are rows of the moments; slope and offset are the coefficients' rows.
    """

    def formula(  # noqa: PLR0917 - the six operands of the formula
        self,
        m: Any,  # noqa: ANN401
        g: Any,  # noqa: ANN401
        x: Any,  # noqa: ANN401
        mean: Any,  # noqa: ANN401
        scale: Any,  # noqa: ANN401
        slope: Any,  # noqa: ANN401
        offset: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Return dx."""
        return m.fma(g, scale, m.fma(m.sub(x, mean), slope, offset))


@dataclass(frozen=True)
class GradientSumsAccumulate(Kernel):
    """Add the sums of g and of g (x - mean) over some samples to those of a chunk.

    The gradient g is an expression of `sources`: dy itself, or dy times the derivative of an
    activation that follows the normalisation. It is also stored if `gradient` gives a layout.

    Pointers: x, the block of moments, the sources in their order, g if it is stored, the
    accumulator (`accumulator_size` elements).
    """

    in_place: ClassVar[bool] = True

    x: Layout
    expression: Expression
    sources: tuple[Source, ...]
    gradient: Layout | None = None

    def __post_init__(self) -> None:
        """Check that the sources fit the expression and x."""
        check_inputs(self.expression.inputs, self.sources, self.x)
        if self.gradient is not None:
            check_same_elements(self.gradient, self.x)

    @property
    def accumulator_size(self) -> int:
        """Elements of a chunk's accumulator."""
        return accumulator_elements(self.x, 2)

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return 3 + len(self.sources) + (self.gradient is not None)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the sums of each tile and group of channels."""
        layout = self.x
        x, moments, *rest, accumulator = pointers
        operands = Operands(f, self.sources, rest[: len(self.sources)], layout)
        chunk = Rows(f, layout, accumulator)
        chunk.clear_when_fresh(2, call)
        values = Rows(f, layout, origin(f, x, layout))
        stored = None
        layouts = [layout, *operands.layouts]
        if self.gradient is not None:
            stored = Rows(f, layout, origin(f, rest[-1], self.gradient))
            layouts.append(self.gradient)
        m = VectorMath(f, layout.vector)

        def one_group(tile: Tile, channel: Index, blocks: int) -> None:
            channels = [f.add(channel, block * layout.lanes) for block in range(blocks)]
            means = [Rows(f, layout, moments).load(Moment.MEAN, k) for k in channels]
            vectors = operands.load_channels(channel, blocks)

            def add(point: Point, block: int, sums: list[Value]) -> list[Value]:
                tensors = operands.load_tensors(
                    point[1 : 1 + len(operands.layouts)], channels[block]
                )
                g = self.expression.emit(f, operands.order(tensors, vectors[block]))
                if stored:
                    stored.store(g, 0, f.add(point[-1], channels[block]))
                deviation = m.sub(values.load(0, f.add(point[0], channels[block])), means[block])
                return [m.add(sums[0], g), m.fma(g, deviation, sums[1])]

            shape = GroupShape.of(layout, blocks, sums=2)
            for k, sums in zip(channels, tile_sums(f, layout, tile, shape, add), strict=True):
                for row, total in enumerate(sums):
                    chunk.add(total, row, k)

        traversal = Traversal(f, layout.spatial, [steps_of(t) for t in layouts], call)
        widest = GroupShape.widest(layout, sums=2)
        traversal.tiles(
            tile_positions(layout),
            lambda tile: groups(f, layout, widest, lambda k, blocks: one_group(tile, k, blocks)),
        )


@dataclass(frozen=True)
class GradientSumsFinish(Kernel):
    """Add the chunks' sums in their order; find what the backward pass needs.

    Pointers: the chunks' accumulators, one after another; their number (int64); the block of
    moments; the gradients of weight and bias; the block of coefficients, whose rows are those of
    :class:`Coefficient`.
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "accumulators",
        "chunks",
        "moments",
        "dweight",
        "dbias",
        "coefficients",
    )

    channels: int
    lanes: int
    dtype: str

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over blocks of channels."""
        del call
        layout = Layout(self.channels, (), self.lanes, self.dtype)
        accumulators, chunks, *blocks = pointers
        number = f.load(chunks, I64)
        size = accumulator_elements(layout, 2)
        moments, dweight, dbias, coefficients = (Rows(f, layout, p) for p in blocks)
        m = VectorMath(f, layout.vector)

        def one(channel: Index, _: list[Value]) -> None:
            def add(i: Index, sums: list[Value]) -> list[Value]:
                chunk = Rows(f, layout, f.at(accumulators, f.mul(i, size), layout.element))
                return [m.add(held, chunk.load(row, channel)) for row, held in enumerate(sums)]

            total, products = f.loop(number, add, [m.constant(0), m.constant(0)])
            invstd, scale, count = (
                moments.load(row, channel) for row in (Moment.INVSTD, Moment.SCALE, Moment.COUNT)
            )
            weight_gradient = m.mul(products, invstd)
            dweight.store(weight_gradient, 0, channel)
            dbias.store(total, 0, channel)
            share = m.neg(m.div(scale, count))
            slope = m.mul(m.mul(weight_gradient, invstd), share)
            coefficients.store(slope, Coefficient.SLOPE, channel)
            coefficients.store(m.mul(total, share), Coefficient.OFFSET, channel)

        fold_blocks(f, layout, one)
