"""Cutting steps into segments: runs that a convoy passes without waiting for the others."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.compiler.steps import Step


@dataclass(frozen=True)
class StepSegment:
    """Steps of one segment, in order; ``whole`` ones run once, after all samples before them."""

    steps: tuple[Step, ...]
    whole: bool
    units: int = 1
    """Units that threads share, in segments that run once."""


def cut_segments(
    steps: Sequence[Step], root: Callable[[str], str] = lambda value: value
) -> tuple[StepSegment, ...]:
    """Return the segments of a program; ``root`` tells whose memory a value is.

    A step runs in the first segment in which everything that it needs is there: the sample values
    of the same segment or of earlier ones, and batch values (moments, sums) of earlier ones. A late
    step runs in the segment in which its values are first read. Even
    levels are passed by convoys; an odd level holds the steps that run once between them. Steps
    that run once and need nothing come first.
    """
    levels: dict[int, list[Step]] = {}
    for step, level in zip(steps, _levels(steps, root), strict=True):
        levels.setdefault(level, []).append(step)
    segments: list[StepSegment] = []
    for level in sorted(levels):
        if level % 2 == 0:
            segments.append(StepSegment(tuple(levels[level]), whole=False))
            continue
        for units, group in itertools.groupby(levels[level], key=lambda step: step.units):
            segments.append(StepSegment(tuple(group), whole=True, units=units))
    return tuple(segments)


def _levels(steps: Sequence[Step], root: Callable[[str], str]) -> list[int]:
    """Return the number of each step's segment."""
    level_of: dict[str, int] = {}
    levels = []
    for step in steps:
        needed = [level_of[value] for value in step.needs]
        if step.whole:
            level = max((n + 1 + n % 2 for n in needed), default=-1)
        else:
            read = (level_of.get(root(value), 0) for value in step.reads)
            level = max([0, *read, *(n + 1 for n in needed)])
        levels.append(level)
        level_of.update(dict.fromkeys(step.writes, level))
    first_read: dict[str, int] = {}
    for i in reversed(range(len(steps))):
        step = steps[i]
        if step.late:
            levels[i] = min((first_read.get(v, levels[i]) for v in step.writes), default=levels[i])
        for value in step.reads:
            first_read[root(value)] = min(levels[i], first_read.get(root(value), levels[i]))
    return levels
