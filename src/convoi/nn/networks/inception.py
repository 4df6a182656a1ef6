"""Networks for time series that look at several scales at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi import ops
from convoi.checks import check_integer, refusal
from convoi.errors import ArgumentError
from convoi.nn.layers import (
    BatchNorm,
    Conv,
    DepthwiseConv,
    Layer,
    MaxPool,
    Parallel,
    ReLU,
    Residual,
    Sequential,
)
from convoi.nn.networks.parts import conv_norm, series_head

if TYPE_CHECKING:
    from convoi.nn.layers.base import Tracer

__all__ = ["InceptionModule", "inception_time", "lite"]


@dataclass(frozen=True, repr=False)
class InceptionModule(Layer):
    """The module of InceptionTime: convolutions at three scales, and maxima beside them.

    A convolution of size 1 reduces several channels to `width`. Convolutions of sizes
    `kernel_size`, a half and a quarter of it filter them. Beside it, the input's maxima of three
    go through a convolution of size 1. All are put behind one another and normalised.

    Parameters
    ----------
    width : int
        Filters of each of the four branches.
    kernel_size : int
        Size of the longest convolution, at least 4.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument has a type or value that it may not have.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.networks.InceptionModule(32, 40), input_shape=(1, 150))
    >>> network.output_shape
    (128, 150)
    """

    width: int
    kernel_size: int

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_integer(self.width, "width", "InceptionModule", minimum=1)
        check_integer(self.kernel_size, "kernel_size", "InceptionModule", minimum=4)

    def trace(self, tracer: Tracer, value: str) -> str:
        narrow = Conv(self.width, 1, bias=False)
        several = tracer.shape(value)[0] > 1
        reduced = tracer.layer("bottleneck", narrow, value) if several else value
        branches = []
        for number in range(3):
            size = self.kernel_size // 2**number
            conv = Conv(self.width, size, padding="same", bias=False)
            branches.append(tracer.layer(f"scales.{number}", conv, reduced))
        maxima = tracer.layer("maxima", MaxPool(3, stride=1, padding="same"), value)
        branches.append(tracer.layer("projection", narrow, maxima))
        merged = tracer.operation(ops.Concatenate(), *branches, name="merged")
        return tracer.layer("relu", ReLU(), tracer.layer("norm", BatchNorm(), merged))


def inception_time(
    classes: int = 2,
    width: int = 32,
    *,
    depth: int = 6,
    kernel_size: int = 40,
    per_step: bool = False,
) -> Sequential:
    """Return one network of InceptionTime, for time series.

    The paper's classifier is an ensemble of five: ``convoi.SeriesClassifier("inception_time",
    ensemble=5)``.

    Parameters
    ----------
    classes : int
        Number of outputs.
    width : int
        Filters of each of a module's four branches.
    depth : int
        Number of modules, a multiple of 3: a shortcut spans three.
    kernel_size : int
        Size of the longest convolution of a module, at least 4.
    per_step : bool
        Whether there are outputs for each time step, shape ``(classes, time)``, instead of the
        mean over time.

    Returns
    -------
    Sequential
        The layers.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument has a type or value that it may not have.

    References
    ----------
    H. Ismail Fawaz et al., "InceptionTime: finding AlexNet for time series classification", Data
    Mining and Knowledge Discovery 34, 2020.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.networks.inception_time(3), input_shape=(1, 150))
    >>> network.summary(show=False).trainable
    420579
    """
    classes = check_integer(classes, "classes", "inception_time", minimum=1)
    width = check_integer(width, "width", "inception_time", minimum=1)
    depth = check_integer(depth, "depth", "inception_time", minimum=3)
    kernel_size = check_integer(kernel_size, "kernel_size", "inception_time", minimum=4)
    if depth % 3:
        raise ArgumentError(refusal("depth", "inception_time", "a multiple of 3", depth))
    module = InceptionModule(width, kernel_size)
    shortcut = Sequential(*conv_norm(4 * width, 1))
    layers: list[Layer] = []
    for _ in range(depth // 3):
        layers += [Residual(Sequential(module, module, module), shortcut), ReLU()]
    return Sequential(*layers, *series_head(classes, 0, "inception_time", per_step=per_step))


def lite(
    classes: int = 2, width: int = 32, *, kernel_size: int = 40, per_step: bool = False
) -> Sequential:
    """Return a small network in the style of LITE, for time series.

    Convolutions of sizes `kernel_size`, a half and a quarter of it, side by side; then two
    separable convolutions (one filter for each channel, then a convolution of size 1) with
    dilations 2 and 4, of half and a quarter of the size, made odd. The paper's first layer also
    has filters that are made by hand and not trained; this one has not.

    Parameters
    ----------
    classes : int
        Number of outputs.
    width : int
        Filters of each convolution.
    kernel_size : int
        Size of the longest convolution, at least 4.
    per_step : bool
        Whether there are outputs for each time step, shape ``(classes, time)``, instead of the
        mean over time.

    Returns
    -------
    Sequential
        The layers.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument has a type or value that it may not have.

    References
    ----------
    A. Ismail-Fawaz et al., "LITE: Light inception with boosting techniques for time series
    classification", DSAA 2023.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.networks.lite(3), input_shape=(1, 150))
    >>> network.summary(show=False).trainable
    9123
    """
    classes = check_integer(classes, "classes", "lite", minimum=1)
    width = check_integer(width, "width", "lite", minimum=1)
    kernel_size = check_integer(kernel_size, "kernel_size", "lite", minimum=4)
    scales = [
        Conv(width, kernel_size // 2**number, padding="same", bias=False) for number in range(3)
    ]
    layers: list[Layer] = [Parallel(*scales), BatchNorm(), ReLU()]
    for number in (1, 2):
        # Odd, so that a position sees itself however short the series is.
        size = kernel_size // 2**number | 1
        layers += [
            DepthwiseConv(size, padding="same", dilation=2**number, bias=False),
            *conv_norm(width, 1), ReLU(),
        ]  # fmt: skip
    return Sequential(*layers, *series_head(classes, 0, "lite", per_step=per_step))
