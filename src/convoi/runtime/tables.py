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
    next_chunk: int = 8
    chunks_done: int = 16
    words: int = 24


@dataclass(frozen=True)
class _Call:
    kernel: int = 0
    first_argument: int = 1
    arguments: int = 2
    words: int = 4


@dataclass(frozen=True)
class _Argument:
    """``base + first sample * per_sample + chunk * per_chunk + thread * per_thread``, in bytes."""

    base: int = 0
    per_sample: int = 1
    per_chunk: int = 2
    per_thread: int = 3
    words: int = 4


@dataclass(frozen=True)
class _Gate:
    program: int = 0
    threads: int = 1
    stop: int = 2
    generation: int = 8
    active: int = 16
    words: int = 24


PROGRAM: Final = _Program()
SEGMENT: Final = _Segment()
CALL: Final = _Call()
ARGUMENT: Final = _Argument()
GATE: Final = _Gate()
