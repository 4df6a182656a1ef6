"""Programs as data: segments of kernel calls over named buffers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from convoi.errors import CompilationError
from convoi.runtime.buffers import ALIGNMENT, round_up
from convoi.runtime.tables import MAX_ARGUMENTS

SHARED_WASTE = 1.25
"""Batches of few samples: threads share each call, instead of taking samples, where the thread with
the most samples had so many times the average."""


class Space(Enum):
    """What a buffer belongs to, which decides its size and how it is addressed."""

    FIXED = "fixed"
    """The program: parameters, tables."""
    BATCH = "batch"
    """The samples of a batch: grows with it."""
    THREAD = "thread"
    """A thread: activations of the convoy that it is working on."""
    TEAM = "team"
    """Threads that share every call: activations of one sample, each in memory of its own."""
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
    private: bool = False
    """In the space of threads: whether each has its own even if they work on the same convoy."""

    @property
    def unit_bytes(self) -> int:
        """Bytes from one unit to the next: a whole number of cache lines."""
        return round_up(self.bytes, ALIGNMENT)


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
    apart: int | None = None
    """In buffers of threads: the offset in the team's buffer, where threads share every call."""


@dataclass(frozen=True)
class Traffic:
    """The bytes that a call moves, and the fewest that had to be moved."""

    per_unit: int = 0
    """For each sample, or unit of a segment that runs once."""
    per_convoy: int = 0
    """Whenever it is called: weights, and sums."""
    least_per_unit: int = 0
    least_once: int = 0
    """In a batch, whatever its size."""

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.per_unit + other.per_unit,
            self.per_convoy + other.per_convoy,
            self.least_per_unit + other.least_per_unit,
            self.least_once + other.least_once,
        )

    def moved(self, units: int, convoy: int) -> int:
        """Return the bytes that so many units move, some at a time."""
        return self.per_unit * units + self.per_convoy * -(-units // convoy)

    def least(self, units: int) -> int:
        """Return the fewest bytes that so many units can move."""
        return self.least_per_unit * units + self.least_once


NOTHING = Traffic()


@dataclass(frozen=True)
class KernelCall:
    """One call of a kernel."""

    label: str
    address: int
    arguments: tuple[Argument, ...]
    kernel: str = ""
    """What the kernel is called in reports."""
    units: int = 1
    """Units of its work that threads may share."""
    shares: int = 1
    """The most threads that are worth it: fewer than the units where those are small."""
    clears: bool = False
    """Whether it prepares memory that values use in turn: threads may begin the next call without
    waiting for it."""
    needless: bool = False
    """Whether it is left out where threads share calls, for its value lies apart then."""
    traffic: Traffic = NOTHING

    def __post_init__(self) -> None:
        """Check that the executor can pass so many pointers."""
        if len(self.arguments) > MAX_ARGUMENTS:
            message = (
                f"The kernel of {self.label!r} takes {len(self.arguments)} pointers, and programs "
                f"pass at most {MAX_ARGUMENTS}: a defect of Convoi."
            )
            raise CompilationError(message)


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
    def is_fixed(self) -> bool:
        """Whether it runs over units known when the program is made."""
        return self.extent is Extent.FIXED

    @property
    def traffic(self) -> Traffic:
        """What all its calls move."""
        return sum((call.traffic for call in self.calls), NOTHING)

    @property
    def fixed_chunks(self) -> int:
        """The number of chunks of a fixed extent."""
        return max(1, -(-self.units // self.convoy))


@dataclass(frozen=True)
class Chunking:
    """How a batch is cut: never by the number of threads, so sums do not depend on it.

    No chunk may be empty, because its sums would be those of an earlier batch. So a program that
    sums over chunks has segments whose granule divides ``samples``; those of a small batch have
    none.
    """

    most: int | None
    """The most chunks; None: as many as there are convoys (nothing is summed over chunks)."""
    samples: int = 1
    """The fewest samples that are worth a chunk."""
    small: int = 0
    """The same for batches that do not fill two such chunks; 0: those are one chunk."""

    def is_small(self, samples: int) -> bool:
        """Tell whether a batch is cut regardless of granules."""
        return self.small > 0 and samples < 2 * self.samples

    def count(self, samples: int, convoy: int) -> int:
        """Return the number of chunks of a batch."""
        if self.most is None:
            return max(1, -(-samples // convoy))
        fewest = self.small if self.is_small(samples) else self.samples
        return max(1, min(self.most, -(-samples // fewest)))


@dataclass(frozen=True)
class Plan:
    """A compiled program: all that a run needs besides memory."""

    segments: tuple[Segment, ...]
    buffers: tuple[Buffer, ...]
    chunking: Chunking

    @property
    def calls(self) -> tuple[KernelCall, ...]:
        """The calls of all segments."""
        return tuple(call for segment in self.segments for call in segment.calls)

    def bytes_of(self, space: Space) -> int:
        """Return the bytes that each unit of a space takes."""
        return sum(buffer.bytes for buffer in self.buffers if buffer.space is space)

    def allocated(self, space: Space, units: int) -> int:
        """Return the bytes that an instance allocates for so many units of a space."""
        return sum(b.unit_bytes * units for b in self.buffers if b.space is space)

    def is_shared(self, samples: int, threads: int) -> bool:
        """Tell whether threads may share each call for a batch, instead of taking samples.

        They do where they would else wait for the one with the most samples. Where sums are made
        over chunks, they can if the batch is one, which only one thread would take.
        """
        if min(samples, threads - 1) == 0 or not self.divides_calls or self.sums(samples) > 1:
            return False
        waits = -(-samples // threads) * threads > SHARED_WASTE * samples
        return waits or self.chunking.most is not None

    @property
    def divides_calls(self) -> bool:
        """Whether threads may share each call at all."""
        batch = (segment for segment in self.segments if not segment.is_fixed)
        return any(min(call.units, call.shares) > 1 for segment in batch for call in segment.calls)

    def sums(self, samples: int) -> int:
        """Return over how many chunks of a batch an instance holds sums."""
        return 1 if self.chunking.most is None else self.chunking.count(samples, 1)
