"""Rules for pooling over intervals, with binomial weights and at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.compiler.rules_loss import SEED_BLOCK
from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import Operand, ValueOperand
from convoi.kernels import interval_pool, weighted_pool
from convoi.ops import (
    AdaptiveAveragePool,
    AdaptiveAveragePoolBackward,
    AdaptiveMaxPool,
    AdaptiveMaxPoolBackward,
    BlurPool,
    BlurPoolBackward,
    FractionalMaxPool,
    FractionalMaxPoolBackward,
    FractionalMaxPoolSampled,
    StochasticPool,
    StochasticPoolBackward,
    StochasticPoolSampled,
)

if TYPE_CHECKING:
    from convoi.compiler.tasks import Task
    from convoi.kernels.base import Kernel
    from convoi.kernels.layout import Layout


def _layouts(selection: Selection, task: Task, inputs: int) -> tuple[Layout, ...]:
    """Return the layouts of the first inputs and of the output."""
    return tuple(selection.layout(value) for value in (*task.node.inputs[:inputs], task.output))


def _step(
    selection: Selection, task: Task, kernel: Kernel, inputs: int, *, seeded: bool = False
) -> None:
    """Add the step of a kernel that reads some inputs, then the seed."""
    operands: list[Operand] = [ValueOperand(value) for value in task.node.inputs[:inputs]]
    if seeded:
        operands.append(SEED_BLOCK)
    selection.value_step(task, kernel, operands)


@rule(AdaptiveAveragePool)
def adaptive_average_pool(selection: Selection, task: Task) -> None:
    """Select the forward pass."""
    _step(
        selection, task, interval_pool.AdaptiveAveragePool(*_layouts(selection, task, 1)), inputs=1
    )


@rule(AdaptiveAveragePoolBackward)
def adaptive_average_pool_backward(selection: Selection, task: Task) -> None:
    """Select the backward pass."""
    kernel = interval_pool.AdaptiveAveragePoolBackward(*_layouts(selection, task, 1))
    _step(selection, task, kernel, inputs=1)


@rule(AdaptiveMaxPool)
def adaptive_max_pool(selection: Selection, task: Task) -> None:
    """Select the forward pass."""
    kernel = interval_pool.IntervalMaxPool(None, *_layouts(selection, task, 1))
    _step(selection, task, kernel, inputs=1)


@rule(AdaptiveMaxPoolBackward)
def adaptive_max_pool_backward(selection: Selection, task: Task) -> None:
    """Select the backward pass."""
    kernel = interval_pool.IntervalMaxPoolBackward(None, *_layouts(selection, task, 3))
    _step(selection, task, kernel, inputs=3)


@rule(FractionalMaxPool)
def fractional_max_pool(selection: Selection, task: Task) -> None:
    """Select the forward pass of predictions."""
    fraction = interval_pool.Fraction(task.operation(FractionalMaxPool).overlapping)
    kernel = interval_pool.IntervalMaxPool(fraction, *_layouts(selection, task, 1))
    _step(selection, task, kernel, inputs=1)


@rule(FractionalMaxPoolSampled)
def fractional_max_pool_sampled(selection: Selection, task: Task) -> None:
    """Select the forward pass of training."""
    op = task.operation(FractionalMaxPoolSampled)
    fraction = interval_pool.Fraction(op.overlapping, op.stream)
    kernel = interval_pool.IntervalMaxPool(fraction, *_layouts(selection, task, 1))
    _step(selection, task, kernel, inputs=1, seeded=True)


@rule(FractionalMaxPoolBackward)
def fractional_max_pool_backward(selection: Selection, task: Task) -> None:
    """Select the backward pass."""
    op = task.operation(FractionalMaxPoolBackward).pool
    fraction = interval_pool.Fraction(op.overlapping, op.stream)
    kernel = interval_pool.IntervalMaxPoolBackward(fraction, *_layouts(selection, task, 3))
    _step(selection, task, kernel, inputs=3, seeded=True)


@rule(BlurPool)
def blur_pool(selection: Selection, task: Task) -> None:
    """Select the forward pass."""
    op = task.operation(BlurPool)
    x, y = _layouts(selection, task, 1)
    kernel = weighted_pool.BlurPool(x, y, op.size, op.stride, op.padding)
    _step(selection, task, kernel, inputs=1)


@rule(BlurPoolBackward)
def blur_pool_backward(selection: Selection, task: Task) -> None:
    """Select the backward pass."""
    op = task.operation(BlurPoolBackward).pool
    dy, dx = _layouts(selection, task, 1)
    kernel = weighted_pool.BlurPoolBackward(dy, dx, op.size, op.stride, op.padding)
    _step(selection, task, kernel, inputs=1)


@rule(StochasticPool)
def stochastic_pool(selection: Selection, task: Task) -> None:
    """Select the forward pass of predictions."""
    op = task.operation(StochasticPool)
    x, y = _layouts(selection, task, 1)
    kernel = weighted_pool.StochasticPool(x, y, op.size, op.stride, op.padding)
    _step(selection, task, kernel, inputs=1)


@rule(StochasticPoolSampled)
def stochastic_pool_sampled(selection: Selection, task: Task) -> None:
    """Select the forward pass of training."""
    op = task.operation(StochasticPoolSampled)
    layouts = _layouts(selection, task, 1)
    window = (op.size, op.stride, op.padding, op.stream)
    _step(selection, task, weighted_pool.StochasticPoolSampled(*window, *layouts), 1, seeded=True)


@rule(StochasticPoolBackward)
def stochastic_pool_backward(selection: Selection, task: Task) -> None:
    """Select the backward pass."""
    op = task.operation(StochasticPoolBackward).pool
    layouts = _layouts(selection, task, 2)
    window = (op.size, op.stride, op.padding, op.stream)
    _step(selection, task, weighted_pool.StochasticPoolBackward(*window, *layouts), 2, seeded=True)
