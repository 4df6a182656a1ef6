"""What native loops of several threads are made of: fields of records, pauses, waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.codegen.types import I32, I64, POINTER, VOID, Value, constant

if TYPE_CHECKING:
    from convoi.codegen.builder import Function, Module
    from convoi.codegen.target import Target

SPINS_BEFORE_YIELD = 256
"""Pauses, about 10 us, after which a waiting thread lets others have its core."""
_WAIT = "convoi_wait"


def field(f: Function, record: Value, word: int) -> Value:
    """Load an int64 of a record."""
    return f.load(f.at(record, word, I64), I64)


def pause(f: Function, target: Target) -> None:
    """Tell the core that this is a waiting loop."""
    if target.is_x86:
        f.call("llvm.x86.sse2.pause", VOID)
    elif target.is_aarch64:
        f.call("llvm.aarch64.hint", VOID, constant(I32, 1))


def emit_waits(module: Module, target: Target) -> None:
    """Add what `wait_until` and `wait_for_zero` call."""
    _emit_wait(module, target, "sge", "slt")
    _emit_wait(module, target, "eq", "ne")


def _emit_wait(module: Module, target: Target, word: str, unless: str) -> None:
    """``wait(pointer, goal)``: wait until an int64 compares with the goal; soon yield the core."""
    f = module.function(f"{_WAIT}_{word}", [POINTER, I64])
    pointer, goal = f.arguments
    spins = f.emit(POINTER, "alloca i64")
    f.store(f.value(0), spins)

    def again() -> Value:
        pause(f, target)
        count = f.value(f.add(f.load(spins, I64), 1))
        f.store(count, spins)
        with f.when(f.compare("sge", count, SPINS_BEFORE_YIELD)):
            f.call("sched_yield", I32)
        return f.compare(unless, f.load_acquire(pointer), goal)

    with f.when(f.compare(unless, f.load_acquire(pointer), goal)):
        f.repeat(again)
    f.ret()


def wait_until(f: Function, pointer: Value, goal: Value) -> None:
    """Wait until an int64 that only grows is at least the goal."""
    f.emit_void(f"call void @{_WAIT}_sge(ptr {pointer.text}, i64 {goal.text})")


def wait_for_zero(f: Function, pointer: Value) -> None:
    """Wait until an int64 is zero."""
    f.emit_void(f"call void @{_WAIT}_eq(ptr {pointer.text}, i64 0)")
