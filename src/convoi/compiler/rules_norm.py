"""Rules for batch normalisation in training: moments, passes, and sums of gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.codegen.types import I64
from convoi.compiler.rules_masking import LENGTHS, ends_of
from convoi.compiler.rules_pointwise import channelwise
from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import BlockOperand, GradientOperand, Operand, SumOperand, ValueOperand
from convoi.kernels import moments as moment_kernels
from convoi.kernels import norm
from convoi.kernels.expression import Expression
from convoi.kernels.masking import MaskedMomentsAccumulate
from convoi.kernels.moments import Moment
from convoi.kernels.norm import Coefficient
from convoi.kernels.sources import Tensor
from convoi.ops import (
    BatchMoments,
    BatchNormalize,
    BatchNormBackward,
    BatchNormGradientSums,
    MaskedBatchMoments,
    Row,
)

if TYPE_CHECKING:
    from convoi.compiler.tasks import Task
    from convoi.graph import Node

CHUNKS = BlockOperand("hyper", I64.size)
"""The number of chunks of the batch that is running: the first field of the step's record."""


def _normalize_node(selection: Selection, moments: str) -> Node:
    """Return the node that normalises with some moments."""
    for node in selection.graph.consumers(moments):
        if isinstance(node.op, BatchNormalize):
            return node
    message = f"Nobody normalises with {moments!r}."
    raise LookupError(message)


def _row(selection: Selection, value: str, block: str, row: int, rows: int) -> BlockOperand:
    """Return a row of a block of vectors over the channels of a value."""
    size = selection.layout(value).stride * selection.itemsize
    return BlockOperand(block, rows * size, row * size)


def _coefficients(moments: str) -> str:
    return f"{moments} coefficients"


@rule(BatchMoments, MaskedBatchMoments)
def moments(selection: Selection, task: Task) -> None:
    """Select the sums over each chunk, and what is made of them once all are there."""
    name, op = task.output, task.node.op
    x = task.node.inputs[0]
    layout = selection.layout(x)
    accumulate = moment_kernels.MomentsAccumulate(layout)
    operands: list[Operand] = [ValueOperand(x)]
    if isinstance(op, MaskedBatchMoments):
        accumulate = MaskedMomentsAccumulate(layout, ends_of(op.extent, layout.positions))
        operands = [LENGTHS, *operands]
    bytes_ = accumulate.accumulator_size * selection.itemsize
    sums = f"{name} sums"
    selection.step(sums, accumulate, [*operands, SumOperand(sums, bytes_)], writes=[sums])
    normalize = _normalize_node(selection, name)
    norm_op = normalize.op
    if not isinstance(norm_op, BatchNormalize):
        raise TypeError(norm_op)
    vectors = [selection.vector(p, layout.stride) for p in normalize.parameters]
    selection.step(
        name,
        moment_kernels.MomentsFinish(
            layout.channels, layout.lanes, layout.dtype, norm_op.eps, norm_op.momentum
        ),
        [
            SumOperand(sums, bytes_, whole=True),
            CHUNKS,
            *vectors,
            _row(selection, x, name, 0, len(Moment)),
        ],
        writes=[name],
        needs=[sums],
        whole=True,
    )


@rule(BatchNormalize)
def normalize(selection: Selection, task: Task) -> None:
    """Select the pass that normalises, with what follows it."""
    x, block = task.node.inputs[:2]
    mean, scale = (
        _row(selection, x, block, row, len(Moment)) for row in (Moment.MEAN, Moment.SCALE)
    )
    bias = selection.vector(task.node.parameters[1], selection.layout(x).stride)
    vectors: list[Operand] = [mean, scale, bias]
    channelwise(selection, task, vectors, norm.Normalize(), needs=(block,))


@rule(BatchNormGradientSums)
def gradient_sums(selection: Selection, task: Task) -> None:
    """Select the sums over each chunk, and the gradients that are made of them."""
    name = task.output
    x, block, dy = task.node.inputs
    layout = selection.layout(x)
    accumulate = norm.GradientSumsAccumulate(layout, Expression(1), (Tensor(selection.layout(dy)),))
    bytes_ = accumulate.accumulator_size * selection.itemsize
    sums = f"{name} sums"
    moments_block = _row(selection, x, block, 0, len(Moment))
    selection.step(
        sums,
        accumulate,
        [ValueOperand(x), moments_block, ValueOperand(dy), SumOperand(sums, bytes_)],
        writes=[sums],
        needs=[block],
    )
    rows = {
        node.op.index: selection.gradient(node.name)
        for node in selection.graph.consumers(name)
        if isinstance(node.op, Row)
    }
    dbias, dweight = (_whole(rows[index]) for index in (0, 1))
    coefficients = _row(selection, x, _coefficients(name), 0, len(Coefficient))
    selection.step(
        name,
        norm.GradientSumsFinish(layout.channels, layout.lanes, layout.dtype),
        [SumOperand(sums, bytes_, whole=True), CHUNKS, moments_block, dweight, dbias, coefficients],
        writes=[name],
        needs=[sums],
        whole=True,
    )


def _whole(operand: GradientOperand) -> GradientOperand:
    return GradientOperand(operand.packing, whole=True)


@rule(Row)
def row(selection: Selection, task: Task) -> None:
    """Do nothing: the gradients were stored where the optimiser reads them."""
    del selection, task


@rule(BatchNormBackward)
def backward(selection: Selection, task: Task) -> None:
    """Select the pass that carries the gradient through the normalisation."""
    x, block, dy, sums = task.node.inputs[:4]
    vectors: list[Operand] = [
        _row(selection, x, block, Moment.MEAN, len(Moment)),
        _row(selection, x, block, Moment.SCALE, len(Moment)),
        _row(selection, x, _coefficients(sums), Coefficient.SLOPE, len(Coefficient)),
        _row(selection, x, _coefficients(sums), Coefficient.OFFSET, len(Coefficient)),
    ]
    channelwise(selection, task, vectors, norm.NormBackward(), tensors=(dy, x), needs=(block, sums))
