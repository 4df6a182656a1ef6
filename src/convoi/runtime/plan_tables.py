"""The tables that the native executor reads, made from a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convoi.runtime.buffers import aligned_zeros
from convoi.runtime.tables import CALL, PROGRAM, SEGMENT, STAGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.runtime.plan import Plan


def call_table(plan: Plan) -> NDArray[np.int64]:
    """Return the records of all calls."""
    table = np.zeros((len(plan.calls), CALL.words), np.int64)
    first = 0
    for row, call in zip(table, plan.calls, strict=True):
        row[CALL.kernel] = call.address
        row[CALL.first_argument] = first
        row[CALL.arguments] = len(call.arguments)
        row[CALL.units] = call.units
        first += len(call.arguments)
    return table


def stage_table(plan: Plan, threads: int, segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the stages of all segments; write where those of each begin.

    Segments that run once have none: threads take chunks of them in any case.

    Calls that one thread makes, and that follow one another, are one stage; so is a call with those
    that clear memory before it. The latter are left out of shared stages if their value lies apart.
    """
    rows: list[list[int]] = []
    number = 0
    for record, segment in zip(segments, plan.segments, strict=True):
        record[SEGMENT.first_stage] = begun = len(rows)
        if segment.is_fixed:
            number += len(segment.calls)
            continue
        before: list[bool] = []
        for call in segment.calls:
            number += 1
            if call.clears and call is not segment.calls[-1]:
                before.append(not call.needless)
                continue
            parts = max(1, min(threads, call.units, call.shares))
            joined = 1 + len(before)
            if parts > 1 and not any(before):
                joined = 1
            if parts == 1 and len(rows) > begun and rows[-1][STAGE.parts] == 1:
                rows[-1][STAGE.calls] += joined
            else:
                rows.append([number - joined, joined, parts, 0])
            before = []
        record[SEGMENT.stages] = len(rows) - begun
    return np.array(rows, np.int64).reshape(-1, STAGE.words)


def segment_table(plan: Plan) -> NDArray[np.int64]:
    """Return the records of all segments."""
    size = len(plan.segments) * SEGMENT.words
    table: NDArray[np.int64] = aligned_zeros(size, "int64").reshape(-1, SEGMENT.words)
    first = 0
    for row, segment in zip(table, plan.segments, strict=True):
        row[SEGMENT.first_call] = first
        row[SEGMENT.calls] = len(segment.calls)
        row[SEGMENT.convoy] = segment.convoy
        row[SEGMENT.granule] = segment.granule
        if segment.is_fixed:
            row[SEGMENT.samples] = segment.units
            row[SEGMENT.chunks] = segment.fixed_chunks
        first += len(segment.calls)
    return table


def program_table(
    segments: NDArray[np.int64], calls: NDArray[np.int64], arguments: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the record of a program."""
    table = np.zeros(PROGRAM.words, np.int64)
    table[PROGRAM.segment_count] = len(segments)
    table[PROGRAM.segments] = segments.ctypes.data
    table[PROGRAM.calls] = calls.ctypes.data
    table[PROGRAM.arguments] = arguments.ctypes.data
    return table
