"""Rules for pooling and its gradients."""

from __future__ import annotations

from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import ValueOperand
from convoi.compiler.tasks import Task
from convoi.kernels import lp_pool, pool
from convoi.ops import (
    AveragePool,
    AveragePoolBackward,
    LpPool,
    LpPoolBackward,
    MaxPool,
    MaxPoolBackward,
)


@rule(MaxPool)
def max_pool(selection: Selection, task: Task) -> None:
    """Select the forward pass."""
    op, (x,) = task.node.op, task.node.inputs
    kernel = pool.MaxPool(
        selection.layout(x), selection.layout(task.output), op.size, op.stride, op.padding
    )
    selection.value_step(task, kernel, [ValueOperand(x)])


@rule(MaxPoolBackward)
def max_pool_backward(selection: Selection, task: Task) -> None:
    """Select the backward pass; an absorbed node is the rectifier before the pool."""
    op, values = task.node.op.pool, task.node.inputs
    layouts = [selection.layout(value) for value in (*values, task.output)]
    kernel = pool.MaxPoolBackward(
        *layouts, op.size, op.stride, op.padding, relu=bool(task.absorbed)
    )
    selection.value_step(task, kernel, [ValueOperand(value) for value in values])


@rule(AveragePool)
def average_pool(selection: Selection, task: Task) -> None:
    """Select the forward pass."""
    op, (x,) = task.node.op, task.node.inputs
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
    op, (dy,) = task.node.op.pool, task.node.inputs
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
def lp(selection: Selection, task: Task) -> None:
    """Select the forward pass."""
    op, (x,) = task.node.op, task.node.inputs
    kernel = lp_pool.LpPool(
        selection.layout(x), selection.layout(task.output), op.size, op.stride, op.padding, op.p
    )
    selection.value_step(task, kernel, [ValueOperand(x)])


@rule(LpPoolBackward)
def lp_backward(selection: Selection, task: Task) -> None:
    """Select the backward pass."""
    op, values = task.node.op.pool, task.node.inputs
    layouts = [selection.layout(value) for value in (*values, task.output)]
    kernel = lp_pool.LpPoolBackward(*layouts, op.size, op.stride, op.padding, op.p)
    selection.value_step(task, kernel, [ValueOperand(value) for value in values])
