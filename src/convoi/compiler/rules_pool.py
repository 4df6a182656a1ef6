"""Rules for pooling and its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.compiler.maxima import Winner, WinnerBackward, winners_of
from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import ValueOperand
from convoi.kernels import lp_pool, pool, winners
from convoi.ops import (
    AveragePool,
    AveragePoolBackward,
    LpPool,
    LpPoolBackward,
    MaxPool,
    MaxPoolBackward,
)

if TYPE_CHECKING:
    from convoi.compiler.tasks import Task


@rule(MaxPool)
def max_pool(selection: Selection, task: Task) -> None:
    """Select the forward pass."""
    op, (x,) = task.operation(MaxPool), task.node.inputs
    layout, pooled = (selection.layout(value) for value in (x, task.output))
    for node in selection.graph.consumers(x):
        if isinstance(node.op, Winner) and node.name == winners_of(task.node):
            noted, rectified = selection.layout(node.name), node.op.rectified
            noting = winners.MaxPoolWinners(
                layout, noted, pooled, op.size, op.stride, op.padding, rectified
            )
            operands = [ValueOperand(value) for value in (x, node.name, task.output)]
            selection.step(task.output, noting, operands, writes=[task.output, node.name])
            return
    kernel = pool.MaxPool(layout, pooled, op.size, op.stride, op.padding)
    selection.value_step(task, kernel, [ValueOperand(x)])


@rule(Winner)
def winner(selection: Selection, task: Task) -> None:
    """Do nothing: the pool has stored the winners."""
    del selection, task


@rule(WinnerBackward)
def winner_backward(selection: Selection, task: Task) -> None:
    """Select the pass that gives gradients to winners."""
    op, values = task.operation(WinnerBackward).pool, task.node.inputs
    noted, dy, dx = (selection.layout(value) for value in (*values, task.output))
    kernel = winners.WinnerBackward(noted, dy, dx, op.size, op.stride, op.padding)
    selection.value_step(task, kernel, [ValueOperand(value) for value in values])


@rule(MaxPoolBackward)
def max_pool_backward(selection: Selection, task: Task) -> None:
    """Select the backward pass; an absorbed node is the rectifier before the pool."""
    op, values = task.operation(MaxPoolBackward).pool, task.node.inputs
    x, y, dy, dx = (selection.layout(value) for value in (*values, task.output))
    kernel = pool.MaxPoolBackward(
        x, y, dy, dx, op.size, op.stride, op.padding, relu=bool(task.absorbed)
    )
    selection.value_step(task, kernel, [ValueOperand(value) for value in values])


@rule(AveragePool)
def average_pool(selection: Selection, task: Task) -> None:
    """Select the forward pass."""
    op, (x,) = task.operation(AveragePool), task.node.inputs
    kernel = pool.AveragePool(
        selection.layout(x),
        selection.layout(task.output),
        op.size,
        op.stride,
        op.padding,
        op.count_padding,
    )
    selection.value_step(task, kernel, [ValueOperand(x)])


@rule(AveragePoolBackward)
def average_pool_backward(selection: Selection, task: Task) -> None:
    """Select the backward pass."""
    op, (dy,) = task.operation(AveragePoolBackward).pool, task.node.inputs
    kernel = pool.AveragePoolBackward(
        selection.layout(dy),
        selection.layout(task.output),
        op.size,
        op.stride,
        op.padding,
        op.count_padding,
    )
    selection.value_step(task, kernel, [ValueOperand(dy)])


@rule(LpPool)
def lp_pool_forward(selection: Selection, task: Task) -> None:
    """Select the forward pass."""
    op, (x,) = task.operation(LpPool), task.node.inputs
    kernel = lp_pool.LpPool(
        selection.layout(x), selection.layout(task.output), op.size, op.stride, op.padding, op.p
    )
    selection.value_step(task, kernel, [ValueOperand(x)])


@rule(LpPoolBackward)
def lp_pool_backward(selection: Selection, task: Task) -> None:
    """Select the backward pass."""
    op, values = task.operation(LpPoolBackward).pool, task.node.inputs
    x, y, dy, dx = (selection.layout(value) for value in (*values, task.output))
    kernel = lp_pool.LpPoolBackward(x, y, dy, dx, op.size, op.stride, op.padding, op.p)
    selection.value_step(task, kernel, [ValueOperand(value) for value in values])
