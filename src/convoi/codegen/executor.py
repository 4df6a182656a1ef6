"""The native loop that runs programs, and the one that worker threads wait in.

A program is a table of int64 that :mod:`convoi.runtime.program` fills in: segments, the kernel
calls of each, and the arguments of each call. The executor is the same for all programs.

    for segment in program:                      # a barrier stands between segments
        while a chunk of the batch is left:      # taken with an atomic counter, from both ends
            for convoy in chunk:
                for call in segment:
                    call.kernel(arguments, first sample, samples, fresh, 0, units)

``fresh`` is 1 for the first convoy of a chunk: sums over the chunk begin there, so no pass is
needed that clears them. The last two numbers are the units of its work that the kernel does: all.
Where samples are fewer than threads, these share the units (:mod:`convoi.codegen.team`), except in
segments that run once, whose chunks they take as ever.

No thread has to take part: a thread that finds no chunk left only waits until those that were
taken are done. So a program finishes even if its workers never wake up, and results do not depend
on who did what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.codegen.builder import Function, Module
from convoi.codegen.gate import emit_gate
from convoi.codegen.run import Run
from convoi.codegen.team import PROGRESS, Sharing
from convoi.codegen.types import I32, I64, POINTER, VOID
from convoi.codegen.waiting import emit_waits, field
from convoi.runtime.tables import MAX_ARGUMENTS, PROGRAM, SEGMENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from convoi.codegen.target import Target
    from convoi.codegen.types import Index

FLUSH_TO_ZERO_X86 = 0x8040
FLUSH_TO_ZERO_AARCH64 = 1 << 24

RUN = "convoi_run"


def emit_executor(target: Target) -> Module:
    """Return the module with the functions of gates, and ``convoi_run``."""
    module = Module()
    emit_waits(module, target)
    _emit_run(module, target)
    emit_gate(module, RUN, target)
    return module


def _emit_run(module: Module, target: Target) -> None:
    """``run(program, thread)``: do a thread's share of a program."""
    f = module.function(RUN, [POINTER, I64], exported=True)
    program, thread = f.arguments
    pointers = f.emit(POINTER, f"alloca [{MAX_ARGUMENTS} x ptr], align 64")
    progress = f.emit(POINTER, f"alloca [{PROGRESS.words} x i64], align 64")
    restore = _flush_denormals(f, target)
    team = field(f, program, PROGRAM.team)
    shared = f.compare("ne", team, 0)
    segments = field(f, program, PROGRAM.segment_count)
    run = Run(
        f,
        thread,
        pointers,
        segments=f.load(f.at(program, PROGRAM.segments, I64), POINTER),
        calls=f.load(f.at(program, PROGRAM.calls, I64), POINTER),
        arguments=f.load(f.at(program, PROGRAM.arguments, I64), POINTER),
        team=f.select(shared, f.value(0), thread),
    )
    with f.when(shared):
        sharing = Sharing.begin(run, target, program, progress)
        f.loop(segments, lambda i, _: _segment(run, sharing, i))
    with f.when(f.compare("eq", team, 0)):
        f.loop(segments, lambda i, _: run.segment(i))
    restore()
    f.ret()


def _segment(run: Run, sharing: Sharing, number: Index) -> None:
    """Share the calls of a segment that has stages; take chunks of others, which run once."""
    f = run.f
    segment = f.at(run.segments, f.mul(number, SEGMENT.words), I64)
    stages = field(f, segment, SEGMENT.stages)
    with f.when(f.compare("ne", stages, 0)):
        sharing.segment(number)
    with f.when(f.compare("eq", stages, 0)):
        run.segment(number)


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
