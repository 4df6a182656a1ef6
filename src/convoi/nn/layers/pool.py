"""Pooling layers."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from convoi import ops
from convoi.checks import check_flag, check_real
from convoi.nn.layers.arguments import PaddingLike, PerAxis, spatial_extents
from convoi.nn.layers.base import Layer, store
from convoi.nn.layers.sliding import check_window, window_of

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
        check_window(self, "MaxPool")

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.MaxPool(*window_of(self, tracer.shape(value))), value)


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
        check_window(self, "AveragePool")
        store(self, count_padding=check_flag(self.count_padding, "count_padding", "AveragePool"))

    def trace(self, tracer: Tracer, value: str) -> str:
        window = window_of(self, tracer.shape(value))
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
        check_window(self, "LpPool")
        store(self, p=check_real(self.p, "p", "LpPool", minimum=1))

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.LpPool(*window_of(self, tracer.shape(value)), p=self.p), value)


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
