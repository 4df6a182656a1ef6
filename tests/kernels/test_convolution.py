"""Direct convolution kernels against the NumPy definition of the operation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from convoi.compiler import choose
from convoi.compiler.layouts import backward_axes, forward_axes, is_depthwise
from convoi.kernels.arrays import from_layout, to_layout
from convoi.kernels.correlate import Correlate
from convoi.kernels.depthwise import (
    DepthwiseCorrelate,
    DepthwiseWeightGradient,
    depthwise_indices,
)
from convoi.kernels.expression import Expression
from convoi.kernels.grid import reaches
from convoi.kernels.layout import Layout
from convoi.kernels.weight_gradient import WeightGradient
from convoi.kernels.weights import WeightLayout
from convoi.ops import Conv, ConvBackwardData, ConvBackwardWeight, ReLU
from convoi.runtime.buffers import aligned_zeros
from tests.kernels.harness import ALL_TARGETS, call_kernel, target_named


@dataclass(frozen=True)
class Case:
    """A convolution on an input of some shape."""

    conv: Conv
    shape: tuple[int, ...]

    def __str__(self) -> str:
        conv = self.conv
        words = f"{self.shape}-{conv.filters}-k{conv.kernel}-s{conv.stride}-p{conv.padding}"
        return f"{words}-d{conv.dilation}-g{conv.groups}{'-flip' if conv.flip else ''}"


def case(shape, filters, kernel, stride=1, padding=0, dilation=1, groups=1, *, flip=False) -> Case:
    rank = len(shape) - 1

    def each(value):
        return (value,) * rank if isinstance(value, int) else value

    pads = tuple(p if isinstance(p, tuple) else (p, p) for p in each(padding))
    conv = Conv(
        filters, each(kernel), each(stride), pads, each(dilation), groups, bias=False, flip=flip
    )
    return Case(conv, shape)


CASES = [
    case((1, 9, 11), 5, 3, padding=1),
    case((3, 8, 8), 16, 3, padding=1),
    case((4, 7, 6), 17, (3, 2), padding=((1, 1), (0, 1)), flip=True),
    case((5, 9, 7), 33, 3, stride=2, padding=1),
    case((15, 10, 9), 4, 3, stride=(2, 3), padding=(0, 2)),
    case((16, 8, 7), 16, 3, padding=2, dilation=2),
    case((6, 11, 11), 15, 5, stride=3, padding=2, dilation=2),
    case((16, 5, 5), 40, 1),
    case((17, 4, 4), 7, 1, stride=2),
    case((33,), 10, ()),
    case((16,), 130, ()),
    case((2, 40), 20, 8, padding=((3, 4),)),
    case((5, 90), 6, 39, padding=((19, 19),)),
    case((3, 5, 4, 6), 9, 3, padding=1, stride=(1, 2, 1)),
    case((12, 7, 7), 24, 3, padding=1, groups=3),
    case((8, 6, 6), 16, 3, padding=1, groups=4),
    case((10, 6, 6), 10, 3, padding=1, groups=5, stride=2),
    case((18, 5, 5), 6, 2, groups=6),
    case((32, 6, 7), 32, 3, padding=1, groups=8),
    case((32, 9), 32, 5, padding=2, groups=16, stride=2),
    case((64, 5, 5), 32, 3, padding=1, groups=8),
    case((16, 7, 5), 48, (3, 2), groups=8, dilation=(1, 2)),
    case((40, 30, 3), 40, 3, padding=1, groups=10),
    case((32, 4, 4), 32, 3, padding=1, groups=4, flip=True),
    case((16, 7, 7), 16, 3, padding=1, groups=16),
    case((20, 9, 8), 20, (5, 3), stride=2, padding=(2, 1), groups=20),
    case((5, 30), 5, 9, padding=((4, 4),), dilation=2, groups=5, flip=True),
    case((64, 4, 4), 80, 3, padding=1),
]
TARGETS = pytest.mark.parametrize("cpu", ALL_TARGETS)
EACH_CASE = pytest.mark.parametrize("example", CASES, ids=str)
TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


def dtype_for(example: Case) -> str:
    """Return float64 for every third case, so that both are covered at every width."""
    return "float64" if CASES.index(example) % 3 == 2 else "float32"


def lay_out(channels, spatial, dtype, target, halo=(), *, padded=True) -> Layout:
    lanes = choose.lanes_for(channels, dtype, target) if padded else 1
    return Layout(channels, tuple(spatial), lanes, dtype, halo)


def pack(weight, indices, dtype):
    packed = aligned_zeros(indices.size, dtype)
    packed[:] = np.append(weight.ravel(), 0)[indices]
    return packed


def arrays(example: Case, dtype: str, n: int = 3):
    rng = np.random.default_rng(7)
    out = example.conv.infer_shape(example.shape)
    shapes = ((n, *example.shape), example.conv.weight_shape(example.shape[0]), (n, *out))
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def check(got, want, dtype) -> None:
    scale = np.abs(want).max()
    assert np.abs(got - want).max() <= TOLERANCE[dtype] * max(scale, 1e-3) * 4


@TARGETS
@EACH_CASE
def test_forward_equals_its_definition(example: Case, cpu: str) -> None:
    target, dtype, conv = target_named(cpu), dtype_for(example), example.conv
    x, weight, _ = arrays(example, dtype)
    axes = forward_axes(conv, x.shape[2:])
    dense = not is_depthwise(conv, x.shape[1])
    x_layout = lay_out(
        x.shape[1], x.shape[2:], dtype, target, reaches(axes, x.shape[2:]), padded=not dense
    )
    y_layout = lay_out(conv.filters, conv.infer_shape(example.shape)[1:], dtype, target)
    relu = Expression(1).then(ReLU(), 0)
    bias = np.random.default_rng(1).standard_normal(conv.filters).astype(dtype)
    taps = math.prod(conv.kernel)
    if dense:
        weights = WeightLayout(conv.filters, x.shape[1], taps, conv.groups, y_layout.lanes, ())
        layout, choice = choose.correlate_weights(weights, x_layout.stride, y_layout, axes, target)
        packed = pack(weight, layout.forward_indices(), dtype)
        kernel = Correlate(
            x_layout, y_layout, layout, axes, conv.kernel, choice.tile, bias=True, epilogue=relu
        )
    else:
        packed = pack(weight, depthwise_indices(conv.filters, taps, y_layout.lanes), dtype)
        kernel = DepthwiseCorrelate(
            x_layout, y_layout, axes, conv.kernel, 6, bias=True, epilogue=relu
        )
    padded_bias = aligned_zeros(y_layout.stride, dtype)
    padded_bias[: conv.filters] = bias
    y = aligned_zeros(len(x) * y_layout.size, dtype)
    call_kernel(
        kernel, [to_layout(x, x_layout), packed, padded_bias, y], count=len(x), target=target
    )
    want = conv.reference(x, weight) + bias.reshape(-1, *(1,) * len(conv.kernel))
    check(from_layout(y, y_layout), np.maximum(want, 0), dtype)


@TARGETS
@EACH_CASE
def test_backward_data_equals_its_definition(example: Case, cpu: str) -> None:
    target, dtype, conv = target_named(cpu), dtype_for(example), example.conv
    x, weight, dy = arrays(example, dtype)
    axes = backward_axes(conv, x.shape[2:])
    dy_layout = lay_out(conv.filters, dy.shape[2:], dtype, target, reaches(axes, dy.shape[2:]))
    dx_layout = lay_out(x.shape[1], x.shape[2:], dtype, target, ((1, 2),) * len(x.shape[2:]))
    taps = math.prod(conv.kernel)
    if is_depthwise(conv, x.shape[1]):
        packed = pack(weight, depthwise_indices(conv.filters, taps, dx_layout.lanes), dtype)
        kernel = DepthwiseCorrelate(dy_layout, dx_layout, axes, conv.kernel, 8)
    else:
        weights = WeightLayout(x.shape[1], conv.filters, taps, conv.groups, dx_layout.lanes, ())
        layout, choice = choose.correlate_weights(
            weights, dy_layout.stride, dx_layout, axes, target
        )
        packed = pack(weight, layout.backward_indices(), dtype)
        ahead = dy_layout.size if conv.kernel else 0
        kernel = Correlate(
            dy_layout,
            dx_layout,
            layout,
            axes,
            conv.kernel,
            choice.tile,
            ahead=ahead,
            values_once=not layout.per_lane,
        )
    dx = aligned_zeros(len(x) * dx_layout.size, dtype)
    call_kernel(kernel, [to_layout(dy, dy_layout), packed, dx], count=len(x), target=target)
    want = ConvBackwardData(conv, example.shape).reference(dy, weight)
    check(from_layout(dx, dx_layout), want, dtype)


@TARGETS
@EACH_CASE
@pytest.mark.parametrize("streaming", [False, True], ids=["cached", "streaming"])
def test_backward_weight_equals_its_definition(example: Case, cpu: str, streaming: bool) -> None:
    target, dtype, conv = target_named(cpu), dtype_for(example), example.conv
    x, weight, dy = arrays(example, dtype)
    axes = forward_axes(conv, x.shape[2:])
    depthwise = is_depthwise(conv, x.shape[1])
    x_layout = lay_out(
        x.shape[1], x.shape[2:], dtype, target, reaches(axes, x.shape[2:]), padded=depthwise
    )
    dy_layout = lay_out(conv.filters, dy.shape[2:], dtype, target)
    taps = math.prod(conv.kernel)
    buffers = [to_layout(x, x_layout), to_layout(dy, dy_layout)]
    if depthwise:
        indices = depthwise_indices(conv.filters, taps, dy_layout.lanes)
        kernel = DepthwiseWeightGradient(x_layout, dy_layout, axes, conv.kernel, 8)
    else:
        weights = WeightLayout(conv.filters, x.shape[1], taps, conv.groups, dy_layout.lanes, ())
        layout, _ = choose.correlate_weights(weights, x_layout.stride, dy_layout, axes, target)
        indices = layout.forward_indices()
        tile = choose.gradient_tile(layout, conv.kernel, dy_layout.positions, target)
        masked = conv.groups > 1 and not layout.per_lane
        if masked:
            k, _, _ = replace(layout, taps=1).coordinates()
            mask = aligned_zeros(k.size, dtype)
            mask[:] = k >= 0
            buffers.append(mask)
        ahead = (x_layout.stride, dy_layout.stride) if streaming else (0, 0)
        kernel = WeightGradient(
            x_layout, dy_layout, layout, axes, conv.kernel, tile, masked, streaming, ahead
        )
    dw = aligned_zeros(indices.size, dtype)
    dw[:] = np.nan
    call_kernel(kernel, [*buffers, dw], count=len(x), target=target)
    call_kernel(kernel, [*buffers, dw], count=len(x), fresh=False, target=target)
    got = np.zeros(weight.size, dtype)
    got[indices[indices >= 0]] = dw[indices >= 0]
    want = 2 * ConvBackwardWeight(conv).reference(x, dy)
    check(got.reshape(weight.shape), want, dtype)
    assert not dw[indices < 0].any()


@TARGETS
def test_groups_within_a_vector_are_not_multiplied_by_zero(cpu: str) -> None:
    target = target_named(cpu)
    lanes = target.lanes("float32")
    y = Layout(4 * lanes, (6, 7), lanes, "float32")
    axes = forward_axes(case((4 * lanes, 6, 7), 4 * lanes, 3, padding=1).conv, (6, 7))
    weights = WeightLayout(4 * lanes, 4 * lanes, 9, 2 * lanes, lanes, ())
    layout, _ = choose.correlate_weights(weights, y.stride, y, axes, target)
    assert layout.per_lane
    assert layout.size == 4 * lanes * 9 * 2
    unpadded, _ = choose.correlate_weights(weights, y.stride - 1, y, axes, target)
    assert not unpadded.per_lane  # a vector would reach beyond the last position
