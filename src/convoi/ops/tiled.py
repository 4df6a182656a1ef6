"""Convolution whose weights repeat every few positions: from local connections to full sharing.

A tile of one position is an ordinary convolution, a tile as large as the output a locally
connected layer, in which every position has weights of its own.
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
from convoi.ops.conv import ChannelSum, Conv, linear_gradient

if TYPE_CHECKING:
    from convoi.ops.grid import Padding
    from convoi.ops.reach import Reach


@register
@dataclass(frozen=True)
class TiledConv(Operation):
    r"""Correlate the input with kernels that repeat every `tile` output positions.

    .. math:: y_{k,p} = b_{k,\; p \bmod t}
              + \sum_{c,r} w_{k,c,r,\; p \bmod t} \, x_{g(k) C/G + c,\; p s - l + r d}

    with the tile *t* and all else as in :class:`~convoi.ops.Conv`. ``t = 1`` is that operation;
    where *t* is the extent of the output, no two positions share weights.

    Parameters: weight ``(K, C / G, *kernel, *tile)``, bias ``(K, *tile)``, or ``(K,)`` with
    `shared_bias`. Shapes: ``(C, *X)`` to ``(K, *P)``, with ``tile <= P``.

    References: K. Gregor and Y. LeCun, "Emergence of complex-like cells in a temporal product
    network with local receptive fields", 2010; J. Ngiam et al., "Tiled convolutional neural
    networks", NIPS 2010.

    Examples
    --------
    >>> local = TiledConv(8, (3,), (1,), ((0, 0),), (1,), tile=(5,))
    >>> local.infer_shape((2, 7))
    (8, 5)
    >>> [spec.shape for spec in local.parameters((2, 7))]
    [(8, 2, 3, 5), (8, 5)]
    """

    name: ClassVar[str] = "tiled_conv"

    filters: int
    kernel: Shape
    stride: Shape
    padding: Padding
    dilation: Shape
    tile: Shape
    groups: int = 1
    bias: bool = True
    shared_bias: bool = False
    flip: bool = False

    def __post_init__(self) -> None:
        """Check the attributes."""
        if self.conv.kernel == ():
            require.invalid_attribute(self, "kernel", "a kernel of at least one axis", self.kernel)
        require.integers(self, "tile", self.tile, low=1, rank=len(self.kernel))
        require.flag(self, "bias", self.bias)
        require.flag(self, "shared_bias", self.shared_bias)

    @property
    def conv(self) -> Conv:
        """The convolution that every position of the tile is, without its bias."""
        return Conv(
            self.filters,
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            bias=False,
            flip=self.flip,
        )

    def weight_shape(self, channels: int) -> Shape:
        """Return the shape of the weight for this number of input channels."""
        return (*self.conv.weight_shape(channels), *self.tile)

    def infer_shape(self, *inputs: Shape) -> Shape:
        output = self.conv.infer_shape(*inputs)
        if any(t > p for t, p in zip(self.tile, output[1:], strict=True)):
            require.invalid_shape(
                self,
                f"the tile {self.tile} is larger than the output, which has {output[1:]} "
                "positions.",
                "Use a tile of at most the output's extents, which shares no weights.",
            )
        return output

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        ((channels, *_),) = inputs
        shape = self.weight_shape(channels)
        fan_in = prod(self.conv.weight_shape(channels)[1:])
        weight = ParameterSpec("weight", shape, ParameterKind.WEIGHT, fan_in)
        biases = (self.filters,) if self.shared_bias else (self.filters, *self.tile)
        bias = ParameterSpec("bias", biases, ParameterKind.BIAS, fan_in)
        return (weight, bias) if self.bias else (weight,)

    def multiply_adds(self, *inputs: Shape) -> int:
        return self.conv.multiply_adds(*inputs)

    def connections(self, *inputs: Shape) -> int:
        return self.conv.connections(*inputs)

    def reaches(self, *inputs: Shape) -> tuple[Reach, ...]:
        return self.conv.reaches(*inputs)

    def reference(self, *arrays: Array) -> Array:
        x, weight, *bias = arrays
        shape = self.infer_shape(x.shape[1:])
        products = _columns(self, x) @ _matrices(self, weight, shape[1:]).swapaxes(-1, -2)
        y = products.transpose(2, 0, 3, 1).reshape(len(x), *shape)
        if not bias:
            return y
        per_tile = bias[0]
        if self.shared_bias:
            per_tile = per_tile.reshape(-1, *(1,) * len(self.tile))
            return y + per_tile
        return y + _repeat(per_tile, self.tile, shape[1:])

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        linear = replace(self, bias=False, shared_bias=False)
        total = ChannelSum() if self.shared_bias else TileSum(self.tile)
        return linear_gradient(
            build,
            use,
            data=lambda shape: TiledConvBackwardData(linear, shape),
            weight=TiledConvBackwardWeight(linear),
            bias=total if self.bias else None,
        )


def _repeat(values: Array, tile: Shape, positions: Shape) -> Array:
    """Repeat what the last axes hold for a tile over all positions."""
    kept = values.ndim - len(tile)
    for axis, (t, p) in enumerate(zip(tile, positions, strict=True), start=kept):
        values = values.take(np.arange(p) % t, axis=axis)
    return values


def _sum_tiles(values: Array, tile: Shape) -> Array:
    """Sum what the last axes hold for all positions over the tiles: the adjoint of _repeat."""
    kept = values.ndim - len(tile)
    total = np.zeros((*values.shape[:kept], *tile), values.dtype)
    for place in np.ndindex(*tile):
        steps = tuple(slice(i, None, t) for i, t in zip(place, tile, strict=True))
        one = tuple(slice(i, i + 1) for i in place)
        axes = tuple(range(kept, values.ndim))
        every = (slice(None),) * kept
        total[every + one] = values[every + steps].sum(axis=axes, keepdims=True)
    return total


def _matrices(op: TiledConv, weight: Array, positions: Shape) -> Array:
    """Return the weight as matrices ``(G, positions, K / G, C / G * taps)``."""
    rank = len(op.kernel)
    if op.flip:
        weight = np.flip(weight, axis=tuple(range(2, 2 + rank)))
    repeated = _repeat(weight, op.tile, positions)
    rows = repeated.reshape(op.groups, op.filters // op.groups, -1, prod(positions))
    return rows.transpose(0, 3, 1, 2)


def _columns(op: TiledConv, x: Array) -> Array:
    """Return the patches as matrices ``(G, positions, n, C / G * taps)``."""
    window = op.conv.window
    positions = prod(op.infer_shape(x.shape[1:])[1:])
    per_group = x.shape[1] // op.groups
    split = (len(x), op.groups, per_group, positions, window.taps)
    patches = window.patches(x).reshape(split)
    columns = patches.transpose(1, 3, 0, 2, 4)
    return columns.reshape(op.groups, positions, len(x), per_group * window.taps)


def _per_position(op: TiledConv, dy: Array) -> Array:
    """Return a gradient as matrices ``(G, positions, n, K / G)``."""
    split = (len(dy), op.groups, op.filters // op.groups, prod(dy.shape[2:]))
    return dy.reshape(split).transpose(1, 3, 0, 2)


@register
@dataclass(frozen=True)
class TiledConvBackwardData(Operation):
    r"""Gradient of a tiled convolution with respect to its input.

    .. math:: dx_{c,q} = \sum_{k,p,r:\; p s - l + r d = q} w_{k,c,r,\; p \bmod t} \, dy_{k,p}

    Shapes: ``(K, *P)`` to ``(C, *X)``, which is `input_shape`. Parameter: the weight.
    """

    name: ClassVar[str] = "tiled_conv_backward_data"
    differentiable: ClassVar[bool] = False

    tiled: TiledConv
    input_shape: Shape

    def infer_shape(self, *inputs: Shape) -> Shape:
        (dy,) = inputs
        require.same(self, "a gradient", self.tiled.infer_shape(self.input_shape), dy)
        return self.input_shape

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        del inputs
        return self.tiled.parameters(self.input_shape)[:1]

    def multiply_adds(self, *inputs: Shape) -> int:
        del inputs
        return self.tiled.multiply_adds(self.input_shape)

    def reference(self, *arrays: Array) -> Array:
        dy, weight = arrays
        op, n = self.tiled, len(dy)
        channels, *spatial = self.input_shape
        columns = _per_position(op, dy) @ _matrices(op, weight, dy.shape[2:])
        split = (*columns.shape[:3], channels // op.groups, op.conv.window.taps)
        patches = columns.reshape(split).transpose(2, 0, 3, 1, 4)
        patches = patches.reshape(n, channels, *dy.shape[2:], *op.kernel)
        return op.conv.window.scatter(patches, tuple(spatial))


@register
@dataclass(frozen=True)
class TiledConvBackwardWeight(Operation):
    r"""Gradient of a tiled convolution with respect to its weight, summed over the batch.

    .. math:: dw_{k,c,r,i} = \sum_{n,\; p:\; p \bmod t = i} dy_{n,k,p} \,
              x_{n,\; g(k) C/G + c,\; p s - l + r d}

    Inputs: x ``(C, *X)`` and dy ``(K, *P)``. Output: ``(K, C / G, *kernel, *tile)`` for the batch.
    """

    name: ClassVar[str] = "tiled_conv_backward_weight"
    arity: ClassVar[int | None] = 2
    domain: ClassVar[Domain] = Domain.BATCH
    differentiable: ClassVar[bool] = False

    tiled: TiledConv

    def infer_shape(self, *inputs: Shape) -> Shape:
        x, dy = inputs
        require.same(self, "a gradient", self.tiled.infer_shape(x), dy)
        return self.tiled.weight_shape(x[0])

    def multiply_adds(self, *inputs: Shape) -> int:
        x, _ = inputs
        return self.tiled.multiply_adds(x)

    def reference(self, *arrays: Array) -> Array:
        x, dy = arrays
        op = self.tiled
        products = _per_position(op, dy).swapaxes(-1, -2) @ _columns(op, x)
        shape = (*op.conv.weight_shape(x.shape[1]), *dy.shape[2:])
        dw = _sum_tiles(products.transpose(0, 2, 3, 1).reshape(shape), op.tile)
        return np.flip(dw, axis=tuple(range(2, 2 + len(op.kernel)))) if op.flip else dw


@register
@dataclass(frozen=True)
class TileSum(Operation):
    r"""Sum over the batch and all tiles: the gradient of a bias that repeats every tile.

    .. math:: y_{c,i} = \sum_{n,\; p:\; p \bmod t = i} x_{n,c,p}

    Shapes: ``(C, *X)`` to ``(C, *tile)`` for the batch.
    """

    name: ClassVar[str] = "tile_sum"
    domain: ClassVar[Domain] = Domain.BATCH
    differentiable: ClassVar[bool] = False

    tile: Shape

    def __post_init__(self) -> None:
        """Check the attribute."""
        require.integers(self, "tile", self.tile, low=1)

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        spatial = require.spatial(self, shape, len(self.tile))
        if any(t > x for t, x in zip(self.tile, spatial, strict=True)):
            require.invalid_shape(
                self, f"the tile {self.tile} is larger than {spatial}.", "Use a smaller tile."
            )
        return (shape[0], *self.tile)

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        return _sum_tiles(x.sum(axis=0), self.tile)
