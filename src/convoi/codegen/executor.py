"""The native loop that runs programs, and the one that worker threads wait in.

A program is a table of int64 that :mod:`convoi.runtime.program` fills in: segments, the kernel
calls of each, and the arguments of each call. The executor is the same for all programs.

    for segment in program:                      # a barrier stands between segments
        while a chunk of the batch is left:      # taken with an atomic counter
            for convoy in chunk:
                for call in segment:
                    call.kernel(arguments, first sample, samples, fresh)

``fresh`` is 1 for the first convoy of a chunk: sums over the chunk begin there, so no pass is
needed that clears them. An argument is
``base + first * per_sample + chunk * per_chunk + thread * per_thread``.

No thread has to take part: a thread that finds no chunk left only waits until those that were
taken are done. So a program finishes even if its workers never wake up, and results do not depend
on who did what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.codegen.builder import Function, Module
from convoi.codegen.types import I8, I32, I64, POINTER, VOID, Index, Value, constant
from convoi.runtime.tables import ARGUMENT, CALL, GATE, MAX_ARGUMENTS, PROGRAM, SEGMENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from convoi.codegen.target import Target

SPINS_BEFORE_YIELD = 256
FLUSH_TO_ZERO_X86 = 0x8040
FLUSH_TO_ZERO_AARCH64 = 1 << 24

RUN = "convoi_run"
EXECUTE = "convoi_execute"
WORK = "convoi_work"
_WAIT = "convoi_wait"


def emit_executor(target: Target) -> Module:
    """Return the module with ``convoi_run``, ``convoi_execute`` and ``convoi_work``."""
    module = Module()
    _emit_wait(module, target)
    _emit_run(module, target)
    _emit_execute(module)
    _emit_work(module, target)
    return module


def _field(f: Function, record: Value, word: int) -> Value:
    return f.load(f.at(record, word, I64), I64)


def _pause(f: Function, target: Target) -> None:
    """Tell the core that this is a waiting loop."""
    if target.is_x86:
        f.call("llvm.x86.sse2.pause", VOID)
    elif target.is_aarch64:
        f.call("llvm.aarch64.hint", VOID, constant(I32, 1))


def _emit_wait(module: Module, target: Target) -> None:
    """``wait(pointer, goal)``: wait until an int64 equals the goal; soon yield the core."""
    f = module.function(_WAIT, [POINTER, I64])
    pointer, goal = f.arguments
    spins = f.emit(POINTER, "alloca i64")
    f.store(f.value(0), spins)

    def again() -> Value:
        _pause(f, target)
        count = f.value(f.add(f.load(spins, I64), 1))
        f.store(count, spins)
        with f.when(f.compare("sge", count, SPINS_BEFORE_YIELD)):
            f.call("sched_yield", I32)
        return f.compare("ne", f.load_acquire(pointer), goal)

    with f.when(f.compare("ne", f.load_acquire(pointer), goal)):
        f.repeat(again)
    f.ret()


def _wait(f: Function, pointer: Value, goal: Value) -> None:
    f.emit_void(f"call void @{_WAIT}(ptr {pointer.text}, i64 {goal.text})")


def _emit_run(module: Module, target: Target) -> None:
    """``run(program, thread)``: do a thread's share of a program."""
    f = module.function(RUN, [POINTER, I64], exported=True)
    program, thread = f.arguments
    pointers = f.emit(POINTER, f"alloca [{MAX_ARGUMENTS} x ptr], align 64")
    restore = _flush_denormals(f, target)
    run = _Run(
        f,
        thread,
        pointers,
        segments=f.load(f.at(program, PROGRAM.segments, I64), POINTER),
        calls=f.load(f.at(program, PROGRAM.calls, I64), POINTER),
        arguments=f.load(f.at(program, PROGRAM.arguments, I64), POINTER),
    )
    f.loop(_field(f, program, PROGRAM.segment_count), lambda i, _: run.segment(i))
    restore()
    f.ret()


@dataclass(frozen=True)
class _Convoy:
    """Samples that pass through the calls of a segment together."""

    chunk: Value
    first: Value
    count: Value
    fresh: Value


