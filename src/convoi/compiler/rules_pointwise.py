"""Rules for operations on each element by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convoi.compiler.channelwise import ChannelAffine, ChannelScale
from convoi.compiler.expressions import ExpressionBuilder
from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import Operand, ValueOperand
from convoi.kernels.expression import Affine, Formula
from convoi.kernels.pointwise import Pointwise as PointwiseKernel
from convoi.kernels.sources import Channels, Source, Tensor
from convoi.ops import Add, Pointwise, PointwiseBackward

if TYPE_CHECKING:
    from convoi.compiler.tasks import Task


@rule(Pointwise, PointwiseBackward, Add)
def pointwise(selection: Selection, task: Task) -> None:
    """Select one pass over memory for a chain of pointwise operations."""
    builder = ExpressionBuilder([], task.nodes)
    expression = builder.add_nodes(task.nodes)
    sources: tuple[Source, ...] = tuple(Tensor(selection.layout(v)) for v in builder.tensors)
    kernel = PointwiseKernel(expression, sources, selection.layout(task.output))
    selection.value_step(task, kernel, [ValueOperand(value) for value in builder.tensors])


@rule(ChannelAffine)
def channel_affine(selection: Selection, task: Task) -> None:
    """Select the pass of a normalisation with known statistics."""
    scale, shift = task.node.parameters
    size = selection.layout(task.output).stride
    vectors: list[Operand] = [selection.vector(scale, size), selection.vector(shift, size)]
    channelwise(selection, task, vectors, Affine())


@rule(ChannelScale)
def channel_scale(selection: Selection, task: Task) -> None:
    """Select the pass of the gradient of a normalisation with known statistics."""
    size = selection.layout(task.output).stride
    zeros = selection.constant(f"{size} zeros", np.zeros(size))
    vectors: list[Operand] = [selection.vector(task.node.parameters[0], size), zeros]
    channelwise(selection, task, vectors, Affine())


def channelwise(
    selection: Selection,
    task: Task,
    vectors: list[Operand],
    formula: Formula,
    *,
    tensors: tuple[str, ...] | None = None,
    needs: tuple[str, ...] = (),
) -> None:
    """Select a pass whose first formula takes tensors and vectors of a value per channel.

    The formula's operands are the tensors (by default the node's first input), then the vectors.
    """
    node = task.node
    tensors = tensors or node.inputs[:1]
    start = [*tensors, *(f"vector {i}" for i in range(len(vectors)))]
    extra = ExpressionBuilder([*start, node.name], task.absorbed).tensors
    builder = ExpressionBuilder([*start, *extra], ())
    builder.name_result(node.name, builder.apply(formula, range(len(start))))
    expression = builder.add_nodes(task.absorbed)
    sources: tuple[Source, ...] = (
        *(Tensor(selection.layout(value)) for value in tensors),
        *(Channels() for _ in vectors),
        *(Tensor(selection.layout(value)) for value in extra),
    )
    kernel = PointwiseKernel(expression, sources, selection.layout(task.output))
    operands: list[Operand] = [ValueOperand(value) for value in tensors]
    operands += vectors
    operands += [ValueOperand(value) for value in extra]
    selection.value_step(task, kernel, operands, needs=needs)
