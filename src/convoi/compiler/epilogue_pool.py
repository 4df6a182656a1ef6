"""Letting convolutions pool what they compute, instead of storing it.

The rule of a pool selects a pass over memory. Where a convolution has stored the value just before,
and nobody else reads it, its tiles are made of whole windows and it stores what is pooled of them.

Measured (Zen 4, two threads): 64 predictions of LeNet-5, of a network of two convolutions and of a
VGG become 1.08, 1.06 and 1.06 times as fast, those of one sample 1.09, 1.09 and 1.04 times. Steps
of training, which pool to find winners, gain nothing but memory.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from convoi.compiler import choose
from convoi.compiler.steps import Step, ValueOperand
from convoi.kernels import pool, winners
from convoi.kernels.correlate import Correlate, Tile
from convoi.kernels.epilogue_pool import (
    NO_POOL,
    EpilogueAverage,
    EpilogueMaximum,
    EpiloguePool,
    EpilogueWinners,
)
from convoi.kernels.epilogue_sums import NO_SUMS
from convoi.kernels.fast_correlate import FastCorrelate

if TYPE_CHECKING:
    from convoi.codegen.target import Target
    from convoi.compiler.select import Selection
    from convoi.kernels.base import Kernel
    from convoi.kernels.layout import Layout

Pool: TypeAlias = pool.MaxPool | pool.AveragePool | winners.MaxPoolWinners
"""The kernels of pools that convolutions may make."""
MOST_COST = 1.1
"""How much dearer than the best tile that of whole windows may be."""


def pool_while_storing(selection: Selection) -> None:
    """Replace pools by epilogues of the kernels that stored their inputs, and nobody else's."""
    steps: list[Step] = []
    for number, step in enumerate(selection.steps):
        if not _absorb(selection, steps, step, selection.steps[number + 1 :]):
            steps.append(step)
    selection.steps = steps


def _absorb(selection: Selection, steps: list[Step], step: Step, later: list[Step]) -> bool:
    """Let the step that stored a value pool it, if it can."""
    kernel = step.kernel
    if not isinstance(kernel, Pool):
        return False
    first, *outputs = step.operands
    if not isinstance(first, ValueOperand):
        return False
    root = selection.root(first.value)
    storing = next((s for s in steps if root in map(selection.root, s.writes)), None)
    others = (value for s in (*steps, *later) for value in s.reads)
    if storing is None or root in map(selection.root, others):
        return False
    y = selection.layout(first.value)
    pooling = _pooling(storing.kernel, kernel, y, selection.target)
    if pooling is None:
        return False
    steps[steps.index(storing)] = replace(
        storing,
        kernel=pooling,
        operands=(*storing.operands[:-1], *outputs),
        writes=step.writes,
        late=storing.late or step.late,
    )
    return True


def _pooling(
    kernel: Kernel,
    pooled: Pool,
    y: Layout,
    target: Target,
) -> Kernel | None:
    """Return the kernel that pools what a kernel stores, None if that cannot or does not pay."""
    if not isinstance(kernel, Correlate | FastCorrelate) or kernel.y != y:
        return None
    if kernel.sums != NO_SUMS or kernel.pool != NO_POOL:
        return None
    if pooled.stride != pooled.size or any(pair != (0, 0) for pair in pooled.padding):
        return None
    epilogue = _epilogue(pooled)
    if isinstance(kernel, FastCorrelate):
        tiling = kernel.tiling
        whole = all(side % size == 0 for side, size in zip(tiling.sides, pooled.size, strict=True))
        if not whole or any(apart > 1 for apart in tiling.apart):
            return None
        return replace(kernel, y=pooled.y, pool=epilogue)
    return _direct(kernel, pooled.y, epilogue, target)


def _epilogue(pooled: Pool) -> EpiloguePool:
    if isinstance(pooled, winners.MaxPoolWinners):
        return EpilogueWinners(pooled.size, winners=pooled.winners, rectified=pooled.rectified)
    if isinstance(pooled, pool.MaxPool):
        return EpilogueMaximum(pooled.size)
    return EpilogueAverage(pooled.size)


def _direct(
    kernel: Correlate, pooled: Layout, epilogue: EpiloguePool, target: Target
) -> Correlate | None:
    """Return a direct kernel whose tiles are whole windows."""
    size = epilogue.size
    if any(len(runs) != 1 for runs in kernel.axes) or any(side > 1 for side in size[:-2]):
        return None
    axes = tuple(
        (replace(run, count=count * side),)
        for (run,), count, side in zip(kernel.axes, pooled.spatial, size, strict=True)
    )
    rows, columns = ([1, *pooled.spatial])[-2:]
    height, width = ([1, *size])[-2:]
    blocks = kernel.weights.blocks
    most = choose.MOST_POSITIONS[target.registers][max(blocks)]
    tiles = [
        Tile(rows=height * i, columns=width * j)
        for i in range(1, rows + 1)
        for j in range(1, columns + 1)
        if i * height * j * width <= most and (i == 1 or j == columns)
    ]
    slot = choose.Slot(kernel.y.vector.size, target)

    def cost(tile: Tile, rows: int, columns: int) -> float:
        return sum(choose.correlate_cost(block, tile, rows, columns, slot) for block in blocks)

    full_rows, full_columns = ([1, *kernel.y.spatial])[-2:]
    best = min(tiles, key=lambda tile: cost(tile, rows * height, columns * width), default=None)
    limit = MOST_COST * cost(kernel.tile, full_rows, full_columns)
    if best is None or cost(best, rows * height, columns * width) > limit:
        return None
    choice = choose.CorrelateChoice(blocks, best)
    once = not kernel.weights.per_lane and choose.loads_values_once(axes, choice, target)
    return replace(kernel, y=pooled, axes=axes, tile=best, values_once=once, pool=epilogue)
