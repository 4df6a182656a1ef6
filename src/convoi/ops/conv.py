"""Convolution, its gradients, and the gradient of a bias.

One implementation serves 0 to 3 spatial axes. All three products work on the matrix of patches
(``im2col``), which turns them into matrix products per group.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convoi.ops import require
from convoi.ops.base import (
    Array,
    Domain,
    Gradients,
    GraphBuilder,
    Operation,
    ParameterKind,
    ParameterSpec,
    Shape,
    Use,
    register,
)
from convoi.ops.grid import Padding, Window, check_window

if TYPE_CHECKING:
    from collections.abc import Callable

    from convoi.ops.reach import Reach


@register
@dataclass(frozen=True)
class Conv(Operation):
    r"""Correlate the input with a bank of kernels; with `flip`, convolve it.

    .. math:: y_{k,p} = b_k + \sum_{c,r} w_{k,c,r} \, x_{g(k) C/G + c,\; p s - l + r d}

    with stride *s*, low padding *l*, dilation *d* and groups *G*, where filter *k* belongs to
    group :math:`g(k) = \lfloor k G / K \rfloor` and sees only the channels of that group. `flip`
    reverses the kernel along all spatial axes: ``w[k, c, R - 1 - r]`` stands in place of
    ``w[k, c, r]``.

    Parameters: weight ``(K, C / G, *kernel)``, bias ``(K,)``. Shapes: ``(C, *X)`` to ``(K, *P)``.
    With ``kernel=()`` it is a dense layer on ``(C,)``.

    Examples
    --------
    >>> conv = Conv(32, (3, 3), stride=(2, 2), padding=((1, 1), (1, 1)), dilation=(1, 1))
    >>> conv.infer_shape((3, 28, 28))
    (32, 14, 14)
    >>> [spec.shape for spec in conv.parameters((3, 28, 28))]
    [(32, 3, 3, 3), (32,)]
    >>> conv.cost((3, 28, 28)).multiply_adds
    169344
    """

    name: ClassVar[str] = "conv"

    filters: int
    kernel: Shape
    stride: Shape
    padding: Padding
    dilation: Shape
    groups: int = 1
    bias: bool = True
    flip: bool = False

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.integer(self, "filters", self.filters, low=1)
        check_window(self, self.window, size="kernel")
        require.integer(self, "groups", self.groups, low=1)
        require.flag(self, "bias", self.bias)
        require.flag(self, "flip", self.flip)
        if self.filters % self.groups:
            expected = f"a divisor of filters={self.filters}"
            require.invalid_attribute(self, "groups", expected, self.groups)

    @property
    def window(self) -> Window:
        """The geometry of the kernel."""
        return Window(self.kernel, self.stride, self.padding, self.dilation)

    def weight_shape(self, channels: int) -> Shape:
        """Return the shape of the weight for this number of input channels."""
        return (self.filters, channels // self.groups, *self.kernel)

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        spatial = require.spatial(self, shape, len(self.kernel))
        if shape[0] % self.groups:
            require.invalid_shape(
                self,
                f"the {shape[0]} channels of the input cannot be split into {self.groups} groups.",
                "Use a number of groups that divides the number of channels.",
            )
        return (self.filters, *self.window.output(self, spatial, called="kernel"))

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        ((channels, *_),) = inputs
        shape = self.weight_shape(channels)
        fan_in = prod(shape[1:])
        weight = ParameterSpec("weight", shape, ParameterKind.WEIGHT, fan_in)
        bias = ParameterSpec("bias", (self.filters,), ParameterKind.BIAS, fan_in)
        return (weight, bias) if self.bias else (weight,)

    def multiply_adds(self, *inputs: Shape) -> int:
        (shape,) = inputs
        return prod(self.weight_shape(shape[0])) * prod(self.infer_shape(shape)[1:])

    def connections(self, *inputs: Shape) -> int:
        ((channels, *spatial),) = inputs
        seen = self.window.pairs(self, tuple(spatial))
        return self.filters * (channels // self.groups) * seen

    def reaches(self, *inputs: Shape) -> tuple[Reach, ...]:
        del inputs
        return self.window.reaches

    def reference(self, *arrays: Array) -> Array:
        x, weight, *bias = arrays
        y = _rows(self, weight) @ _columns(self, x).swapaxes(-1, -2)
        y = y.reshape(len(x), *self.infer_shape(x.shape[1:]))
        return y + bias[0].reshape(-1, *(1,) * len(self.kernel)) if self.bias else y

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        linear = replace(self, bias=False)
        return linear_gradient(
            build,
            use,
            data=lambda shape: ConvBackwardData(linear, shape),
            weight=ConvBackwardWeight(linear),
            bias=ChannelSum() if self.bias else None,
        )


def linear_gradient(
    build: GraphBuilder,
    use: Use,
    *,
    data: Callable[[Shape], Operation],
    weight: Operation,
    bias: Operation | None,
) -> Gradients:
    """Return the gradients of an operation that is linear in its input, weight and bias.

    `data` makes the gradient with respect to an input of a shape, from dy and the weight; `weight`
    that with respect to the weight, from x and dy; `bias`, if it has one, from dy.
    """
    (x,) = use.inputs
    wanted = [build.needs_gradient(value) for value in (x, *use.parameters)]
    dx = dw = db = None
    if wanted[0]:
        dx = build(data(build.shape(x)), [use.output_gradient], use.parameters[:1])
    if wanted[1]:
        dw = build(weight, [x, use.output_gradient])
    if bias and wanted[2]:
        db = build(bias, [use.output_gradient])
    return Gradients((dx,), (dw, db) if bias else (dw,))


def _rows(conv: Conv, weight: Array) -> Array:
    """Return the weight as one matrix per group: ``(G, K / G, C / G * taps)``."""
    if conv.flip:
        weight = np.flip(weight, axis=tuple(range(2, weight.ndim)))
    return weight.reshape(conv.groups, conv.filters // conv.groups, prod(weight.shape[1:]))


def _columns(conv: Conv, x: Array) -> Array:
    """Return the patches as one matrix per group: ``(n, G, positions, C / G * taps)``."""
    n, channels = x.shape[:2]
    per_group, taps = channels // conv.groups, conv.window.taps
    positions = prod(conv.infer_shape(x.shape[1:])[1:])
    patches = conv.window.patches(x).reshape(n, conv.groups, per_group, positions, taps)
    return patches.swapaxes(2, 3).reshape(n, conv.groups, positions, per_group * taps)


def _per_group(conv: Conv, dy: Array) -> Array:
    """Return a gradient as one matrix per group: ``(n, G, K / G, positions)``."""
    shape = (len(dy), conv.groups, conv.filters // conv.groups, prod(dy.shape[2:]))
    return dy.reshape(shape)


@register
@dataclass(frozen=True)
class ConvBackwardData(Operation):
    r"""Gradient of a convolution with respect to its input (a transposed convolution).

    .. math:: dx_{c,q} = \sum_{k,p,r:\; p s - l + r d = q} w_{k,c,r} \, dy_{k,p}

    Shapes: ``(K, *P)`` to ``(C, *X)``, which is `input_shape`. Parameter: the weight.
    """

    name: ClassVar[str] = "conv_backward_data"
    differentiable: ClassVar[bool] = False

    conv: Conv
    input_shape: Shape

    def infer_shape(self, *inputs: Shape) -> Shape:
        (dy,) = inputs
        require.same(self, "a gradient", self.conv.infer_shape(self.input_shape), dy)
        return self.input_shape

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        del inputs
        return self.conv.parameters(self.input_shape)[:1]

    def multiply_adds(self, *inputs: Shape) -> int:
        del inputs
        return self.conv.multiply_adds(self.input_shape)

    def reference(self, *arrays: Array) -> Array:
        dy, weight = arrays
        conv, n, positions = self.conv, len(dy), prod(dy.shape[2:])
        channels, *spatial = self.input_shape
        columns = _per_group(conv, dy).swapaxes(-1, -2) @ _rows(conv, weight)
        split = (n, conv.groups, positions, channels // conv.groups, conv.window.taps)
        patches = columns.reshape(split).swapaxes(2, 3)
        patches = patches.reshape(n, channels, *dy.shape[2:], *conv.kernel)
        return conv.window.scatter(patches, tuple(spatial))


@register
@dataclass(frozen=True)
class ConvBackwardWeight(Operation):
    r"""Gradient of a convolution with respect to its weight, summed over the batch.

    .. math:: dw_{k,c,r} = \sum_{n,p} dy_{n,k,p} \, x_{n,\; g(k) C/G + c,\; p s - l + r d}

    Inputs: x ``(C, *X)`` and dy ``(K, *P)``. Output: ``(K, C / G, *kernel)`` for the batch.
    """

    name: ClassVar[str] = "conv_backward_weight"
    arity: ClassVar[int | None] = 2
    domain: ClassVar[Domain] = Domain.BATCH
    differentiable: ClassVar[bool] = False

    conv: Conv

    def infer_shape(self, *inputs: Shape) -> Shape:
        x, dy = inputs
        require.same(self, "a gradient", self.conv.infer_shape(x), dy)
        return self.conv.weight_shape(x[0])

    def multiply_adds(self, *inputs: Shape) -> int:
        x, _ = inputs
        return self.conv.multiply_adds(x)

    def reference(self, *arrays: Array) -> Array:
        x, dy = arrays
        conv = self.conv
        dw = (_per_group(conv, dy) @ _columns(conv, x)).sum(axis=0)
        dw = dw.reshape(conv.weight_shape(x.shape[1]))
        return np.flip(dw, axis=tuple(range(2, dw.ndim))) if conv.flip else dw


@register
@dataclass(frozen=True)
class ChannelSum(Operation):
    r"""Sum over the batch and all positions: the gradient of a bias.

    .. math:: y_c = \sum_{n,p} x_{n,c,p}

    Shapes: ``(C, *X)`` to ``(C,)`` for the batch.
    """

    name: ClassVar[str] = "channel_sum"
    domain: ClassVar[Domain] = Domain.BATCH
    differentiable: ClassVar[bool] = False

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return (require.channels(self, shape),)

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        sums: Array = x.sum(axis=(0, *range(2, x.ndim)))
        return sums
