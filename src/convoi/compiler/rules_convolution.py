"""Rules for convolutions and dense layers: forward, and both gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from convoi.compiler import choose, rules_fast
from convoi.compiler.expressions import ExpressionBuilder
from convoi.compiler.layouts import Placed, backward_axes, conv_of, forward_axes, is_depthwise
from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import Operand, ParameterOperand, ValueOperand
from convoi.kernels.channel_sum import ChannelSumAccumulate
from convoi.kernels.correlate import Correlate
from convoi.kernels.depthwise import (
    WAITING,
    DepthwiseCorrelate,
    DepthwiseWeightGradient,
    depthwise_indices,
)
from convoi.kernels.weight_gradient import WeightGradient
from convoi.kernels.weights import WeightLayout
from convoi.ops import Array, ChannelSum, Conv, ConvBackwardData, ConvBackwardWeight, Dense

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.codegen.target import Target
    from convoi.compiler.choose import CorrelateChoice
    from convoi.compiler.tasks import Task
    from convoi.kernels.expression import Expression
    from convoi.kernels.grid import Axis
    from convoi.kernels.layout import Layout


def _conv(task: Task) -> Conv:
    conv = conv_of(task.node)
    if conv is None:
        message = f"{task.node.op!r} is no convolution."
        raise TypeError(message)
    return conv


@rule(Conv, Dense)
def forward(selection: Selection, task: Task) -> None:
    """Select the kernel of a convolution or dense layer with its epilogue."""
    conv = _conv(task)
    node = task.node
    x = selection.placed[node.inputs[0]]
    axes = forward_axes(conv, x.layout.spatial)
    weight, *bias = node.parameters
    y = selection.layout(task.output)
    bias_operands = [selection.vector(bias[0], y.stride)] if bias else []
    if rules_fast.try_forward(selection, task, conv, bias_operands):
        return
    if is_depthwise(conv, x.layout.channels):
        packed = _depthwise_weight(selection, weight, conv, y.lanes)
        _depthwise(selection, task, axes, packed, bias_operands, conv, backward=False)
        return
    channels = (conv.filters, x.layout.channels)
    layout, tile = _weights(conv, channels, x.layout, y, axes, selection.target)
    selection.weight_layouts[weight] = layout
    packed = selection.packed(weight, "forward", _forward_indices(layout, x))
    _correlate(selection, task, axes, packed, bias_operands, (conv, layout, tile))


@rule(ConvBackwardData)
def backward_data(selection: Selection, task: Task) -> None:
    """Select the kernel of the gradient with respect to the input."""
    conv = _conv(task)
    op = task.operation(ConvBackwardData)
    if rules_fast.try_backward(selection, task, conv, op.input_shape):
        return
    weight = task.node.parameters[0]
    dx = selection.placed[task.output]
    axes = backward_axes(conv, op.input_shape[1:])
    if is_depthwise(conv, op.input_shape[0]):
        packed = _depthwise_weight(selection, weight, conv, dx.layout.lanes)
        _depthwise(selection, task, axes, packed, [], conv, backward=True)
        return
    dy, channels = selection.layout(task.node.inputs[0]), (dx.layout.channels, conv.filters)
    layout, tile = _weights(conv, channels, dy, dx.layout, axes, selection.target)
    indices = _backward_indices(layout, dx)
    packed = selection.packed(weight, "backward", indices, transposed=True)
    _correlate(selection, task, axes, packed, [], (conv, layout, tile))


def _weights(  # noqa: PLR0917 - what they are chosen for
    conv: Conv,
    channels: tuple[int, int],
    x: Layout,
    y: Layout,
    axes: tuple[Axis, ...],
    target: Target,
) -> tuple[WeightLayout, CorrelateChoice]:
    """Return how the weights lie, and the tile; channels are those of the output and the input."""
    open_ = WeightLayout(*channels, math.prod(conv.kernel), conv.groups, y.lanes, ())
    return choose.correlate_weights(open_, x.stride, y, axes, target)


@dataclass(frozen=True)
class _Stores:
    """What a convolution's step reads and writes, and what it applies as it stores."""

    operands: list[Operand]
    expression: Expression
    tensors: tuple[Layout, ...]

    @classmethod
    def of(
        cls,
        selection: Selection,
        task: Task,
        packed: ParameterOperand,
        bias: list[ParameterOperand],
    ) -> _Stores:
        """Return those of a task."""
        epilogue = ExpressionBuilder([task.node.name], task.absorbed)
        expression = epilogue.add_nodes(task.absorbed)
        operands: list[Operand] = [ValueOperand(task.node.inputs[0]), packed, *bias]
        operands += [ValueOperand(value) for value in epilogue.tensors]
        return cls(operands, expression, tuple(map(selection.layout, epilogue.tensors)))


def _depthwise(  # noqa: PLR0917 - the parts of a convolution
    selection: Selection,
    task: Task,
    axes: tuple[Axis, ...],
    packed: ParameterOperand,
    bias: list[ParameterOperand],
    conv: Conv,
    *,
    backward: bool,
) -> None:
    """Add the step of a depthwise convolution."""
    source = task.node.inputs[0]
    y = selection.layout(task.output)
    stores = _Stores.of(selection, task, packed, bias)
    kernel = DepthwiseCorrelate(
        selection.layout(source),
        y,
        axes,
        conv.kernel,
        choose.depthwise_columns(selection.target),
        bool(bias),
        stores.expression,
        stores.tensors,
        divided=not backward and selection.divides(y, WAITING * math.prod(conv.kernel)),
        by_channels=_is_shared_by_channels(selection, source),
    )
    selection.value_step(task, kernel, stores.operands)


