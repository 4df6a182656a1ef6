"""Convolutional and dense layers."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING

from convoi import ops
from convoi.checks import check_flag, check_integer
from convoi.nn.layers.base import Layer, store
from convoi.nn.layers.sliding import check_groups, check_kernel, convolution

if TYPE_CHECKING:
    from convoi.nn.layers.arguments import ConvPaddingLike, PerAxis
    from convoi.nn.layers.base import Tracer


@dataclass(frozen=True, repr=False)
class Conv(Layer):
    r"""Convolution over 1, 2 or 3 spatial axes, as many as the input has.

    .. math:: y_{k,p} = b_k + \sum_{c,r} w_{k,c,r} \, x_{c,\; p s - l + r d}

    with stride *s*, low padding *l* and dilation *d*: in the words of signal processing a
    correlation, as in all frameworks. `flip` makes it a convolution.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int or sequence of int
        Extent of the kernel along every spatial axis, or along each.
    stride : int or sequence of int
        Distance between the positions that the kernel is applied at.
    padding : {"valid", "same", "causal"}, int or sequence
        Zeros around the input. ``"valid"``: none. ``"same"``: as many as give
        ``ceil(extent / stride)`` positions, the odd one at the high end. ``"causal"``, for series
        only: as many in front, so that no output depends on later inputs. An integer: so many at
        each end. A sequence: for each axis an integer or a pair (low, high).
    dilation : int or sequence of int
        Distance between the elements of the kernel.
    groups : int
        Number of groups that input channels and filters are divided into; a filter sees the
        channels of its group only.
    bias : bool
        Whether a number per filter is added. A layer before batch normalisation needs none.
    flip : bool
        Whether the kernel is reversed along all spatial axes.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument has a type or value that it may not have.

    Notes
    -----
    Parameters: ``weight`` of shape ``(filters, channels / groups, *kernel_size)`` and ``bias`` of
    shape ``(filters,)``. Input ``(channels, *spatial)``, output ``(filters, *positions)``.

    Examples
    --------
    >>> from convoi import nn
    >>> layer = nn.Conv(32, 3, stride=2, padding="same")
    >>> nn.Network(layer, input_shape=(3, 15, 15)).output_shape
    (32, 8, 8)
    >>> nn.Network(layer, input_shape=(3, 100)).output_shape
    (32, 50)
    """

    filters: int
    kernel_size: PerAxis
    _: KW_ONLY
    stride: PerAxis = 1
    padding: ConvPaddingLike = "valid"
    dilation: PerAxis = 1
    groups: int = 1
    bias: bool = True
    flip: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        store(
            self,
            filters=check_integer(self.filters, "filters", "Conv", minimum=1),
            groups=check_integer(self.groups, "groups", "Conv", minimum=1),
        )
        check_kernel(self, "Conv")
        store(self, bias=check_flag(self.bias, "bias", "Conv"))
        check_groups(self.groups, self.filters, "Conv")

    def trace(self, tracer: Tracer, value: str) -> str:
        op = convolution(self, "Conv", self.filters, self.groups, tracer.shape(value))
        return tracer.operation(replace(op, bias=self.bias), value)


@dataclass(frozen=True, repr=False)
class DepthwiseConv(Layer):
    """Convolution of each channel by itself: as many groups as the input has channels.

    Parameters
    ----------
    kernel_size : int or sequence of int
        Extent of the kernel along every spatial axis, or along each.
    multiplier : int
        Number of filters per input channel.
    stride, padding, dilation, bias, flip
        As those of :class:`Conv`.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument has a type or value that it may not have.

    Notes
    -----
    Parameters: ``weight`` of shape ``(channels * multiplier, 1, *kernel_size)`` and ``bias``.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.DepthwiseConv(3, padding="same"), input_shape=(16, 8, 8))
    >>> network.parameters["weight"].shape
    (16, 1, 3, 3)
    """

    kernel_size: PerAxis
    _: KW_ONLY
    multiplier: int = 1
    stride: PerAxis = 1
    padding: ConvPaddingLike = "valid"
    dilation: PerAxis = 1
    bias: bool = True
    flip: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        multiplier = check_integer(self.multiplier, "multiplier", "DepthwiseConv", minimum=1)
        store(self, multiplier=multiplier)
        check_kernel(self, "DepthwiseConv")
        store(self, bias=check_flag(self.bias, "bias", "DepthwiseConv"))

    def trace(self, tracer: Tracer, value: str) -> str:
        shape = tracer.shape(value)
        channels = shape[0]
        op = convolution(self, "DepthwiseConv", channels * self.multiplier, channels, shape)
        return tracer.operation(replace(op, bias=self.bias), value)


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    r"""Fully connected layer.

    .. math:: y_k = b_k + \sum_c w_{k,c} \, x_c

    Parameters
    ----------
    units : int
        Number of outputs.
    bias : bool
        Whether a number per output is added.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument has a type or value that it may not have.

    Notes
    -----
    Parameters: ``weight`` of shape ``(units, features)`` and ``bias`` of shape ``(units,)``.
    Input ``(features,)``: put :class:`Flatten` or a global pooling layer in front.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.Dense(10), input_shape=(64,)).output_shape
    (10,)
    """

    units: int
    bias: bool = True

    def __post_init__(self) -> None:
        """Check the arguments."""
        store(
            self,
            units=check_integer(self.units, "units", "Dense", minimum=1),
            bias=check_flag(self.bias, "bias", "Dense"),
        )

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.Dense(self.units, self.bias), value)
