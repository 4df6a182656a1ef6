"""Threads that share the work of every call: what runs a batch of fewer samples than threads.

The calls of a segment are cut into stages; between stages stands a barrier:

    for segment in program:
        for convoy in batch:
            for stage in segment:
                for part in stage:               # first the one that is meant for this thread
                    if nobody has taken it:
                        for call in stage:
                            call.kernel(arguments, first sample, samples, 1, begin, end)
                wait until all parts of the stage are done

where ``begin`` and ``end`` are the part's share of the call's units of work. A stage of one part
holds calls that are too small to be shared; one thread passes them without a barrier.

A thread takes the same part of every stage, so that it finds in its cache what it wrote there.
What is meant for a thread that has not come, or is held up, others take: so a program finishes
without its workers, and results do not depend on who did what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from convoi.codegen.types import I64, Index, Value
from convoi.codegen.waiting import field, pause, wait_until
from convoi.runtime.tables import CALL, COUNTERS, PROGRAM, SEGMENT, STAGE

if TYPE_CHECKING:
    from convoi.codegen.run import Convoy, Run
    from convoi.codegen.target import Target

PATIENCE = 16
"""Pauses, about half a microsecond, that a thread waits before it takes the part that is meant for
another which has come: they seldom arrive together to the nanosecond."""


@dataclass(frozen=True)
class _Progress:
    """Words of a thread's memory: how far it has come."""

    stage: int = 0
    """Stages that it has met."""
    goal: int = 1
    """Parts of all of them."""
    pauses: int = 2
    words: int = 8


PROGRESS: Final = _Progress()


@dataclass(frozen=True)
class Sharing:
    """The loops of a thread through the stages of a program."""

    run: Run
    target: Target
    stages: Value
    counters: Value
    team: Value
    """How many threads there are."""
    progress: Value

    @classmethod
    def begin(cls, run: Run, target: Target, program: Value, progress: Value) -> Sharing:
        """Emit what a thread does when it comes."""
        f = run.f
        sharing = cls(
            run,
            target,
            f.load(f.at(program, PROGRAM.stages, I64), run.pointers.type),
            f.load(f.at(program, PROGRAM.counters, I64), run.pointers.type),
            field(f, program, PROGRAM.team),
            progress,
        )
        for word in (PROGRESS.stage, PROGRESS.goal):
            f.store(f.value(0), f.at(progress, word, I64))
        f.fetch_add(f.at(sharing._line(run.thread), COUNTERS.present, I64), 1)
        return sharing

    def _line(self, part: Index) -> Value:
        """Return the address of the counters of a part."""
        f = self.run.f
        return f.at(self.counters, f.mul(f.add(part, 1), COUNTERS.line), I64)

    def segment(self, number: Index) -> None:
        """Emit the passage of the batch through a segment, convoy by convoy."""
        f, run = self.run.f, self.run
        segment = f.at(run.segments, f.mul(number, SEGMENT.words), I64)
        samples, convoy = (field(f, segment, w) for w in (SEGMENT.samples, SEGMENT.convoy))
        first_stage = field(f, segment, SEGMENT.first_stage)
        last_stage = f.value(f.add(first_stage, field(f, segment, SEGMENT.stages)))
        count = f.integer("sdiv", f.add(samples, f.sub(convoy, 1)), convoy)

        def one(i: Index, _: object) -> None:
            first = f.value(f.mul(i, convoy))
            n = f.value(f.minimum(convoy, f.sub(samples, first)))
            together = run.convoy(first, n)
            f.loop(last_stage, lambda stage, _: self._stage(stage, together), start=first_stage)

        f.loop(count, one)

    def _stage(self, number: Index, convoy: Convoy) -> None:
        f, run = self.run.f, self.run
        stage = f.at(self.stages, f.mul(number, STAGE.words), I64)
        parts = field(f, stage, STAGE.parts)
        ordinal = self._add(PROGRESS.stage, 1)
        goal = self._add(PROGRESS.goal, parts)
        done = f.at(self.counters, COUNTERS.done, I64)

        with f.when(f.compare("slt", run.thread, parts)):
            self._take(stage, run.thread, ordinal, convoy)
        with f.when(f.compare("slt", f.load_acquire(done), goal)):
            f.loop(parts, lambda part, _: self._help(stage, part, ordinal, convoy))
        wait_until(f, done, goal)

    def _add(self, word: int, amount: Index) -> Value:
        """Add to a word of the progress; return the sum."""
        f = self.run.f
        place = f.at(self.progress, word, I64)
        total = f.value(f.add(f.load(place, I64), amount))
        f.store(total, place)
        return total

    def _help(self, stage: Value, part: Index, ordinal: Value, convoy: Convoy) -> None:
        """Emit the taking of a part that is meant for another thread, if that one does not."""
        f = self.run.f
        line = self._line(part)
        claimed = f.at(line, COUNTERS.claimed, I64)
        pauses = f.at(self.progress, PROGRESS.pauses, I64)
        patience = f.compare("ne", f.load_acquire(f.at(line, COUNTERS.present, I64)), 0)
        f.store(f.select(patience, f.value(PATIENCE), f.value(1)), pauses)

        def again() -> Value:
            pause(f, self.target)
            left = f.value(f.sub(f.load(pauses, I64), 1))
            f.store(left, pauses)
            open_ = f.compare("slt", f.load_acquire(claimed), ordinal)
            return f.integer("and", open_, f.compare("sgt", left, 0))

        f.repeat(again)
        with f.when(f.compare("slt", f.load_acquire(claimed), ordinal)):
            self._take(stage, f.value(part), ordinal, convoy)

    def _take(self, stage: Value, part: Value, ordinal: Value, convoy: Convoy) -> None:
        """Emit the calls of a part, if nobody else has taken it."""
        f, run = self.run.f, self.run
        before = f.exchange_larger(f.at(self._line(part), COUNTERS.claimed, I64), ordinal)
        with f.when(f.compare("slt", before, ordinal)):
            parts = field(f, stage, STAGE.parts)
            first_call = field(f, stage, STAGE.first_call)
            last_call = f.value(f.add(first_call, field(f, stage, STAGE.calls)))

            def one(number: Index, _: object) -> None:
                call = f.at(run.calls, f.mul(number, CALL.words), I64)
                units = field(f, call, CALL.units)
                begin, end = (
                    f.integer("sdiv", f.mul(p, units), parts) for p in (part, f.add(part, 1))
                )
                with f.when(f.compare("slt", begin, end)):
                    run.call(number, convoy, begin, end)

            f.loop(last_call, one, start=first_call)
            f.fetch_add(f.at(self.counters, COUNTERS.done, I64), 1)
