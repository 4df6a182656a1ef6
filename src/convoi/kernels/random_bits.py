"""Random bits that follow from counters: those of :mod:`convoi.ops.dropout`, in registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.codegen.types import I32, I64, Value, Vector

if TYPE_CHECKING:
    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index
    from convoi.kernels.base import CallArguments
    from convoi.kernels.layout import Layout

GOLDEN = 0x9E3779B97F4A7C15
MIX64 = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
MIX32 = (0x85EBCA6B, 0xC2B2AE35)


class SampleKeys:
    """The keys of a call's samples: ``mix64(mix64(seed) ^ (stream << 32 | sample))``."""

    def __init__(self, f: Function, seed: Value, stream: int, call: CallArguments) -> None:
        self._f = f
        self._base = _mix64(f, f.load(seed, I64))
        self._stream = signed(stream << 32, 64)
        self._first = call.first

    def halves(self, sample: Index) -> tuple[Value, Value]:
        """Return the low and the high half of the key of one of the call's samples."""
        f = self._f
        number = f.integer("or", f.add(self._first, sample), self._stream)
        key = _mix64(f, f.integer("xor", self._base, number))
        return _low(f, key), _low(f, f.integer("lshr", key, 32))


def element_bits(f: Function, layout: Layout, start: Value, halves: tuple[Value, Value]) -> Value:
    """Return the bits of a block's elements, the first of which has the number `start`."""
    low, high = halves
    numbers = ", ".join(
        f"i32 {signed(lane * layout.positions, 32)}" for lane in range(layout.lanes)
    )
    lanes = Value(Vector(I32, layout.lanes), f"<{numbers}>")
    first = f.integer("add", _low(f, start), low)
    elements = f.integer("add", lanes, f.splat(first, layout.lanes))
    return _mix32(f, elements, f.splat(high, layout.lanes))


def number_bits(f: Function, number: int, halves: tuple[Value, Value]) -> Value:
    """Return the bits of one element, of known number, as an int64."""
    low, high = halves
    return f.convert("zext", _mix32(f, f.integer("add", low, number), high), I64)


def _mix64(f: Function, z: Value) -> Value:
    z = f.integer("add", z, signed(GOLDEN, 64))
    for shift, factor in zip((30, 27), MIX64, strict=True):
        mixed = f.integer("xor", z, f.integer("lshr", z, shift))
        z = f.integer("mul", mixed, signed(factor, 64))
    return f.integer("xor", z, f.integer("lshr", z, 31))


def _mix32(f: Function, h: Value, high: Value) -> Value:
    h = f.integer("mul", f.integer("xor", h, f.integer("lshr", h, 16)), signed(MIX32[0], 32))
    h = f.integer("xor", h, high)
    h = f.integer("mul", f.integer("xor", h, f.integer("lshr", h, 13)), signed(MIX32[1], 32))
    return f.integer("xor", h, f.integer("lshr", h, 16))


def _low(f: Function, number: Value) -> Value:
    """Return the lower 32 bits."""
    return f.convert("trunc", number, I32)


def signed(number: int, bits: int) -> int:
    """Return the signed integer with the same bits."""
    number %= 1 << bits
    return number - (1 << bits) if number >> (bits - 1) else number
