"""Asking for memory ahead: while a convoy's products are summed, the next one's values arrive.

Passes over memory, such as those of batch normalisation, take as long as a batch's values need
from memory to the core. The convolutions around them leave the memory idle. So they ask for what
the passes of their segment will read and write of the next convoy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from convoi.compiler.segments import StepSegment
from convoi.compiler.steps import Step, ValueOperand
from convoi.kernels.base import Ahead
from convoi.kernels.correlate import Correlate
from convoi.kernels.winograd import WinogradCorrelate
from convoi.kernels.winograd_weights import WinogradWeightGradient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.compiler.select import Selection

Carrier = WinogradCorrelate | WinogradWeightGradient
"""Kernels that can ask for what others need."""
BEHIND = 2
"""Operands of a carrier behind what lies ahead: scratch memory and its result."""


def prefetch_next_convoy(
    selection: Selection, segments: Sequence[StepSegment]
) -> tuple[StepSegment, ...]:
    """Return segments whose convolutions ask for the values of the next convoy."""
    uses: dict[str, set[int]] = {}
    for i, segment in enumerate(segments):
        for step in segment.steps:
            for value in _values(selection, step):
                uses.setdefault(value, set()).add(i)
    crossing = {value for value, where in uses.items() if len(where) > 1}
    return tuple(
        segment if segment.whole else _with_prefetches(selection, segment, crossing)
        for segment in segments
    )


def _values(selection: Selection, step: Step) -> list[str]:
    return [selection.root(o.value) for o in step.operands if isinstance(o, ValueOperand)]


def _with_prefetches(
    selection: Selection, segment: StepSegment, crossing: set[str]
) -> StepSegment:
    """Share the values that passes touch first among the segment's convolutions."""
    carriers = [i for i, s in enumerate(segment.steps) if isinstance(s.kernel, Carrier)]
    if not carriers:
        return segment
    steps = list(segment.steps)
    seen: set[str] = set()
    load = dict.fromkeys(carriers, 0)
    for step in segment.steps:
        for value in _values(selection, step):
            known = value in seen
            seen.add(value)
            if known or value not in crossing or isinstance(step.kernel, Correlate | Carrier):
                continue
            layout = selection.layout(value)
            carrier = min(carriers, key=lambda i: load[i])
            load[carrier] += layout.bytes
            write = value in map(selection.root, step.writes)
            steps[carrier] = _carrying(steps[carrier], value, Ahead(layout, write))
    return replace(segment, steps=tuple(steps))


def _carrying(step: Step, value: str, ahead: Ahead) -> Step:
    kernel, operands = step.kernel, step.operands
    if not isinstance(kernel, Carrier):
        raise TypeError(kernel)
    kernel = replace(kernel, ahead=(*kernel.ahead, ahead))
    operands = (*operands[:-BEHIND], ValueOperand(value), *operands[-BEHIND:])
    return replace(step, kernel=kernel, operands=operands)
