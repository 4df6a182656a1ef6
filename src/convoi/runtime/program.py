"""Programs as data: segments of kernel calls over named buffers, and how one is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convoi.runtime.buffers import ALIGNMENT, aligned_zeros, round_up
from convoi.runtime.tables import ARGUMENT, CALL, PROGRAM, SEGMENT

if TYPE_CHECKING:
    from convoi.runtime.threads import Pool


class Space(Enum):
    """What a buffer belongs to, which decides its size and how it is addressed."""

    FIXED = "fixed"
    """The program: parameters, tables."""
    BATCH = "batch"
    """The samples of a batch: grows with it."""
    THREAD = "thread"
    """A thread: activations of the convoy that it is working on."""
    CHUNK = "chunk"
    """A chunk of the batch: sums over its samples."""
    EXTERNAL = "external"
    """The caller: arrays that are bound for one run."""


@dataclass(frozen=True)
class Buffer:
    """A block of memory: so many bytes per unit (sample, thread, chunk) of its space."""

    name: str
    space: Space
    bytes: int


@dataclass(frozen=True)
class Argument:
    """Where a pointer of a kernel call leads: an offset into a buffer, moving with the samples."""

    buffer: str
    offset: int = 0
    per_sample: int = 0
    """Bytes from one sample to the next. In batch buffers ``offset`` counts bytes *per sample*
    too: the values of a batch lie one after the other, each for all samples."""
    per_chunk: int = 0
    """Bytes from one chunk to the next, in buffers that are not chunked themselves."""
    whole: bool = False
    """In chunk buffers: whether it leads to the first chunk's part, whoever calls."""


@dataclass(frozen=True)
class KernelCall:
    """One call of a kernel."""

    label: str
    address: int
    arguments: tuple[Argument, ...]


class Extent(Enum):
    """What a segment runs over."""

    BATCH = "batch"
    """The samples, in chunks."""
    FIXED = "fixed"
    """A number of units known when the program is made, such as vectors of parameters."""


