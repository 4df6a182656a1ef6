"""Asking for the next sample: kernels that sum products of values which lie in memory.

What another segment has computed comes from memory, sample after sample. The first tile of channels
that a kernel computes would wait for it at every position: hardware does not follow a tile's few
channels from position to position. So while the products of a sample are summed, memory brings the
same positions of the sample after it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from convoi.compiler.steps import ValueOperand
from convoi.kernels.correlate import Correlate
from convoi.kernels.weight_gradient import WeightGradient
from convoi.runtime.buffers import ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.compiler.segments import StepSegment
    from convoi.compiler.select import Selection
    from convoi.compiler.steps import Operand, Step
    from convoi.kernels.base import Kernel


def ask_ahead(selection: Selection, segments: Sequence[StepSegment]) -> tuple[StepSegment, ...]:
    """Return segments whose direct kernels ask for the next sample of what lies in memory.

    GFLOP/s on a Zen 4, without and with it, 1x1: the gradient of the weights of 128 channels of 150
    positions to 32: 57, 69; 144 of 24x24 to 24: 48, 69; 384 of 6x6 to 64: 66, 92; the convolution
    of 96 channels of 24x24 to 24: 40, 55; 144 of 24x24 to 24: 39, 57; 384 of 6x6 to 64: 73, 87.
    """
    found = []
    for segment in segments:
        written = {selection.root(value) for step in segment.steps for value in step.writes}
        steps = segment.steps
        if not segment.whole:
            steps = tuple(_asking(selection, step, written) for step in steps)
        found.append(replace(segment, steps=steps))
    return tuple(found)


def _asking(selection: Selection, step: Step, written: set[str]) -> Step:
    """Return a step that asks for its first operand (and the second, of two) if it lies far."""

    def distance(operand: Operand) -> int:
        if not isinstance(operand, ValueOperand) or selection.root(operand.value) in written:
            return 0
        layout = selection.layout(operand.value)
        # A dense layer's samples follow one another, and narrow positions share cache lines.
        scattered = layout.positions > 1 and layout.stride * layout.element.size >= ALIGNMENT
        return layout.size if scattered else 0

    kernel: Kernel = step.kernel
    if isinstance(kernel, Correlate) and _reads_all(kernel):
        kernel = replace(kernel, ahead=distance(step.operands[0]))
    elif isinstance(kernel, WeightGradient):
        x, dy = map(distance, step.operands[:2])
        kernel = replace(kernel, ahead=(x, dy))
    return replace(step, kernel=kernel)


def _reads_all(kernel: Correlate) -> bool:
    """Tell whether a tile reads all of the memory from its first position to its last."""
    runs = [run for axis in kernel.axes for run in axis]
    return kernel.tile.samples == 1 and all(r.input_step <= max(1, r.taps.count) for r in runs)
