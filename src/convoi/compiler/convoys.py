"""How many samples pass together, and where that changes: cutting segments at heavy layers.

A convoy reads the weights of each layer once. Where a sample has many positions, their products
hide that; a dense layer, or a convolution of a few positions, waits for its weights, and wants many
samples at a time. The layers around it want few, whose activations stay in the cache. So a segment
is cut where layers of the two kinds meet, if what then crosses the cut weighs less.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from convoi.compiler import tuned
from convoi.compiler.choose import L2_BYTES, MOST_CONVOY, SPILL, convoy_size
from convoi.compiler.segments import StepSegment
from convoi.compiler.steps import (
    BlockOperand,
    GradientOperand,
    Operand,
    ParameterOperand,
    Step,
    SumOperand,
    ValueOperand,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.compiler.select import Selection

HEAVY_BYTES = 128 * 1024
"""Weights, and twice the sums, from which a layer is worth a segment with a convoy of its own."""
SHARED_BYTE = 0.1
"""What a byte of weights costs beside one of activations: it is read in order, and ahead of use
(dense 3136 to 128, one sample at a time: 6.4 MB per sample and step of training cost 70 us)."""
FAR_BYTE = 2.0
"""A byte of activations beyond the second-level cache: it is written and read again."""
CUT, UNCUT = "cut", "uncut"
"""What `cut_at_heavy_layers` does with a segment."""
_SIZES = frozenset(map(str, range(1, MOST_CONVOY + 1)))
CUT_BYTES = 16 * 1024
"""Fewest bytes per sample that a cut has to save: its barrier is not free either."""


def cut_at_heavy_layers(
    selection: Selection, segments: Sequence[StepSegment]
) -> tuple[StepSegment, ...]:
    """Return segments whose layers agree on the number of samples that pass together."""
    readers: dict[str, list[Step]] = {}
    for segment in segments:
        for step in segment.steps:
            for value in _values(selection, step):
                readers.setdefault(value, []).append(step)
    found: list[StepSegment] = []
    for segment in segments:
        if segment.whole or tuned.chosen(cut_signature(segment.steps)) == UNCUT:
            found.append(segment)
            continue
        parts = _Cutting(selection, segment.steps, readers).best()
        found += [StepSegment(part, whole=False) for part in parts]
    return tuple(found)


def tuned_convoy(selection: Selection, steps: Sequence[Step], bytes_per_sample: int) -> int:
    """Return how many samples pass through a segment: what was measured, or else the model's."""
    measured = tuned.chosen(convoy_signature(steps))
    if measured in _SIZES:
        return int(measured)
    return amortising_convoy(selection, steps, bytes_per_sample)


def convoy_signature(steps: Sequence[Step]) -> str:
    """Return what the convoy of a segment depends on besides the target, as a text: its kernels."""
    return f"convoy {_digest(steps)}"


def cut_signature(steps: Sequence[Step]) -> str:
    """Return what the choice whether some steps are cut depends on, as a text."""
    return f"cuts {_digest(steps)}"


def _digest(steps: Sequence[Step]) -> str:
    kernels = "\n".join(f"{type(step.kernel).__name__} {step.kernel!r}" for step in steps)
    return hashlib.sha256(kernels.encode()).hexdigest()[:20]


def segment_convoy(selection: Selection, steps: Sequence[Step], bytes_per_sample: int) -> int:
    """Return how many samples pass through some steps together: as many as the cache holds.

    A multiple of what dense layers take at a time is only wanted where layers wait for weights.
    """
    waiting = any(step.kernel.samples_at_once > 1 for step in steps)
    samples = selection.tile_samples if waiting else 1
    return convoy_size(bytes_per_sample, samples, selection.streamed_bytes)


