"""Stores of vectors of which only some lanes lie in the output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.codegen.types import I1, I32, VOID, Value, Vector, constant

if TYPE_CHECKING:
    from convoi.codegen.builder import Function


def store_some(f: Function, value: Value, pointer: Value, left: Value) -> None:
    """Store a vector, or its first lanes where fewer elements are left, or nothing."""
    if not isinstance(value.type, Vector):
        message = f"Lanes are those of a vector, not of a {value.type}."
        raise TypeError(message)
    lanes = value.type.lanes
    whole = f.compare("sge", left, lanes)
    with f.when(whole):
        f.store(value, pointer)
    some = f.integer("and", f.compare("sgt", left, 0), f.integer("xor", whole, Value(I1, "true")))
    with f.when(some):
        numbers = f.lane_numbers(I32, lanes)
        limit = f.splat(f.convert("trunc", left, I32), lanes)
        mask = f.compare("slt", numbers, limit)
        name = f"llvm.masked.store.{value.type.suffix}.p0"
        align = constant(I32, value.type.element.size)
        f.call(name, VOID, value, pointer, align, mask)
