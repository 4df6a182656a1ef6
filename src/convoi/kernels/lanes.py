"""Vectors of channels: in groups, across their lanes, and which lanes exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.codegen.types import I32, I64, Value, Vector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Scalar
    from convoi.kernels.layout import Layout
    from convoi.kernels.vector_math import VectorMath
    from convoi.kernels.weights import WeightLayout

WIDEST_VECTOR = 64
"""Bytes; CPUs that have it have 32 vector registers."""


UNROLLED_BLOCKS = 4
"""Up to so many blocks of channels are handled without a loop, and can stay in registers."""


def registers(layout: Layout) -> int:
    """Return how many vector registers there are, as far as the vectors' width tells."""
    return 32 if layout.vector.size == WIDEST_VECTOR else 16


def groups(f: Function, layout: Layout, widest: int, body: Callable[[Index, int], object]) -> None:
    """Emit a body for all blocks of channels, so many at a time: ``body(channel, blocks)``."""
    rest = layout.blocks % widest
    whole = layout.blocks - rest

    def some(block: Index, _: list[Value]) -> None:
        body(f.mul(block, layout.lanes), widest)

    f.loop(whole, some, step=widest)
    if rest:
        body(whole * layout.lanes, rest)


def fold_blocks(
    f: Function,
    layout: Layout,
    body: Callable[[Index, list[Value]], Sequence[Value] | None],
    carried: Sequence[Value] = (),
) -> list[Value]:
    """Emit a body for each block of channels, the last one apart: ``body(channel, carried)``."""
    values = list(carried)
    last = (layout.blocks - 1) * layout.lanes
    if layout.blocks <= UNROLLED_BLOCKS:
        for channel in range(0, last, layout.lanes):
            values = list(body(channel, values) or ())
    else:
        values = f.loop(last, body, values, step=layout.lanes)
    return list(body(last, values) or ())


def load_group(
    f: Function, layout: Layout, pointer: Value, channel: Index, blocks: int
) -> list[Value]:
    """Load the vectors of some blocks of channels."""
    return [
        f.load(f.at(pointer, f.add(channel, b * layout.lanes), layout.element), layout.vector)
        for b in range(blocks)
    ]


def narrow(f: Function, layout: Layout, number: Value) -> Value:
    """Return an int64 as an integer as wide as the elements."""
    return number if layout.element.size == I64.size else f.convert("trunc", number, I32)


def channel_numbers(f: Function, layout: Layout, channel: Index) -> Value:
    """Return the number of each lane's channel, in integers as wide as the elements."""
    integer = I64 if layout.element.size == I64.size else I32
    if isinstance(channel, int):
        return f.lane_numbers(integer, layout.lanes, channel)
    first = f.splat(narrow(f, layout, channel), layout.lanes)
    return f.integer("add", f.lane_numbers(integer, layout.lanes), first)


def existing(f: Function, layout: Layout, channel: Index) -> Value | None:
    """Return which lanes of a block hold channels; None: all.

    Only the last block may have others, and its channel is known while emitting: see
    :func:`fold_blocks`.
    """
    if not isinstance(channel, int) or channel + layout.lanes <= layout.channels:
        return None
    return f.compare("slt", channel_numbers(f, layout, channel), layout.channels)


def keep_existing(m: VectorMath, lanes: Value | None, x: Value, beyond: float = 0.0) -> Value:
    """Return x with a number in the lanes beyond the channels."""
    return x if lanes is None else m.where(lanes, x, beyond)


def across(f: Function, x: Value, combine: Callable[[Value, Value], Value]) -> Value:
    """Combine all lanes of a vector; every lane holds the result, the same to the bit."""
    if not isinstance(x.type, Vector):
        message = f"Lanes are combined in vectors, not in a {x.type}."
        raise TypeError(message)
    lanes = x.type.lanes
    distance = lanes // 2
    while distance:
        x = combine(x, f.shuffle(x, x, [lane ^ distance for lane in range(lanes)]))
        distance //= 2
    return x


def tree(values: Sequence[Value], combine: Callable[[Value, Value], Value]) -> Value:
    """Combine values in pairs, then pairs of pairs: short chains, and small rounding errors."""
    left = list(values)
    while len(left) > 1:
        pairs = [combine(a, b) for a, b in zip(left[::2], left[1::2], strict=False)]
        left = pairs + left[2 * len(pairs) :]
    return left[0]


def values_per_lane(
    f: Function, pointer: Value, weights: WeightLayout, element: Scalar, channel: int
) -> Value:
    """Load into each lane the value of a channel of its own group; the groups of a vector lie here.

    One load and one shuffle, for as many products as lanes.
    """
    outputs, inputs = weights.group_sizes
    values = f.load(pointer, Vector(element, weights.span))
    lanes = [lane // outputs * inputs + channel for lane in range(weights.lanes)]
    return f.shuffle(values, values, lanes)
