"""Dropout, forward and backward, with the masks of :mod:`convoi.ops.dropout`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import I32, I64, Value, Vector
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.lanes import fold_blocks
from convoi.kernels.sources import check_same_elements, origin
from convoi.kernels.traversal import Point, Traversal, numbering, steps_of
from convoi.kernels.vector_math import VectorMath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index
    from convoi.kernels.layout import Layout

GOLDEN = 0x9E3779B97F4A7C15
MIX64 = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
MIX32 = (0x85EBCA6B, 0xC2B2AE35)


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
        base = _mix64(f, f.load(seed, I64))
        x, y = origin(f, x, layout), origin(f, y, self.y)
        steps = [steps_of(layout), numbering(layout.spatial), steps_of(self.y)]

        def one_sample(sample: Index, _: list[Value]) -> None:
            number = f.integer("or", f.add(call.first, sample), _signed(self.stream << 32, 64))
            key = _mix64(f, f.integer("xor", base, number))
            halves = (_low(f, key), _low(f, f.integer("lshr", key, 32)))
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
            bits = _element_bits(f, layout, start, halves)
            kept = f.compare("uge", bits, _signed(self.threshold, 32))
            x = f.load(f.at(source, f.add(place, channel), layout.element), layout.vector)
            result = m.mul(m.where(kept, x, 0.0), self.scale)
            f.store(result, f.at(output, f.add(end, channel), layout.element))

        fold_blocks(f, layout, one_block)


def _mix64(f: Function, z: Value) -> Value:
    z = f.integer("add", z, _signed(GOLDEN, 64))
    for shift, factor in zip((30, 27), MIX64, strict=True):
        mixed = f.integer("xor", z, f.integer("lshr", z, shift))
        z = f.integer("mul", mixed, _signed(factor, 64))
    return f.integer("xor", z, f.integer("lshr", z, 31))


def _element_bits(f: Function, layout: Layout, start: Value, halves: tuple[Value, Value]) -> Value:
    """Return the hashes of a block's elements, the first of which has the number `start`."""
    low, high = halves
    numbers = ", ".join(
        f"i32 {_signed(lane * layout.positions, 32)}" for lane in range(layout.lanes)
    )
    lanes = Value(Vector(I32, layout.lanes), f"<{numbers}>")
    first = f.integer("add", _low(f, start), low)
    h = f.integer("add", lanes, f.splat(first, layout.lanes))
    h = f.integer("mul", f.integer("xor", h, f.integer("lshr", h, 16)), _signed(MIX32[0], 32))
    h = f.integer("xor", h, f.splat(high, layout.lanes))
    h = f.integer("mul", f.integer("xor", h, f.integer("lshr", h, 13)), _signed(MIX32[1], 32))
    return f.integer("xor", h, f.integer("lshr", h, 16))


def _low(f: Function, number: Value) -> Value:
    """Return the lower 32 bits."""
    return f.convert("trunc", number, I32)


def _signed(number: int, bits: int) -> int:
    """Return the signed integer with the same bits."""
    number %= 1 << bits
    return number - (1 << bits) if number >> (bits - 1) else number