def amortising_convoy(selection: Selection, steps: Sequence[Step], bytes_per_sample: int) -> int:
    """Return the same, or more where that saves a training step from reading weights and sums.

    Those that do not stay in the cache beside the activations come anew for every convoy: there are
    as many samples as make the activations weigh as much, unless those of a single step would spill
    far. Whole steps of networks gain up to 4% from it; predictions, which only read, nothing.
    """
    size = segment_convoy(selection, steps, bytes_per_sample)
    shared = sum(_shared_bytes(selection, operand) for step in steps for operand in step.operands)
    if not selection.training or shared + size * bytes_per_sample <= L2_BYTES:
        return size
    largest = max(
        sum(selection.layout(value).bytes for value in _values(selection, step)) for step in steps
    )
    wanted = 1 << max(0, round(math.log2(max(1.0, shared / max(1, bytes_per_sample)))))
    while wanted > 1 and wanted * largest > SPILL * L2_BYTES:
        wanted //= 2
    return max(size, min(wanted, MOST_CONVOY))


def _values(selection: Selection, step: Step) -> set[str]:
    return {selection.root(o.value) for o in step.operands if isinstance(o, ValueOperand)}


@dataclass(frozen=True)
class _Cutting:
    """The ways to cut the steps of a segment, and what they cost."""

    selection: Selection
    steps: tuple[Step, ...]
    readers: dict[str, list[Step]]

    def best(self) -> list[tuple[Step, ...]]:
        """Return the parts that cost the least, in bytes per sample that pass between caches."""
        bounds = [0, *self._candidates, len(self.steps)]
        costs: list[float] = [0.0]
        starts: list[int] = [0]
        for end in range(1, len(bounds)):
            options = [
                costs[start] + self._cost(bounds[start], bounds[end]) + (CUT_BYTES if start else 0)
                for start in range(end)
            ]
            costs.append(min(options))
            starts.append(options.index(costs[-1]))
        parts: list[tuple[Step, ...]] = []
        end = len(bounds) - 1
        while end:
            parts.append(self.steps[bounds[starts[end]] : bounds[end]])
            end = starts[end]
        return parts[::-1]

    @cached_property
    def _candidates(self) -> list[int]:
        """Steps before which heavy and light layers meet."""
        found = []
        before: bool | None = None
        for i, step in enumerate(self.steps):
            if not any(isinstance(o, ParameterOperand | GradientOperand) for o in step.operands):
                continue
            heavy = self._shared(step) >= HEAVY_BYTES
            if before is not None and heavy != before:
                found.append(i)
            before = heavy
        return found

    def _shared(self, step: Step) -> int:
        """Return the bytes of weights and sums that a step waits for once per convoy."""
        if step.kernel.samples_at_once == 1:
            return 0
        return sum(_shared_bytes(self.selection, operand) for operand in step.operands)

    def _cost(self, start: int, end: int) -> float:
        steps = self.steps[start:end]
        inside = set(map(id, steps))
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for i, step in enumerate(steps):
            for value in _values(self.selection, step):
                first.setdefault(value, i)
                last[value] = i
        crossing = {v for v in first if any(id(step) not in inside for step in self.readers[v])}
        sizes = {value: self.selection.layout(value).bytes for value in first}
        touched = sum(sizes[value] for value in crossing)
        peak = max(
            sum(sizes[v] for v in sizes if v not in crossing and first[v] <= i <= last[v])
            for i in range(len(steps))
        )
        samples = segment_convoy(self.selection, steps, peak + touched)
        shared = sum(map(self._shared, steps))
        activations = samples * (peak + touched)
        cost = FAR_BYTE * max(0, activations - L2_BYTES) / samples
        if shared + activations > L2_BYTES:
            cost += SHARED_BYTE * shared / samples
        return cost + touched


def _shared_bytes(selection: Selection, operand: Operand) -> int:
    """Return the bytes of weights that are read, and of sums that are read and written."""
    if isinstance(operand, ParameterOperand):
        return selection.packings[operand.packing].size * selection.itemsize
    if isinstance(operand, GradientOperand):
        return 2 * selection.packings[operand.packing].size * selection.itemsize
    if isinstance(operand, SumOperand):
        return 2 * operand.bytes
    return operand.bytes if isinstance(operand, BlockOperand) else 0