@dataclass(frozen=True)
class Segment:
    """Calls that a convoy passes without waiting for others."""

    calls: tuple[KernelCall, ...]
    convoy: int
    """Samples (or units) that pass through the calls together."""
    granule: int = 1
    """Chunks begin at multiples of it."""
    extent: Extent = Extent.BATCH
    units: int = 1
    """Units of a fixed extent."""

    @property
    def fixed_chunks(self) -> int:
        """The number of chunks of a fixed extent."""
        return max(1, -(-self.units // self.convoy))


@dataclass(frozen=True)
class Chunking:
    """How a batch is cut: never by the number of threads, so sums do not depend on it."""

    most: int | None
    """The most chunks; None: as many as there are convoys (nothing is summed over chunks)."""
    samples: int = 1
    """The fewest samples that are worth a chunk."""

    def count(self, samples: int, convoy: int) -> int:
        """Return the number of chunks of a batch."""
        if self.most is None:
            return max(1, -(-samples // convoy))
        return max(1, min(self.most, -(-samples // self.samples)))


@dataclass(frozen=True)
class Plan:
    """A compiled program: all that a run needs besides memory."""

    segments: tuple[Segment, ...]
    buffers: tuple[Buffer, ...]
    chunking: Chunking


class Instance:
    """A plan with memory of its own; it runs one batch at a time.

    Instances of one plan may share their fixed memory (parameters) and run at the same time.
    """

    def __init__(
        self, plan: Plan, threads: int, fixed: Mapping[str, NDArray[np.uint8]] | None = None
    ) -> None:
        self.plan = plan
        self.threads = threads
        self._fixed = fixed
        self._spaces = {buffer.name: buffer for buffer in plan.buffers}
        self._names = [buffer.name for buffer in plan.buffers]
        number = {name: i for i, name in enumerate(self._names)}
        calls = [call for segment in plan.segments for call in segment.calls]
        arguments = [argument for call in calls for argument in call.arguments]
        self._owner = np.array([number[a.buffer] for a in arguments], np.int64)
        self._offset = np.array([a.offset for a in arguments], np.int64)
        self._bases = np.zeros(len(self._names), np.int64)
        self._arguments = np.zeros((len(arguments), ARGUMENT.words), np.int64)
        self._fill_arguments(arguments)
        self._calls = np.zeros((len(calls), CALL.words), np.int64)
        self._labels: dict[str, list[int]] = {}
        for i, call in enumerate(calls):
            self._labels.setdefault(call.label, []).append(i)
        first = 0
        for row, call in zip(self._calls, calls, strict=True):
            row[CALL.kernel] = call.address
            row[CALL.first_argument] = first
            row[CALL.arguments] = len(call.arguments)
            first += len(call.arguments)
        self._segments = aligned_zeros(len(plan.segments) * SEGMENT.words, "int64").reshape(
            -1, SEGMENT.words
        )
        self._fill_segments()
        self._program = np.zeros(PROGRAM.words, np.int64)
        self._program[PROGRAM.segment_count] = len(plan.segments)
        self._program[PROGRAM.segments] = self._segments.ctypes.data
        self._program[PROGRAM.calls] = self._calls.ctypes.data
        self._program[PROGRAM.arguments] = self._arguments.ctypes.data
        self._address = int(self._program.ctypes.data)
        self._memory: dict[str, NDArray] = {}
        self._capacity = {Space.BATCH: 0, Space.CHUNK: 0}
        self._samples = -1
        self._allocate(Space.FIXED, 1)
        self._allocate(Space.THREAD, threads)
        self._external = {
            buffer.name: np.flatnonzero(self._owner == number[buffer.name])
            for buffer in plan.buffers
            if buffer.space is Space.EXTERNAL
        }
        self._refresh()

    # Memory -----------------------------------------------------------------------------------

    def memory(self, name: str) -> NDArray[np.uint8]:
        """Return the bytes of a buffer."""
        return self._memory[name]

    def fixed_memory(self) -> dict[str, NDArray[np.uint8]]:
        """Return the memory that instances of the plan may share."""
        return {
            name: self._memory[name]
            for name, buffer in self._spaces.items()
            if buffer.space is Space.FIXED
        }

    def set_kernel(self, label: str, address: int) -> None:
        """Let the calls of a label run another kernel with the same arguments."""
        self._calls[self._labels[label], CALL.kernel] = address

    def thread_bytes(self) -> int:
        """Return the bytes of activations that each thread holds."""
        return sum(b.bytes for b in self.plan.buffers if b.space is Space.THREAD)

    def total_bytes(self) -> int:
        """Return the bytes of all memory that is held."""
        return sum(memory.nbytes for memory in self._memory.values())

    def _allocate(self, space: Space, units: int) -> None:
        for i, name in enumerate(self._names):
            buffer = self._spaces[name]
            if buffer.space is space and space is Space.FIXED and self._fixed is not None:
                self._memory[name] = self._fixed[name]
                self._bases[i] = self._memory[name].ctypes.data
            elif buffer.space is space:
                size = round_up(max(buffer.bytes, 1), ALIGNMENT) * max(units, 1)
                self._memory[name] = aligned_zeros(size, "uint8")
                self._bases[i] = self._memory[name].ctypes.data

    def _grow(self, samples: int, chunks: int) -> None:
        for space, units in ((Space.BATCH, samples), (Space.CHUNK, chunks)):
            if units > self._capacity[space]:
                self._allocate(space, units)
                self._capacity[space] = units
                self._refresh()

    def _fill_arguments(self, arguments: list[Argument]) -> None:
        for row, argument in zip(self._arguments, arguments, strict=True):
            buffer = self._spaces[argument.buffer]
            row[ARGUMENT.per_sample] = argument.per_sample
            row[ARGUMENT.per_chunk] = argument.per_chunk
            size = round_up(max(buffer.bytes, 1), ALIGNMENT)
            if buffer.space is Space.CHUNK and not argument.whole:
                row[ARGUMENT.per_chunk] = size
            if buffer.space is Space.THREAD:
                row[ARGUMENT.per_thread] = size
        self._in_batch = np.array(
            [self._spaces[a.buffer].space is Space.BATCH for a in arguments], bool
        )

    def _refresh(self) -> None:
        """Write the addresses that follow from the memory that is held."""
        scale = np.where(self._in_batch, max(self._capacity[Space.BATCH], 1), 1)
        self._arguments[:, ARGUMENT.base] = self._bases[self._owner] + self._offset * scale

    # Running ----------------------------------------------------------------------------------

    def _fill_segments(self) -> None:
        first = 0
        for row, segment in zip(self._segments, self.plan.segments, strict=True):
            row[SEGMENT.first_call] = first
            row[SEGMENT.calls] = len(segment.calls)
            row[SEGMENT.convoy] = segment.convoy
            row[SEGMENT.granule] = segment.granule
            if segment.extent is Extent.FIXED:
                row[SEGMENT.samples] = segment.units
                row[SEGMENT.chunks] = segment.fixed_chunks
            first += len(segment.calls)
        self._over_batch = np.array(
            [segment.extent is Extent.BATCH for segment in self.plan.segments], bool
        )

    def prepare(self, samples: int) -> int:
        """Make room for a batch and return the number of its chunks."""
        chunking = self.plan.chunking
        chunks = chunking.count(samples, 1) if chunking.most is not None else 1
        if samples != self._samples:
            self._grow(samples, chunks)
            rows = self._segments
            for i in np.flatnonzero(self._over_batch):
                segment = self.plan.segments[i]
                rows[i, SEGMENT.samples] = samples
                rows[i, SEGMENT.chunks] = chunking.count(samples, segment.convoy)
            self._samples = samples
        return chunks

    def run(self, pool: Pool, external: Mapping[str, int], threads: int | None = None) -> None:
        """Run a prepared batch; external buffers are given by their addresses."""
        arguments = self._arguments
        for name, address in external.items():
            rows = self._external[name]
            arguments[rows, ARGUMENT.base] = address + self._offset[rows]
        self._segments[:, SEGMENT.next_chunk] = 0
        self._segments[:, SEGMENT.chunks_done] = 0
        count = self.threads if threads is None else min(threads, self.threads)
        pool.execute(self._address, count)
