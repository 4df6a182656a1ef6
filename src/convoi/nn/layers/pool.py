"""Pooling layers."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from convoi import ops
from convoi.checks import check_flag, check_real
from convoi.errors import ArgumentError
from convoi.nn.layers.arguments import (
    PaddingLike,
    PerAxis,
    check_axes,
    check_padding,
    check_ranks,
    explicit_padding,
    for_axes,
    padding_for,
    spatial_extents,
)
from convoi.nn.layers.base import Layer, store

if TYPE_CHECKING:
    from convoi.nn.layers.base import Tracer


@dataclass(frozen=True, repr=False)
class MaxPool(Layer):
    r"""Largest value of each window, channel by channel.

    .. math:: y_{c,p} = \max_r x_{c,\; p s - l + r}

    Parameters
    ----------
    size : int or sequence of int
        Extent of the window along every spatial axis, or along each.
    stride : int or sequence of int, optional
        Distance between windows. The default is `size`.
    padding : {"valid", "same"}, int or sequence
        As that of :class:`Conv`, and smaller than `size`. Padding is never the largest value.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument has a type or value that it may not have.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.MaxPool(2), input_shape=(16, 7, 7)).output_shape
    (16, 3, 3)
    >>> nn.Network(nn.MaxPool(2, padding="same"), input_shape=(16, 7, 7)).output_shape
    (16, 4, 4)
    """

    size: PerAxis
    _: KW_ONLY
    stride: PerAxis | None = None
    padding: PaddingLike = "valid"

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_window(self, "MaxPool")

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.MaxPool(*_window(self, tracer.shape(value))), value)


@dataclass(frozen=True, repr=False)
class AveragePool(Layer):
    r"""Mean of each window, channel by channel.

    .. math:: y_{c,p} = \frac{1}{m_p} \sum_r x_{c,\; p s - l + r}

    Parameters
    ----------
    size : int or sequence of int
        Extent of the window along every spatial axis, or along each.
    stride : int or sequence of int, optional
        Distance between windows. The default is `size`.
    padding : {"valid", "same"}, int or sequence
        As that of :class:`Conv`, and smaller than `size`.
    count_padding : bool
        Whether the positions of the padding are counted in :math:`m_p`.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument has a type or value that it may not have.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.AveragePool(2), input_shape=(16, 8, 8)).output_shape
    (16, 4, 4)
    """

    size: PerAxis
    _: KW_ONLY
    stride: PerAxis | None = None
    padding: PaddingLike = "valid"
    count_padding: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_window(self, "AveragePool")
        store(self, count_padding=check_flag(self.count_padding, "count_padding", "AveragePool"))

    def trace(self, tracer: Tracer, value: str) -> str:
        window = _window(self, tracer.shape(value))
        return tracer.operation(ops.AveragePool(*window, count_padding=self.count_padding), value)


@dataclass(frozen=True, repr=False)
class LpPool(Layer):
    r"""The p-norm of each window, channel by channel.

    .. math:: y_{c,q} = \Bigl( \sum_r |x_{c,\; q s - l + r}|^p \Bigr)^{1/p}

    Parameters
    ----------
    size : int or sequence of int
        Extent of the window along every spatial axis, or along each.
    p : float
        Exponent, at least 1.
    stride : int or sequence of int, optional
        Distance between windows. The default is `size`.
    padding : {"valid", "same"}, int or sequence
        As that of :class:`Conv`, and smaller than `size`.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument has a type or value that it may not have.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.LpPool(2, p=3.0)
    LpPool(2, p=3.0)
    """

    size: PerAxis
    p: float = 2.0
    _: KW_ONLY
    stride: PerAxis | None = None
    padding: PaddingLike = "valid"

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_window(self, "LpPool")
        store(self, p=check_real(self.p, "p", "LpPool", minimum=1))

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.LpPool(*_window(self, tracer.shape(value)), p=self.p), value)


@dataclass(frozen=True, repr=False)
class GlobalAveragePool(Layer):
    """Mean of each channel over all positions: ``(channels, *spatial)`` to ``(channels,)``.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.GlobalAveragePool(), input_shape=(16, 7, 7)).output_shape
    (16,)
    """

    def trace(self, tracer: Tracer, value: str) -> str:
        spatial_extents(tracer.shape(value), "GlobalAveragePool")
        return tracer.operation(ops.GlobalAveragePool(), value)


@dataclass(frozen=True, repr=False)
class GlobalMaxPool(Layer):
    """Largest value of each channel: ``(channels, *spatial)`` to ``(channels,)``.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.GlobalMaxPool(), input_shape=(16, 7, 7)).output_shape
    (16,)
    """

    def trace(self, tracer: Tracer, value: str) -> str:
        spatial_extents(tracer.shape(value), "GlobalMaxPool")
        return tracer.operation(ops.GlobalMaxPool(), value)


_Pool = MaxPool | AveragePool | LpPool


def _check_window(layer: _Pool, owner: str) -> None:
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


def _window(layer: _Pool, shape: ops.Shape) -> tuple[ops.Shape, ops.Shape, ops.Padding]:
    """Return size, stride and padding for an input of this shape."""
    owner = type(layer).__name__
    spatial = spatial_extents(shape, owner)
    rank = len(spatial)
    size = for_axes(layer.size, "size", owner, rank)
    stride = size if layer.stride is None else for_axes(layer.stride, "stride", owner, rank)
    return size, stride, padding_for(layer.padding, owner, spatial, size, stride, (1,) * rank)
