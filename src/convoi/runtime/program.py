"""Running programs: a plan with memory of its own."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.runtime.buffers import ALIGNMENT, address_of, aligned_zeros
from convoi.runtime.pacing import Pace
from convoi.runtime.plan import Extent, Space
from convoi.runtime.plan_tables import call_table, program_table, segment_table, stage_table
from convoi.runtime.tables import ARGUMENT, CALL, COUNTERS, PROGRAM, SEGMENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from convoi.runtime.plan import Argument, Plan
    from convoi.runtime.threads import Pool


_EMPTY_RUNS = 5
"""Runs of an empty program, to know what calling native code takes."""


class Instance:
    """A plan with memory of its own; it runs one batch at a time.

    Instances of one plan may share their fixed memory (parameters) and run at the same time.

    Parameters
    ----------
    plan : Plan
        What to run.
    threads : int
        The most threads that take part.
    fixed : mapping of str to array of uint8, optional
        The fixed memory of another instance, to be shared.
    """

    def __init__(
        self, plan: Plan, threads: int, fixed: Mapping[str, NDArray[np.uint8]] | None = None
    ) -> None:
        self.plan = plan
        self.threads = threads
        self._buffers = {buffer.name: buffer for buffer in plan.buffers}
        self._number = {name: i for i, name in enumerate(self._buffers)}
        self._calls = call_table(plan)
        self._labels: dict[str, list[int]] = {}
        # A function stays loaded as long as its address is held, which a table does not do.
        self._replaced: dict[str, int] = {}
        for i, call in enumerate(plan.calls):
            self._labels.setdefault(call.label, []).append(i)
        arguments = [argument for call in plan.calls for argument in call.arguments]
        self._owner = np.array([self._number[a.buffer] for a in arguments], np.int64)
        self._offset = np.array([a.offset for a in arguments], np.int64)
        self._in_batch = np.array(
            [self._buffers[a.buffer].space is Space.BATCH for a in arguments], bool
        )
        self._arguments = self._argument_table(arguments)
        self._segments = segment_table(plan)
        self._program = program_table(self._segments, self._calls, self._arguments)
        self._apart = np.array([a.apart is not None for a in arguments], bool)
        self._stages = stage_table(plan, threads, self._segments)
        self._pace = Pace()
        self._shared = False
        """Whether threads may share the calls of the prepared batch."""
        self._team = False
        """Whether they do in the next run."""
        self._team_arguments = self._arguments
        self._shared_counters = aligned_zeros(COUNTERS.line * (1 + threads), "int64")
        self._program[PROGRAM.stages] = address_of(self._stages)
        self._program[PROGRAM.counters] = address_of(self._shared_counters)
        self._address = address_of(self._program)
        # Single words are written through these several times as quickly as through NumPy.
        self._argument_words = self._bound_words = self._arguments.reshape(-1).data
        self._segment_words = self._segments.reshape(-1).data
        self._external = {
            buffer.name: self._bases_of(buffer.name)
            for buffer in plan.buffers
            if buffer.space is Space.EXTERNAL
        }
        # Those that a team begins anew: of segments that run once, whose chunks it takes.
        self._counters = {
            team: [
                number * SEGMENT.words + word
                for number, segment in enumerate(plan.segments)
                for word in (SEGMENT.taken, SEGMENT.chunks_done)
                if segment.is_fixed or not team
            ]
            for team in (False, True)
        }
        self._most_chunks = 1
        self._memory: dict[str, NDArray[Any]] = {}
        self._bases = np.zeros(len(self._buffers), np.int64)
        self._capacity = {Space.BATCH: 0, Space.CHUNK: 0}
        self._samples = -1
        self._sums = 0
        self._allocate(Space.FIXED, 1, fixed or {})
        self._allocate(Space.THREAD, threads)
        self._refresh()

    # Memory -----------------------------------------------------------------------------------

    def memory(self, name: str) -> NDArray[np.uint8]:
        """Return the bytes of a buffer."""
        return self._memory[name]

    def fixed_memory(self) -> dict[str, NDArray[np.uint8]]:
        """Return the memory that instances of the plan may share."""
        return {
            name: self._memory[name]
            for name, buffer in self._buffers.items()
            if buffer.space is Space.FIXED
        }

    def set_kernel(self, label: str, address: int) -> None:
        """Let the calls of a label run another kernel with the same arguments."""
        if self._replaced.get(label) != address:
            self._replaced[label] = address
            self._calls[self._labels[label], CALL.kernel] = address

    def _allocate(
        self, space: Space, units: int, shared: Mapping[str, NDArray[np.uint8]] | None = None
    ) -> None:
        """Hold memory for the buffers of a space; what they held before is given back first."""
        names = [name for name, buffer in self._buffers.items() if buffer.space is space]
        for name in names:
            self._memory.pop(name, None)
        for name in names:
            # A buffer without elements has an address all the same.
            size = max(self._buffers[name].unit_bytes * units, ALIGNMENT)
            given = (shared or {}).get(name)
            self._memory[name] = aligned_zeros(size, "uint8") if given is None else given
            self._bases[self._number[name]] = self._memory[name].ctypes.data

    def _grow(self, samples: int, chunks: int) -> None:
        """Make room for a batch. Where memory runs out, the next batch starts from nothing."""
        for space, units in ((Space.BATCH, samples), (Space.CHUNK, chunks)):
            if units > self._capacity[space]:
                self._capacity[space] = 0
                self._allocate(space, units)
                self._capacity[space] = units
        self._refresh()

    def _bases_of(self, buffer: str) -> list[tuple[int, int]]:
        """Return the words that hold addresses in a buffer, and what each adds to its address."""
        rows = np.flatnonzero(self._owner == self._number[buffer])
        return [(int(row) * ARGUMENT.words + ARGUMENT.base, int(self._offset[row])) for row in rows]

    def _argument_table(self, arguments: Sequence[Argument]) -> NDArray[np.int64]:
        table = np.zeros((len(arguments), ARGUMENT.words), np.int64)
        for row, argument in zip(table, arguments, strict=True):
            buffer = self._buffers[argument.buffer]
            row[ARGUMENT.per_sample] = argument.per_sample
            row[ARGUMENT.per_chunk] = argument.per_chunk
            if buffer.space is Space.CHUNK and not argument.whole:
                row[ARGUMENT.per_chunk] = buffer.unit_bytes
            if buffer.space is Space.THREAD:
                per = ARGUMENT.per_thread if buffer.private else ARGUMENT.per_team
                row[per] = buffer.unit_bytes
        return table

    def _refresh(self) -> None:
        """Write the addresses that follow from the memory that is held."""
        scale = np.where(self._in_batch, self._capacity[Space.BATCH], 1)
        self._arguments[:, ARGUMENT.base] = self._bases[self._owner] + self._offset * scale

    # Running ----------------------------------------------------------------------------------

    def prepare(self, samples: int) -> int:
        """Make room for a batch and return the number of chunks that sums are made over."""
        chunking = self.plan.chunking
        if samples != self._samples:
            self._samples = -1
            self._sums = self.plan.sums(samples)
            self._grow(samples, self._sums)
            for row, segment in zip(self._segments, self.plan.segments, strict=True):
                if segment.extent is Extent.BATCH:
                    row[SEGMENT.samples] = samples
                    row[SEGMENT.chunks] = chunking.count(samples, segment.convoy)
                    row[SEGMENT.granule] = 1 if chunking.is_small(samples) else segment.granule
                    if chunking.most is None and row[SEGMENT.chunks] < self.threads:
                        row[SEGMENT.chunks] = max(1, min(samples, self.threads))
                        row[SEGMENT.granule] = 1
            self._share(self.plan.is_shared(samples, self.threads))
            self._most_chunks = int(self._segments[:, SEGMENT.chunks].max(initial=1))
            self._samples = samples
        return self._sums

    def _share(self, shared: bool) -> None:  # noqa: FBT001 - what it is about
        """Let threads share the calls of the prepared batch, or take convoys."""
        self._shared = shared
        self._pace = Pace()
        apart = shared and bool(self._apart.any())
        self._team_arguments = self._placed_apart() if apart else self._arguments
        for row, segment in zip(self._segments, self.plan.segments, strict=True):
            row[SEGMENT.convoy] = 1 if apart else segment.convoy
        self._set_team(shared)

    def _placed_apart(self) -> NDArray[np.int64]:
        """Return the table of arguments with the places where values lie apart."""
        (buffer,) = (b.name for b in self.plan.buffers if b.space is Space.TEAM)
        if buffer not in self._memory:
            self._allocate(Space.TEAM, 1)
        base = address_of(self._memory[buffer])
        offsets = [a.apart for call in self.plan.calls for a in call.arguments]
        arguments = self._arguments.copy()
        arguments[self._apart, ARGUMENT.base] = [base + o for o in offsets if o is not None]
        return arguments

    def _set_team(self, team: bool) -> None:  # noqa: FBT001 - what it is about
        """Let the next runs be those of a team, or not."""
        self._team = team
        arguments = self._team_arguments if team else self._arguments
        self._program[PROGRAM.team] = self.threads if team else 0
        self._program[PROGRAM.arguments] = address_of(arguments)
        self._bound_words = arguments.reshape(-1).data

    def run(self, pool: Pool, external: Mapping[str, int]) -> None:
        """Run a prepared batch; external buffers are given by their addresses."""
        if not self._shared:
            self._bind(external)
            pool.execute(self._address, min(self.threads, self._most_chunks))
            return
        team = self._pace.shares()
        if team is not self._team:
            self._set_team(team)
        self._bind(external)
        start = perf_counter()
        pool.execute(self._address, self.threads if team else min(self.threads, self._most_chunks))
        self._pace.note(perf_counter() - start)

    def run_timed(self, pool: Pool, external: Mapping[str, int]) -> list[float]:
        """Run a prepared batch segment by segment; return the seconds that each took."""
        self._bind(external)
        program = self._program.copy()
        program[PROGRAM.segment_count] = 1
        seconds = []
        for row in self._segments:
            program[PROGRAM.segments] = row.ctypes.data
            self._shared_counters.fill(0)
            start = perf_counter()
            pool.execute(int(program.ctypes.data), self.threads)
            seconds.append(perf_counter() - start)
        return seconds

    def run_calls(self, pool: Pool, external: Mapping[str, int]) -> list[tuple[float, int]]:
        """Run the first convoy of every segment call by call, on one thread.

        Returns
        -------
        list of (float, int)
            The seconds of each call, in the order of the plan, and the samples that it handled.
            What it takes to call native code is left out.
        """
        self._bind(external, self._argument_words)
        program = self._program.copy()
        program[PROGRAM.team] = 0
        program[PROGRAM.arguments] = address_of(self._arguments)

        def run() -> float:
            start = perf_counter()
            pool.execute(int(program.ctypes.data), 1)
            return perf_counter() - start

        program[PROGRAM.segment_count] = 0
        nothing = min(run() for _ in range(_EMPTY_RUNS))
        program[PROGRAM.segment_count] = 1
        found = []
        for row, segment in zip(self._segments, self.plan.segments, strict=True):
            samples = min(segment.convoy, int(row[SEGMENT.samples]))
            one = aligned_zeros(SEGMENT.words, "int64")
            program[PROGRAM.segments] = one.ctypes.data
            for number in range(len(segment.calls)):
                one[:] = row
                one[SEGMENT.first_call] += number
                one[SEGMENT.calls] = one[SEGMENT.chunks] = 1
                one[SEGMENT.taken] = one[SEGMENT.chunks_done] = 0
                one[SEGMENT.samples] = one[SEGMENT.convoy] = samples
                found.append((max(run() - nothing, 0.0), samples))
        return found

    def _bind(self, external: Mapping[str, int], words: memoryview | None = None) -> None:
        """Write the addresses of external buffers, and begin all segments anew."""
        words = self._bound_words if words is None else words
        for name, places in self._external.items():
            base = external[name]
            for word, offset in places:
                words[word] = base + offset
        if self._team:
            self._shared_counters.fill(0)
        words = self._segment_words
        for word in self._counters[self._team]:
            words[word] = 0
