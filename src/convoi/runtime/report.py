"""What ``CONVOI_DEBUG`` shows of programs: written to standard error, and nowhere else.

From level 1 on, the time that a program took to compile, and the time that each of its runs takes,
by segments; from level 2 on, its plan: the kernels of each segment, and the memory it needs.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from convoi.config import Debug, settings
from convoi.runtime.plan import Extent, Plan, Segment, Space, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from convoi.runtime.plan import KernelCall
    from convoi.runtime.program import Instance
    from convoi.runtime.threads import Pool


@dataclass(frozen=True)
class Report:
    """Reports on one program, as the setting wanted when the program was made."""

    program: str
    level: Debug

    @classmethod
    def on(cls, program: str) -> Report:
        """Return the report on a program of this name."""
        return cls(program, settings().debug)

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Report how long the body of the ``with`` statement took."""
        start = perf_counter()
        yield
        if self.level >= Debug.TIMING:
            self._write([f"compiled in {perf_counter() - start:.3f} s"])

    def plan(self, plan: Plan) -> None:
        """Report the segments of a plan, and the bytes that it holds."""
        if self.level >= Debug.PLAN:
            self._write(_plan_lines(plan))

    def run(self, instance: Instance, pool: Pool, external: Mapping[str, int], count: int) -> None:
        """Run a prepared batch of so many samples; report how long its segments took."""
        if self.level < Debug.TIMING:
            instance.run(pool, external)
            return
        seconds = instance.run_timed(pool, external)
        segments = zip(instance.plan.segments, seconds, strict=True)
        self._write(
            [
                f"{count} samples in {_milliseconds(sum(seconds))}",
                *(
                    f"  segment {number}, {_words(segment)}: {_milliseconds(taken)}"
                    + (f"; {_moved(segment, count)}" if self.level >= Debug.PLAN else "")
                    for number, (segment, taken) in enumerate(segments)
                ),
                *([f"  {_moved_in_all(instance.plan, count)}"] if self.level >= Debug.PLAN else []),
            ]
        )

    def _write(self, lines: list[str]) -> None:
        sys.stderr.write("\n".join([f"convoi: {self.program}: {lines[0]}", *lines[1:], ""]))


def _plan_lines(plan: Plan) -> list[str]:
    """Return a headline with the memory, then a line for each segment and each call."""
    figures = {space: plan.bytes_of(space) for space in Space}
    lines = [
        (
            f"segments: {len(plan.segments)}; bytes: {figures[Space.THREAD]} per thread, "
            f"{figures[Space.BATCH]} per sample between segments, {figures[Space.CHUNK]} per "
            f"chunk, {figures[Space.FIXED]} for parameters and tables"
        )
    ]
    for number, segment in enumerate(plan.segments):
        lines.append(f"  segment {number}, {_words(segment)}")
        lines += [f"    {call.label}: {call.kernel}{_traffic(call)}" for call in segment.calls]
    return lines


def _traffic(call: KernelCall) -> str:
    """Return what a call moves, in words that go on a line."""
    traffic = call.traffic
    if traffic == Traffic():
        return ""
    parts = [f"{_bytes(traffic.per_unit)} per unit"] if traffic.per_unit else []
    parts += [f"{_bytes(traffic.per_convoy)} per convoy"] if traffic.per_convoy else []
    least = f"{_bytes(traffic.least_per_unit)} per unit"
    if traffic.least_once:
        least += f" and {_bytes(traffic.least_once)} once"
    return f", moves {' and '.join(parts)} (at least {least})"


def _bytes_of(segment: Segment, count: int) -> tuple[int, int]:
    """Return the bytes that a segment moves for so many samples, and the fewest."""
    traffic = segment.traffic
    if segment.extent is Extent.BATCH:
        return traffic.moved(count, segment.convoy), traffic.least(count)
    # Units share what a step that runs once reads and writes.
    return traffic.moved(segment.units, segment.units), traffic.least(segment.units)


def _moved(segment: Segment, count: int) -> str:
    """Return the bytes that a segment moves for so many samples, in words."""
    moved, least = _bytes_of(segment, count)
    return f"{_bytes(moved)} moved, at least {_bytes(least)}"


def _moved_in_all(plan: Plan, count: int) -> str:
    """Return the same of all segments, and the ratio."""
    pairs = [_bytes_of(segment, count) for segment in plan.segments]
    moved, least = (sum(figures) for figures in zip(*pairs, strict=True))
    ratio = f", {moved / least:.2f} times" if least else ""
    return f"in all: {_bytes(moved)} moved, at least {_bytes(least)}{ratio}"


def _bytes(size: int) -> str:
    """Return a number of bytes in words; always in the same unit, so that lines compare."""
    return f"{size / 1e3:.1f} kB"


def _words(segment: Segment) -> str:
    """Return what a segment runs over, in words."""
    if segment.extent is Extent.BATCH:
        return f"{segment.convoy} samples at a time"
    if segment.units == 1:
        return "once"
    return f"{segment.units} units, {segment.convoy} at a time"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms"
