"""What layers that slide a kernel or a window have in common: arguments and geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from convoi import ops
from convoi.checks import check_flag
from convoi.errors import ArgumentError
from convoi.nn.layers.arguments import (
    check_axes,
    check_conv_padding,
    check_padding,
    check_ranks,
    explicit_padding,
    for_axes,
    padding_for,
    spatial_extents,
)
from convoi.nn.layers.base import store

if TYPE_CHECKING:
    from convoi.nn.layers.arguments import ConvPaddingLike, PaddingLike, PerAxis


class Sliding(Protocol):
    """The arguments of a layer that slides a kernel."""

    @property
    def kernel_size(self) -> PerAxis: ...
    @property
    def stride(self) -> PerAxis: ...
    @property
    def padding(self) -> ConvPaddingLike: ...
    @property
    def dilation(self) -> PerAxis: ...
    @property
    def flip(self) -> bool: ...


class Pool(Protocol):
    """The arguments of a layer that slides a window."""

    @property
    def size(self) -> PerAxis: ...
    @property
    def stride(self) -> PerAxis | None: ...
    @property
    def padding(self) -> PaddingLike: ...


def check_kernel(layer: Sliding, owner: str) -> None:
    """Check the arguments of the kernel, and store them as ints and tuples."""
    store(
        layer,
        kernel_size=check_axes(layer.kernel_size, "kernel_size", owner, minimum=1),
        stride=check_axes(layer.stride, "stride", owner, minimum=1),
        padding=check_conv_padding(layer.padding, "padding", owner),
        dilation=check_axes(layer.dilation, "dilation", owner, minimum=1),
        flip=check_flag(layer.flip, "flip", owner),
    )
    check_ranks(
        owner,
        kernel_size=layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
    )


def check_groups(groups: int, filters: int, owner: str) -> None:
    """Require a number of groups that divides that of the filters."""
    if filters % groups:
        raise ArgumentError(
            f"The 'groups' parameter of {owner} must be a divisor of filters={filters}. "
            f"Got {groups} instead."
        )


def convolution(
    layer: Sliding, owner: str, filters: int, groups: int, shape: ops.Shape
) -> ops.Conv:
    """Return the convolution for an input of this shape, without a bias."""
    spatial = spatial_extents(shape, owner)
    rank = len(spatial)
    kernel = for_axes(layer.kernel_size, "kernel_size", owner, rank)
    stride = for_axes(layer.stride, "stride", owner, rank)
    dilation = for_axes(layer.dilation, "dilation", owner, rank)
    padding = padding_for(layer.padding, owner, spatial, kernel, stride, dilation)
    return ops.Conv(filters, kernel, stride, padding, dilation, groups, bias=False, flip=layer.flip)


def check_window(layer: Pool, owner: str) -> None:
    """Check the arguments of a pooling layer's window, and store them as ints and tuples."""
    stride = layer.stride
    store(
        layer,
        size=check_axes(layer.size, "size", owner, minimum=1),
        stride=None if stride is None else check_axes(stride, "stride", owner, minimum=1),
        padding=check_padding(layer.padding, "padding", owner),
    )
    check_ranks(owner, size=layer.size, stride=layer.stride, padding=layer.padding)
    if isinstance(layer.padding, str):
        return
    given = (layer.size, layer.padding)
    rank = max((len(value) for value in given if isinstance(value, tuple)), default=1)
    pairs = explicit_padding(layer.padding, owner, rank)
    sizes = for_axes(layer.size, "size", owner, rank)
    if any(max(pair) >= size for pair, size in zip(pairs, sizes, strict=True)):
        raise ArgumentError(
            f"The 'padding' parameter of {owner} must be smaller than size={layer.size!r}, so "
            f"that every window holds a position of the input. Got {layer.padding!r} instead."
        )


def window_of(layer: Pool, shape: ops.Shape) -> tuple[ops.Shape, ops.Shape, ops.Padding]:
    """Return size, stride and padding for an input of this shape."""
    owner = type(layer).__name__
    spatial = spatial_extents(shape, owner)
    rank = len(spatial)
    size = for_axes(layer.size, "size", owner, rank)
    stride = size if layer.stride is None else for_axes(layer.stride, "stride", owner, rank)
    return size, stride, padding_for(layer.padding, owner, spatial, size, stride, (1,) * rank)
