"""Cutting steps into segments: runs that a convoy passes without waiting for the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convoi.compiler.steps import Step


@dataclass(frozen=True)
class StepSegment:
    """Steps of one segment, in order; ``whole`` ones run once, after all samples before them."""

    steps: tuple[Step, ...]
    whole: bool


def cut_segments(steps: Sequence[Step], aliases: dict[str, str]) -> tuple[StepSegment, ...]:
    """Return the segments of a program.

    A step runs in the first segment in which everything that it needs is there: the sample values
    of the same segment or of earlier ones, and batch values (moments, sums) of earlier ones. Even
    levels are passed by convoys; an odd level holds the steps that run once between them.
    """
    level_of: dict[str, int] = {}
    levels: dict[int, list[Step]] = {}

    def level_at(value: str) -> int:
        return level_of.get(aliases.get(value, value), 0)

    for step in steps:
        needed = [level_of[value] for value in step.needs]
        if step.whole:
            level = max(n + 1 - n % 2 for n in needed)
        else:
            level = max([0, *map(level_at, step.reads), *(n + 1 for n in needed)])
        levels.setdefault(level, []).append(step)
        for value in step.writes:
            level_of[value] = level
    return tuple(
        StepSegment(tuple(levels[level]), whole=level % 2 == 1) for level in sorted(levels)
    )
