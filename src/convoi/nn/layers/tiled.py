"""Layers between dense and convolutional: local connections, and weights that repeat in tiles."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from convoi import ops
from convoi.checks import check_integer, refusal
from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.nn.layers.arguments import ConvPaddingLike, PerAxis, check_axes, check_ranks, for_axes
from convoi.nn.layers.base import Layer, store
from convoi.nn.layers.sliding import check_groups, check_kernel, convolution

if TYPE_CHECKING:
    from convoi.nn.layers.base import Tracer

BiasLike: TypeAlias = bool | Literal["shared"]
"""True: as many as the weights have places in a tile; ``"shared"``: one per filter; False: none."""


@dataclass(frozen=True, repr=False)
class LocallyConnected(Layer):
    r"""Convolution without sharing: every output position has weights of its own.

    .. math:: y_{k,p} = b_{k,p} + \sum_{c,r} w_{k,c,r,p} \, x_{c,\; p s - l + r d}

    It sees what a :class:`Conv` of the same arguments sees, and multiplies as often; but it has as
    many times the parameters as the output has positions, and what it learns at one place it does
    not know at another. It suits inputs whose places differ, such as aligned faces.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int or sequence of int
        Extent of the kernels along every spatial axis, or along each.
    stride, padding, dilation, groups, flip
        As those of :class:`Conv`.
    bias : bool or {"shared"}
        True: a number per filter and position. ``"shared"``: a number per filter. False: none.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument has a type or value that it may not have.

    Notes
    -----
    Parameters: ``weight`` of shape ``(filters, channels / groups, *kernel_size, *positions)``, so
    that ``weight[..., i, j]`` is the weight of a :class:`Conv` for the position (i, j), and
    ``bias`` of shape ``(filters, *positions)`` or ``(filters,)``.

    References
    ----------
    Y. LeCun, "Generalization and network design strategies", 1989. K. Gregor and Y. LeCun,
    "Emergence of complex-like cells in a temporal product network with local receptive fields",
    2010.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.LocallyConnected(8, 3), input_shape=(1, 10, 10))
    >>> network.output_shape
    (8, 8, 8)
    >>> network.parameters["weight"].shape
    (8, 1, 3, 3, 8, 8)
    """

    filters: int
    kernel_size: PerAxis
    _: KW_ONLY
    stride: PerAxis = 1
    padding: ConvPaddingLike = "valid"
    dilation: PerAxis = 1
    groups: int = 1
    bias: BiasLike = True
    flip: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check(self, "LocallyConnected")

    def trace(self, tracer: Tracer, value: str) -> str:
        conv = convolution(self, "LocallyConnected", self.filters, self.groups, tracer.shape(value))
        positions = conv.infer_shape(tracer.shape(value))[1:]
        return tracer.operation(_tiled(conv, positions, self.bias), value)


@dataclass(frozen=True, repr=False)
class TiledConv(Layer):
    r"""Convolution whose weights repeat every few positions.

    .. math:: y_{k,p} = b_{k,\; p \bmod t}
              + \sum_{c,r} w_{k,c,r,\; p \bmod t} \, x_{c,\; p s - l + r d}

    with the tile *t*: neighbours have different weights, positions that are *t* apart the same.
    ``tile=1`` is :class:`Conv`, a tile as large as the output is :class:`LocallyConnected`.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int or sequence of int
        Extent of the kernels along every spatial axis, or along each.
    tile : int or sequence of int
        After how many positions the weights repeat, along every spatial axis or along each. More
        than the output has positions means that none of them share weights.
    stride, padding, dilation, groups, flip
        As those of :class:`Conv`.
    bias : bool or {"shared"}
        True: a number per filter and position of the tile. ``"shared"``: a number per filter.
        False: none.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument has a type or value that it may not have.

    Notes
    -----
    Parameters: ``weight`` of shape ``(filters, channels / groups, *kernel_size, *tile)``, so that
    ``weight[..., i, j]`` is the weight of a :class:`Conv` for the positions (i, j), (i, j + t), …,
    and ``bias`` of shape ``(filters, *tile)`` or ``(filters,)``.

    References
    ----------
    J. Ngiam et al., "Tiled convolutional neural networks", NIPS 2010.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.TiledConv(8, 3, tile=2), input_shape=(1, 10, 10))
    >>> network.output_shape
    (8, 8, 8)
    >>> network.parameters["weight"].shape
    (8, 1, 3, 3, 2, 2)
    """

    filters: int
    kernel_size: PerAxis
    _: KW_ONLY
    tile: PerAxis
    stride: PerAxis = 1
    padding: ConvPaddingLike = "valid"
    dilation: PerAxis = 1
    groups: int = 1
    bias: BiasLike = True
    flip: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check(self, "TiledConv")
        store(self, tile=check_axes(self.tile, "tile", "TiledConv", minimum=1))
        check_ranks("TiledConv", kernel_size=self.kernel_size, tile=self.tile)

    def trace(self, tracer: Tracer, value: str) -> str:
        conv = convolution(self, "TiledConv", self.filters, self.groups, tracer.shape(value))
        positions = conv.infer_shape(tracer.shape(value))[1:]
        wanted = for_axes(self.tile, "tile", "TiledConv", len(positions))
        tile = tuple(min(t, p) for t, p in zip(wanted, positions, strict=True))
        return tracer.operation(_tiled(conv, tile, self.bias), value)


def _check(layer: LocallyConnected | TiledConv, owner: str) -> None:
    store(
        layer,
        filters=check_integer(layer.filters, "filters", owner, minimum=1),
        groups=check_integer(layer.groups, "groups", owner, minimum=1),
        bias=_check_bias(layer.bias, owner),
    )
    check_kernel(layer, owner)
    check_groups(layer.groups, layer.filters, owner)


def _check_bias(value: object, owner: str) -> BiasLike:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, str) and value == "shared":
        return "shared"
    error = ArgumentError if isinstance(value, str) else ArgumentTypeError
    raise error(refusal("bias", owner, "True, False or 'shared'", value))


def _tiled(conv: ops.Conv, tile: ops.Shape, bias: BiasLike) -> ops.TiledConv:
    return ops.TiledConv(
        conv.filters,
        conv.kernel,
        conv.stride,
        conv.padding,
        conv.dilation,
        tile,
        conv.groups,
        bias=bias is not False,
        shared_bias=bias == "shared",
        flip=conv.flip,
    )
