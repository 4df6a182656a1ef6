"""Rules for losses, softmax and dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.codegen.types import I64
from convoi.compiler.layouts import Placed
from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import BlockOperand, ExternalOperand, Operand, ValueOperand
from convoi.errors import CompilationError
from convoi.graph import TARGET, WEIGHT, Node
from convoi.kernels import loss as losses
from convoi.kernels import softmax as softmaxes
from convoi.kernels.dropout import DropoutMasked as DropoutKernel
from convoi.kernels.packing import PackTensor
from convoi.ops import (
    CrossEntropy,
    DropoutMasked,
    ElementwiseLoss,
    Loss,
    LossBackward,
    Softmax,
    SoftmaxBackward,
)

if TYPE_CHECKING:
    from convoi.compiler.tasks import Task
    from convoi.kernels.base import Kernel
    from convoi.kernels.layout import Layout

LOSS = "loss"
PACK_TARGET = "pack target"
SEED_BLOCK = BlockOperand("seed", I64.size)


def _gradient_node(selection: Selection, node: Node) -> Node | None:
    """Return the node of a loss's gradient."""
    for other in selection.graph.consumers(node.inputs[0]):
        if isinstance(other.op, LossBackward) and other.inputs == node.inputs:
            return other
    return None


@rule(Loss)
def loss(selection: Selection, task: Task) -> None:
    """Select one kernel for a loss and its gradient."""
    prediction = task.node.inputs[0]
    layout = selection.layout(prediction)
    gradient = _gradient_node(selection, task.node)
    dx = None if gradient is None else selection.layout(gradient.name)
    target, kernel = _target_and_kernel(selection, task.node, layout, dx)
    operands: list[Operand] = [
        ValueOperand(prediction),
        target,
        ExternalOperand(WEIGHT, selection.itemsize),
        ExternalOperand(LOSS, selection.itemsize),
    ]
    writes = [task.output]
    if gradient is not None:
        operands.append(ValueOperand(gradient.name))
        writes.append(gradient.name)
    selection.step(task.output, kernel, operands, writes=writes)


def _target_and_kernel(
    selection: Selection, node: Node, layout: Layout, dx: Layout | None
) -> tuple[Operand, Kernel]:
    """Return where a loss finds its target, and its kernel."""
    op = node.op
    if isinstance(op, CrossEntropy):
        target = ExternalOperand(TARGET, layout.positions * I64.size)
        return target, losses.CrossEntropy(layout, dx, op.label_smoothing)
    if isinstance(op, ElementwiseLoss):
        selection.placed[TARGET] = Placed(layout)
        per_sample = layout.channels * layout.positions * selection.itemsize
        selection.step(
            PACK_TARGET,
            PackTensor(layout),
            [ExternalOperand(TARGET, per_sample), ValueOperand(TARGET)],
            writes=[TARGET],
        )
        return ValueOperand(TARGET), losses.ElementwiseLoss(layout, dx, op)
    message = f"No kernel computes {op!r}, which is a defect of Convoi."
    raise CompilationError(message)


@rule(LossBackward)
def loss_backward(selection: Selection, task: Task) -> None:
    """Do nothing: the loss's kernel computes its gradient."""
    del selection, task


@rule(Softmax)
def softmax(selection: Selection, task: Task) -> None:
    """Select the kernel over channels."""
    (x,) = task.node.inputs
    kernel = softmaxes.Softmax(selection.layout(x), selection.layout(task.output))
    selection.value_step(task, kernel, [ValueOperand(x)])


@rule(SoftmaxBackward)
def softmax_backward(selection: Selection, task: Task) -> None:
    """Select the kernel of the gradient."""
    values = task.node.inputs
    layouts = [selection.layout(value) for value in (*values, task.output)]
    kernel = softmaxes.SoftmaxBackward(*layouts)
    selection.value_step(task, kernel, [ValueOperand(value) for value in values])


@rule(DropoutMasked)
def dropout(selection: Selection, task: Task) -> None:
    """Select the kernel that finds the mask again from the seed, in both directions."""
    x, _ = task.node.inputs
    op = task.operation(DropoutMasked)
    kernel = DropoutKernel(
        selection.layout(x),
        selection.layout(task.output),
        op.threshold,
        1 / (1 - op.rate),
        op.stream,
    )
    selection.value_step(task, kernel, [ValueOperand(x), SEED_BLOCK])