@dataclass(frozen=True)
class _Run:
    """The nested loops of ``run``, from segments to the arguments of a call."""

    f: Function
    thread: Value
    pointers: Value
    """Memory for the pointers of a call."""
    segments: Value
    calls: Value
    arguments: Value

    def segment(self, number: Index) -> None:
        """Take chunks of a segment until none is left, then wait until all are done."""
        f = self.f
        segment = f.at(self.segments, f.mul(number, SEGMENT.words), I64)
        chunks = _field(f, segment, SEGMENT.chunks)
        samples = _field(f, segment, SEGMENT.samples)
        granule = _field(f, segment, SEGMENT.granule)
        following = f.at(segment, SEGMENT.next_chunk, I64)
        done = f.at(segment, SEGMENT.chunks_done, I64)
        units = f.integer("sdiv", f.add(samples, f.sub(granule, 1)), granule)

        def bound(chunk: Index) -> Value:
            unit = f.integer("sdiv", f.mul(chunk, units), chunks)
            return f.value(f.minimum(f.mul(unit, granule), samples))

        def next_chunk() -> Value:
            chunk = f.fetch_add(following, 1)
            mine = f.compare("slt", chunk, chunks)
            with f.when(mine):
                self._chunk(segment, chunk, bound(chunk), bound(f.add(chunk, 1)))
                f.fetch_add(done, 1)
            return mine

        f.repeat(next_chunk)
        _wait(f, done, chunks)

    def _chunk(self, segment: Value, chunk: Value, begin: Value, end: Value) -> None:
        """Let the samples of a chunk pass through the calls, convoy by convoy."""
        f = self.f
        convoy = _field(f, segment, SEGMENT.convoy)
        first_call = _field(f, segment, SEGMENT.first_call)
        last_call = f.value(f.add(first_call, _field(f, segment, SEGMENT.calls)))
        count = f.integer("sdiv", f.add(f.sub(end, begin), f.sub(convoy, 1)), convoy)

        def one(i: Index, _: object) -> None:
            first = f.value(f.add(begin, f.mul(i, convoy)))
            n = f.value(f.minimum(convoy, f.sub(end, first)))
            fresh = f.convert("zext", f.compare("eq", first, begin), I64)
            samples = _Convoy(chunk, first, n, fresh)
            f.loop(last_call, lambda call, _: self._call(call, samples), start=first_call)

        f.loop(count, one)

    def _call(self, number: Index, convoy: _Convoy) -> None:
        """Call a kernel for a convoy."""
        f = self.f
        call = f.at(self.calls, f.mul(number, CALL.words), I64)
        kernel = f.load(f.at(call, CALL.kernel, I64), POINTER)
        first_argument = _field(f, call, CALL.first_argument)
        base = f.at(self.arguments, f.mul(first_argument, ARGUMENT.words), I64)

        def argument(i: Index, _: object) -> None:
            record = f.at(base, f.mul(i, ARGUMENT.words), I64)
            address = f.load(f.at(record, ARGUMENT.base, I64), POINTER)
            offset = f.mul(convoy.first, _field(f, record, ARGUMENT.per_sample))
            offset = f.add(offset, f.mul(convoy.chunk, _field(f, record, ARGUMENT.per_chunk)))
            offset = f.add(offset, f.mul(self.thread, _field(f, record, ARGUMENT.per_thread)))
            f.store(f.at(address, offset, I8), f.at(self.pointers, i, POINTER))

        f.loop(_field(f, call, CALL.arguments), argument)
        f.emit_void(
            f"call void {kernel.text}(ptr {self.pointers.text}, i64 {convoy.first.text}, "
            f"i64 {convoy.count.text}, i64 {convoy.fresh.text})"
        )


def _flush_denormals(f: Function, target: Target) -> Callable[[], object]:
    """Set flush-to-zero; return the function that emits its restoration."""
    if target.is_x86:
        saved = f.emit(POINTER, "alloca i32")
        changed = f.emit(POINTER, "alloca i32")
        f.call("llvm.x86.sse.stmxcsr", VOID, saved)
        f.store(f.integer("or", f.load(saved, I32), FLUSH_TO_ZERO_X86), changed)
        f.call("llvm.x86.sse.ldmxcsr", VOID, changed)
        return lambda: f.call("llvm.x86.sse.ldmxcsr", VOID, saved)
    if target.is_aarch64:
        before = f.call("llvm.aarch64.get.fpcr", I64)
        f.call("llvm.aarch64.set.fpcr", VOID, f.integer("or", before, FLUSH_TO_ZERO_AARCH64))
        return lambda: f.call("llvm.aarch64.set.fpcr", VOID, before)
    return lambda: None


def _emit_execute(module: Module) -> None:
    """``execute(gate, program)``: run a program on this thread and on waiting workers.

    The gate counts up; while it is odd, workers may enter. The caller leaves only when every
    worker that entered has left, so the program's buffers are its own again.
    """
    f = module.function(EXECUTE, [POINTER, POINTER], exported=True)
    gate, program = f.arguments
    f.store(program, f.at(gate, GATE.program, I64))
    f.fetch_add(f.at(gate, GATE.generation, I64), 1)
    f.emit_void(f"call void @{RUN}(ptr {program.text}, i64 0)")
    f.fetch_add(f.at(gate, GATE.generation, I64), 1)
    _wait(f, f.at(gate, GATE.active, I64), f.value(0))
    f.ret()


def _emit_work(module: Module, target: Target) -> None:
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
        _pause(f, target)
        f.store(f.value(f.add(f.load(idle, I64), 1)), idle)
        current = f.load_acquire(generation)
        is_open = f.compare("eq", f.integer("and", current, 1), 1)
        is_new = f.compare("ne", current, f.load(last, I64))
        invited = f.compare("slt", thread, f.load_acquire(f.at(gate, GATE.threads, I64)))
        enter = f.integer("and", f.integer("and", is_open, is_new), invited)
        with f.when(enter):
            f.fetch_add(active, 1)
            # The gate may have closed in between; then the program is not ours to touch.
            with f.when(f.compare("eq", f.fetch_add(generation, 0), current)):
                program = f.load(f.at(gate, GATE.program, I64), POINTER)
                f.emit_void(f"call void @{RUN}(ptr {program.text}, i64 {thread.text})")
            f.fetch_add(active, -1)
            f.store(current, last)
            f.store(f.value(0), idle)
        stop = f.load_acquire(f.at(gate, GATE.stop, I64))
        go_on = f.compare("slt", f.load(idle, I64), spins)
        return f.integer("and", go_on, f.compare("eq", stop, 0))

    f.repeat(again)
    f.ret()
