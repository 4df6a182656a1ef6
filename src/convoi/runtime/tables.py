"""The records of the int64 tables that the native executor reads.

Each class lists the words of one record; counters that several threads write have a cache line
of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_ARGUMENTS: Final = 32
"""The most pointers that a kernel takes."""


@dataclass(frozen=True)
class _Program:
    segment_count: int = 0
    segments: int = 1
    calls: int = 2
    arguments: int = 3
    team: int = 4
    """Threads that share every call; 0: each thread takes convoys of its own."""
    stages: int = 5
    counters: int = 6
    words: int = 8


@dataclass(frozen=True)
class _Segment:
    first_call: int = 0
    calls: int = 1
    chunks: int = 2
    """Slices of the batch that threads take."""
    samples: int = 3
    convoy: int = 4
    """Samples that pass through the calls together."""
    granule: int = 5
    """Chunks begin at multiples of it."""
    first_stage: int = 6
    stages: int = 7
    taken: int = 8
    """Chunks taken from the first on; in the upper half of the bits, from the last on."""
    chunks_done: int = 16
    words: int = 24


@dataclass(frozen=True)
class _Call:
    kernel: int = 0
    first_argument: int = 1
    arguments: int = 2
    units: int = 3
    """Units of work that threads may share."""
    words: int = 4


@dataclass(frozen=True)
class _Stage:
    """Calls that threads pass without waiting for each other."""

    first_call: int = 0
    calls: int = 1
    parts: int = 2
    """Into how many parts the units of each call are cut, for a thread each."""
    words: int = 4


@dataclass(frozen=True)
class _Counters:
    """Counters of a team: the first line, then a line for each part."""

    done: int = 0
    """Parts done so far."""
    line: int = 8
    """Words from one line to the next."""
    claimed: int = 0
    """In the line of a part: the last stage, counted from 1, of which somebody has taken it."""
    present: int = 1
    """In the line of a part: 1 if the thread that it is meant for takes part."""


@dataclass(frozen=True)
class _Argument:
    """Where a pointer leads, in bytes.

    ``base + first sample * per_sample + chunk * per_chunk + team * per_team + thread * per_thread``

    Threads that share each call are one team, and else each is one by itself.
    """

    base: int = 0
    per_sample: int = 1
    per_chunk: int = 2
    per_team: int = 3
    per_thread: int = 4
    words: int = 5


@dataclass(frozen=True)
class _Gate:
    program: int = 0
    threads: int = 1
    stop: int = 2
    generation: int = 8
    active: int = 16
    sleepers: int = 24
    mutex: int = 32
    """Room for the largest of the systems' mutexes and condition variables, with some to spare."""
    condition: int = 48
    words: int = 64


PROGRAM: Final = _Program()
SEGMENT: Final = _Segment()
CALL: Final = _Call()
STAGE: Final = _Stage()
COUNTERS: Final = _Counters()
ARGUMENT: Final = _Argument()
GATE: Final = _Gate()