def _correlate(  # noqa: PLR0917 - the parts of a convolution
    selection: Selection,
    task: Task,
    axes: tuple[Axis, ...],
    packed: ParameterOperand,
    bias: list[ParameterOperand],
    chosen: tuple[Conv, WeightLayout, CorrelateChoice],
) -> None:
    """Add the step of a direct kernel."""
    conv, layout, choice = chosen
    y = selection.layout(task.output)
    stores = _Stores.of(selection, task, packed, bias)
    selection.tile_samples = max(selection.tile_samples, choice.tile.samples)
    in_one_grid = all(len(runs) == 1 for runs in axes)
    kernel = Correlate(
        selection.layout(task.node.inputs[0]),
        y,
        layout,
        axes,
        conv.kernel,
        choice.tile,
        bool(bias),
        stores.expression,
        stores.tensors,
        divided=in_one_grid and selection.divides(y, layout.taps * layout.reduction),
        values_once=not layout.per_lane
        and choose.loads_values_once(axes, choice, selection.target),
    )
    selection.value_step(task, kernel, stores.operands)


def _is_shared_by_channels(selection: Selection, value: str) -> bool:
    """Tell whether threads share the channels of a value, or else its rows."""
    root = selection.root(value)
    for step in reversed(selection.steps):
        if root in map(selection.root, step.writes):
            return isinstance(step.kernel, Correlate) and step.kernel.blocks_outermost
    return False


@rule(ConvBackwardWeight)
def backward_weight(selection: Selection, task: Task) -> None:
    """Select the kernel of the gradient with respect to the weight."""
    conv = _conv(task)
    x_value, dy_value = task.node.inputs
    x, dy = selection.placed[x_value], selection.placed[dy_value]
    axes = forward_axes(conv, x.layout.spatial)
    gradient = selection.gradient(task.output)
    if rules_fast.try_gradient(selection, task, conv, gradient):
        return
    operands: list[Operand] = [ValueOperand(x_value), ValueOperand(dy_value)]
    if is_depthwise(conv, x.layout.channels):
        taps = choose.depthwise_taps(selection.target)
        kernel: WeightGradient | DepthwiseWeightGradient = DepthwiseWeightGradient(
            x.layout, dy.layout, axes, conv.kernel, taps
        )
    else:
        weight = selection.gradient_of[task.output]
        layout = selection.weight_layouts[weight]
        tile = choose.gradient_tile(layout, conv.kernel, dy.layout.positions, selection.target)
        mask = _mask(layout, x)
        if mask is not None:
            operands.append(selection.constant(f"{weight} mask", mask))
        streaming = layout.size * selection.itemsize >= choose.STREAMED_BYTES
        products = layout.taps * layout.reduction
        kernel = WeightGradient(
            x.layout,
            dy.layout,
            layout,
            axes,
            conv.kernel,
            tile,
            mask is not None,
            streaming,
            divided=not layout.per_lane and selection.divides(dy.layout, products),
        )
    selection.step(task.output, kernel, [*operands, gradient], writes=[task.output])


@rule(ChannelSum)
def bias_gradient(selection: Selection, task: Task) -> None:
    """Select the kernel of the gradient of a bias."""
    (dy,) = task.node.inputs
    kernel = ChannelSumAccumulate(selection.layout(dy))
    operands: list[Operand] = [ValueOperand(dy), selection.gradient(task.output)]
    selection.step(task.output, kernel, operands, writes=[task.output])


def _depthwise_weight(
    selection: Selection, weight: str, conv: Conv, lanes: int
) -> ParameterOperand:
    indices = depthwise_indices(conv.filters, math.prod(conv.kernel), lanes)
    return selection.packed(weight, "forward", indices)


def _forward_indices(layout: WeightLayout, x: Placed) -> NDArray[np.int64]:
    """Return the packed elements' places in a weight; a flattened grid is read as it lies."""
    features = x.feature_map()
    if features is None:
        return layout.forward_indices()
    k, _, c = layout.coordinates()
    return np.where((k < 0) | (features[c] < 0), -1, k * int(features.max() + 1) + features[c])


def _backward_indices(layout: WeightLayout, dx: Placed) -> NDArray[np.int64]:
    """Return the same for the gradient with respect to the input."""
    features = dx.feature_map()
    if features is None:
        return layout.backward_indices()
    c, _, k = layout.coordinates()
    feature = np.where(c < 0, -1, features[c])
    return np.where(feature < 0, -1, k * int(features.max() + 1) + feature)


def _mask(layout: WeightLayout, x: Placed) -> Array | None:
    """Return a one for each weight of a tap and a zero for padding that would not stay zero."""
    features = x.feature_map()
    padded_features = features is not None and bool((features < 0).any())
    if (layout.groups == 1 or layout.per_lane) and not padded_features:
        return None
    k, _, c = replace(layout, taps=1).coordinates()
    keep = k >= 0
    if features is not None:
        keep &= features[c] >= 0
    return keep.astype(float)
