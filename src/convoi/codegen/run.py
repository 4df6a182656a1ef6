"""The loops of a thread through a program: segments, chunks, convoys, calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.codegen.types import I8, I64, POINTER, Index, Value
from convoi.codegen.waiting import field, wait_until
from convoi.runtime.tables import ARGUMENT, CALL, SEGMENT

if TYPE_CHECKING:
    from convoi.codegen.builder import Function

HALF = 32
"""Bits that count the chunks taken from the first on; those above count those from the last on."""


@dataclass(frozen=True)
class Convoy:
    """Samples that pass through the calls of a segment together."""

    chunk: Value
    first: Value
    count: Value
    fresh: Value


@dataclass(frozen=True)
class Run:
    """The nested loops of ``run``, from segments to the arguments of a call."""

    f: Function
    thread: Value
    pointers: Value
    """Memory for the pointers of a call."""
    segments: Value
    calls: Value
    arguments: Value
    team: Value
    """Number of the thread's team: its own, or 0 if all threads are one."""

    def segment(self, number: Index) -> None:
        """Take chunks of a segment until none is left, then wait until all are done.

        Every other thread begins with the last chunk: then it finds in its cache what it wrote in
        other segments, and in the step before.
        """
        f = self.f
        segment = f.at(self.segments, f.mul(number, SEGMENT.words), I64)
        chunks = field(f, segment, SEGMENT.chunks)
        samples = field(f, segment, SEGMENT.samples)
        granule = field(f, segment, SEGMENT.granule)
        taken = f.at(segment, SEGMENT.taken, I64)
        done = f.at(segment, SEGMENT.chunks_done, I64)
        units = f.integer("sdiv", f.add(samples, f.sub(granule, 1)), granule)

        def bound(chunk: Index) -> Value:
            unit = f.integer("sdiv", f.mul(chunk, units), chunks)
            return f.value(f.minimum(f.mul(unit, granule), samples))

        from_end = f.compare("eq", f.integer("and", self.thread, 1), 1)
        one = f.select(from_end, f.value(1 << HALF), f.value(1))

        def next_chunk() -> Value:
            before = f.fetch_add(taken, one)
            first = f.integer("and", before, (1 << HALF) - 1)
            last = f.integer("lshr", before, HALF)
            mine = f.compare("slt", f.add(first, last), chunks)
            with f.when(mine):
                chunk = f.select(from_end, f.value(f.sub(f.sub(chunks, 1), last)), first)
                self._chunk(segment, chunk, bound(chunk), bound(f.add(chunk, 1)))
                f.fetch_add(done, 1)
            return mine

        f.repeat(next_chunk)
        wait_until(f, done, chunks)

    def _chunk(self, segment: Value, chunk: Value, begin: Value, end: Value) -> None:
        """Let the samples of a chunk pass through the calls, convoy by convoy."""
        f = self.f
        convoy = field(f, segment, SEGMENT.convoy)
        first_call = field(f, segment, SEGMENT.first_call)
        last_call = f.value(f.add(first_call, field(f, segment, SEGMENT.calls)))
        count = f.integer("sdiv", f.add(f.sub(end, begin), f.sub(convoy, 1)), convoy)

        def one(i: Index, _: object) -> None:
            first = f.value(f.add(begin, f.mul(i, convoy)))
            n = f.value(f.minimum(convoy, f.sub(end, first)))
            fresh = f.convert("zext", f.compare("eq", first, begin), I64)
            samples = Convoy(chunk, first, n, fresh)
            f.loop(last_call, lambda call, _: self.call(call, samples), start=first_call)

        f.loop(count, one)

    def convoy(self, first: Value, count: Value) -> Convoy:
        """Return samples of a batch that is in one chunk."""
        f = self.f
        fresh = f.convert("zext", f.compare("eq", first, 0), I64)
        return Convoy(f.value(0), first, count, fresh)

    def call(
        self, number: Index, convoy: Convoy, begin: Index = 0, end: Value | None = None
    ) -> None:
        """Call a kernel for a convoy; it does all units of its work, or some."""
        f = self.f
        call = f.at(self.calls, f.mul(number, CALL.words), I64)
        units = (f.value(begin), end or field(f, call, CALL.units))
        kernel = f.load(f.at(call, CALL.kernel, I64), POINTER)
        first_argument = field(f, call, CALL.first_argument)
        base = f.at(self.arguments, f.mul(first_argument, ARGUMENT.words), I64)

        def argument(i: Index, _: object) -> None:
            record = f.at(base, f.mul(i, ARGUMENT.words), I64)
            address = f.load(f.at(record, ARGUMENT.base, I64), POINTER)
            offset = f.mul(convoy.first, field(f, record, ARGUMENT.per_sample))
            offset = f.add(offset, f.mul(convoy.chunk, field(f, record, ARGUMENT.per_chunk)))
            offset = f.add(offset, f.mul(self.team, field(f, record, ARGUMENT.per_team)))
            offset = f.add(offset, f.mul(self.thread, field(f, record, ARGUMENT.per_thread)))
            f.store(f.at(address, offset, I8), f.at(self.pointers, i, POINTER))

        f.loop(field(f, call, CALL.arguments), argument)
        f.emit_void(
            f"call void {kernel.text}(ptr {self.pointers.text}, i64 {convoy.first.text}, "
            f"i64 {convoy.count.text}, i64 {convoy.fresh.text}, i64 {units[0].text}, "
            f"i64 {units[1].text})"
        )
