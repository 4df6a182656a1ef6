"""Rules for convolutions that forms of fast convolution compute."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from convoi.compiler.choose import STREAMED_BYTES
from convoi.compiler.choose_fast import (
    FastChoice,
    FastGradientChoice,
    backward_choice,
    forward_choice,
    gradient_choice,
    gradient_tile,
    shared_choice,
)
from convoi.compiler.expressions import ExpressionBuilder
from convoi.compiler.rules_norm import CHUNKS
from convoi.compiler.steps import (
    BlockOperand,
    FastPacking,
    GradientOperand,
    Operand,
    ParameterOperand,
    ScratchOperand,
    SumOperand,
    ValueOperand,
)
from convoi.kernels.fast_correlate import FastCorrelate
from convoi.kernels.fast_weights import (
    FastGradientFinish,
    FastWeightGradient,
    FastWeights,
    transformed_size,
)
from convoi.kernels.forms import form_named
from convoi.kernels.weights import WeightLayout
from convoi.runtime.buffers import ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.compiler.select import Selection
    from convoi.compiler.tasks import Task
    from convoi.ops import Conv

SUMS = " sums"
"""Ends the labels of calls that sum up a gradient for another one to finish."""


def try_forward(
    selection: Selection, task: Task, conv: Conv, bias: Sequence[ParameterOperand]
) -> bool:
    """Select the fast kernel for a forward pass where it is the better one."""
    if not selection.fast:
        return False
    shape = selection.graph.shape(task.node.inputs[0])
    choice = forward_choice(conv, shape, selection.dtype, selection.target)
    if choice is None:
        return False
    weight = task.node.parameters[0]
    lanes = selection.layout(task.output).lanes
    if not selection.training:
        choice = shared_choice(choice, selection.target, lanes)
    layout = _weight_layout(conv.filters, shape[0], choice, lanes, conv)
    selection.weight_layouts[weight] = layout
    _correlate(selection, task, choice, layout, bias, turned=conv.flip, backward=False)
    return True


def try_backward(selection: Selection, task: Task, conv: Conv, shape: tuple[int, ...]) -> bool:
    """Select the fast kernel for the gradient with respect to an input of this shape."""
    if not selection.fast:
        return False
    choice = backward_choice(conv, shape, selection.dtype, selection.target)
    if choice is None:
        return False
    lanes = selection.layout(task.output).lanes
    layout = _weight_layout(shape[0], conv.filters, choice, lanes, conv)
    _correlate(selection, task, choice, layout, (), turned=not conv.flip, backward=True)
    return True


def try_gradient(selection: Selection, task: Task, conv: Conv, gradient: GradientOperand) -> bool:
    """Select the fast kernels for the gradient of the weights."""
    if not selection.fast:
        return False
    x = task.node.inputs[0]
    choice = gradient_choice(conv, selection.graph.shape(x), selection.dtype, selection.target)
    if choice is None:
        return False
    _weight_gradient(selection, task, conv, choice, gradient)
    return True


def _weight_layout(
    outputs: int, inputs: int, choice: FastChoice, lanes: int, conv: Conv
) -> WeightLayout:
    taps = math.prod(conv.kernel)
    return WeightLayout(outputs, inputs, taps, 1, lanes, choice.product.blocks)


def _correlate(
    selection: Selection,
    task: Task,
    choice: FastChoice,
    layout: WeightLayout,
    bias: Sequence[ParameterOperand],
    *,
    turned: bool,
    backward: bool,
) -> None:
    """Add the step of a convolution, and before all samples that of its weights' transform."""
    node = task.node
    source, weight = node.inputs[0], node.parameters[0]
    x, y = selection.layout(source), selection.layout(task.output)
    epilogue = ExpressionBuilder([node.name], task.absorbed)
    expression = epilogue.add_nodes(task.absorbed)
    tensors = tuple(selection.layout(value) for value in epilogue.tensors)
    kernel = FastCorrelate(
        x,
        y,
        choice.tiling,
        choice.offset,
        choice.product,
        bool(bias),
        expression,
        tensors,
        divided=selection.divides(y, layout.taps * layout.inputs // 2),
    )
    u, needs = _transformed(selection, weight, choice, layout, turned=turned, backward=backward)
    operands: list[Operand] = [
        ValueOperand(source),
        u,
        *bias,
        *(ValueOperand(value) for value in epilogue.tensors),
        ScratchOperand(kernel.scratch_elements * selection.itemsize),
    ]
    selection.value_step(task, kernel, operands, needs=needs)


def _transformed(
    selection: Selection,
    weight: str,
    choice: FastChoice,
    layout: WeightLayout,
    *,
    turned: bool,
    backward: bool,
) -> tuple[Operand, tuple[str, ...]]:
    """Return the transformed weights, and the step that makes them if there is one."""
    form, rank = choice.tiling.form, len(choice.tiling.axes)
    indices = layout.backward_indices() if backward else layout.forward_indices()
    word = "backward" if backward else "forward"
    name = f"{weight} transformed {word}"
    if not selection.training:
        matrix = form_named(form).weight_matrix(rank)
        kind = selection.graph.parameters[weight].kind
        selection.packings[name] = FastPacking(
            name, weight, kind, indices, layout=layout, matrix=matrix, turned=turned
        )
        return ParameterOperand(name), ()
    packed = selection.packed(weight, word, indices, transposed=backward)
    size = transformed_size(layout, form, rank) * selection.itemsize
    block = BlockOperand(name, size)
    # A vector that fills a line of the cache needs nothing of what the line held.
    whole_lines = layout.lanes * selection.itemsize == ALIGNMENT
    streaming = whole_lines and size >= STREAMED_BYTES
    selection.step(
        name,
        FastWeights(layout, form, rank, selection.dtype, turned, streaming=streaming),
        [packed, block],
        writes=[name],
        whole=True,
        units=choice.tiling.stacked * layout.inputs,
    )
    return block, (name,)


def _weight_gradient(
    selection: Selection,
    task: Task,
    conv: Conv,
    choice: FastGradientChoice,
    gradient: GradientOperand,
) -> None:
    """Add the step that sums over a chunk, and the one that transforms the sums back."""
    x, dy = task.node.inputs
    weight = selection.gradient_of[task.output]
    layout = selection.weight_layouts[weight]
    form, rank = choice.tiling.form, len(choice.tiling.axes)
    kernel = FastWeightGradient(
        selection.layout(x),
        selection.layout(dy),
        layout,
        choice.tiling,
        choice.offset,
        gradient_tile(layout.blocks, layout.inputs, selection.target),
        divided=selection.divides(selection.layout(dy), layout.taps * layout.inputs // 2),
    )
    sums = task.output + SUMS
    elements = transformed_size(layout, form, rank)
    selection.transformed_sums += elements
    size = elements * selection.itemsize
    selection.step(
        sums,
        kernel,
        [
            ValueOperand(x),
            ValueOperand(dy),
            ScratchOperand(kernel.scratch_elements * selection.itemsize),
            SumOperand(sums, size),
        ],
        writes=[sums],
    )
    selection.step(
        task.output,
        FastGradientFinish(layout, form, rank, selection.dtype, conv.flip),
        [
            SumOperand(sums, size, whole=True),
            CHUNKS,
            GradientOperand(gradient.packing, whole=True),
        ],
        writes=[task.output],
        needs=[sums],
        whole=True,
        units=choice.tiling.stacked * layout.inputs,
    )
