"""The gate through which waiting threads come to help with a program.

Its generation counts up; while it is odd, workers may enter. The caller leaves only when every
worker that entered has left, so the program's buffers are its own again.

Workers wait in native code: for a while awake, then asleep at a condition variable of the system.
So they never wait for the interpreter's lock, which the caller may hold until its program begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.codegen.types import I1, I32, I64, POINTER, Value
from convoi.codegen.waiting import pause, wait_for_zero
from convoi.runtime.tables import GATE

if TYPE_CHECKING:
    from convoi.codegen.builder import Function, Module
    from convoi.codegen.target import Target

PREPARE = "convoi_prepare"
EXECUTE = "convoi_execute"
WORK = "convoi_work"
SERVE = "convoi_serve"
WAKE = "convoi_wake"
PAUSES_PER_YIELD = 64
"""Pauses of a waiting worker after which it lets others have its core: with fewer cores than
threads, the caller would wait for it else."""


def emit_gate(module: Module, run: str, target: Target) -> None:
    """Add the functions of a gate to the module that has the function which runs programs."""
    _emit_prepare(module)
    _emit_wake(module)
    _emit_execute(module, run)
    _emit_work(module, run, target)
    _emit_serve(module)


def _emit_prepare(module: Module) -> None:
    """``prepare(gate)``: make a zeroed gate ready."""
    f = module.function(PREPARE, [POINTER], exported=True)
    (gate,) = f.arguments
    none = Value(POINTER, "null")
    f.call("pthread_mutex_init", I32, f.at(gate, GATE.mutex, I64), none)
    f.call("pthread_cond_init", I32, f.at(gate, GATE.condition, I64), none)
    f.ret()


def _emit_wake(module: Module) -> None:
    """``wake(gate)``: let all sleeping workers look at the gate."""
    f = module.function(WAKE, [POINTER], exported=True)
    (gate,) = f.arguments
    mutex = f.at(gate, GATE.mutex, I64)
    f.call("pthread_mutex_lock", I32, mutex)
    f.call("pthread_cond_broadcast", I32, f.at(gate, GATE.condition, I64))
    f.call("pthread_mutex_unlock", I32, mutex)
    f.ret()


def _emit_execute(module: Module, run: str) -> None:
    """``execute(gate, program)``: run a program on this thread and on waiting workers."""
    f = module.function(EXECUTE, [POINTER, POINTER], exported=True)
    gate, program = f.arguments
    generation = f.at(gate, GATE.generation, I64)
    f.store(program, f.at(gate, GATE.program, I64))
    f.fetch_add(generation, 1)
    # A worker counts itself as asleep before it looks at the generation for the last time, so one
    # of the two sees what the other did.
    asleep = f.fetch_add(f.at(gate, GATE.sleepers, I64), 0)
    with f.when(f.compare("ne", asleep, 0)):
        f.emit_void(f"call void @{WAKE}(ptr {gate.text})")
    f.emit_void(f"call void @{run}(ptr {program.text}, i64 0)")
    f.fetch_add(generation, 1)
    wait_for_zero(f, f.at(gate, GATE.active, I64))
    f.ret()


def _is_invited(f: Function, gate: Value, thread: Value, generation: Value) -> Value:
    """Return whether a program is open that this thread may help with."""
    is_open = f.compare("eq", f.integer("and", generation, 1), 1)
    invited = f.compare("slt", thread, f.load_acquire(f.at(gate, GATE.threads, I64)))
    return f.integer("and", is_open, invited)


def _emit_work(module: Module, run: str, target: Target) -> None:
    """``work(gate, thread, spins)``: help with programs until none came for so many spins."""
    f = module.function(WORK, [POINTER, I64, I64], exported=True)
    gate, thread, spins = f.arguments
    generation = f.at(gate, GATE.generation, I64)
    active = f.at(gate, GATE.active, I64)
    idle = f.emit(POINTER, "alloca i64")
    last = f.emit(POINTER, "alloca i64")
    f.store(f.value(0), idle)
    f.store(f.value(0), last)

    def again() -> Value:
        pause(f, target)
        waited = f.value(f.add(f.load(idle, I64), 1))
        f.store(waited, idle)
        with f.when(f.compare("eq", f.integer("urem", waited, PAUSES_PER_YIELD), 0)):
            f.call("sched_yield", I32)
        current = f.load_acquire(generation)
        is_new = f.compare("ne", current, f.load(last, I64))
        enter = f.integer("and", _is_invited(f, gate, thread, current), is_new)
        with f.when(enter):
            f.fetch_add(active, 1)
            # The gate may have closed in between; then the program is not ours to touch.
            with f.when(f.compare("eq", f.fetch_add(generation, 0), current)):
                program = f.load(f.at(gate, GATE.program, I64), POINTER)
                f.emit_void(f"call void @{run}(ptr {program.text}, i64 {thread.text})")
            f.fetch_add(active, -1)
            f.store(current, last)
            f.store(f.value(0), idle)
        stop = f.load_acquire(f.at(gate, GATE.stop, I64))
        go_on = f.compare("slt", f.load(idle, I64), spins)
        return f.integer("and", go_on, f.compare("eq", stop, 0))

    f.repeat(again)
    f.ret()


def _emit_serve(module: Module) -> None:
    """``serve(gate, thread, spins)``: work, sleep when idle for so many spins, until stopped."""
    f = module.function(SERVE, [POINTER, I64, I64], exported=True)
    gate, thread, spins = f.arguments
    mutex, condition = (f.at(gate, word, I64) for word in (GATE.mutex, GATE.condition))
    sleepers = f.at(gate, GATE.sleepers, I64)

    def running() -> Value:
        return f.compare("eq", f.load_acquire(f.at(gate, GATE.stop, I64)), 0)

    def idle() -> Value:
        current = f.fetch_add(f.at(gate, GATE.generation, I64), 0)
        invited = _is_invited(f, gate, thread, current)
        return f.integer("and", running(), f.compare("eq", invited, Value(I1, "false")))

    def again() -> Value:
        f.emit_void(f"call void @{WORK}(ptr {gate.text}, i64 {thread.text}, i64 {spins.text})")
        f.call("pthread_mutex_lock", I32, mutex)
        f.fetch_add(sleepers, 1)
        with f.when(idle()):

            def sleep() -> Value:
                f.call("pthread_cond_wait", I32, condition, mutex)
                return idle()

            f.repeat(sleep)
        f.fetch_add(sleepers, -1)
        f.call("pthread_mutex_unlock", I32, mutex)
        return running()

    f.repeat(again)
    f.ret()
