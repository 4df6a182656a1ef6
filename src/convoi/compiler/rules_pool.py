"""Rules for pooling and its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import ValueOperand
from convoi.kernels import lp_pool, pool
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
    kernel = pool.MaxPool(
        selection.layout(x), selection.layout(task.output), op.size, op.stride, op.padding
    )
    selection.value_step(task, kernel, [ValueOperand(x)])


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
