"""Networks for time series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi import ops
from convoi.checks import check_integer, refusal
from convoi.errors import ArgumentError
from convoi.nn.layers import BatchNorm, Conv, Layer, MaxPool, ReLU, Residual, Sequential
from convoi.nn.networks.parts import conv_norm, head

if TYPE_CHECKING:
    from convoi.nn.layers.base import Tracer

__all__ = ["InceptionModule", "fcn", "inception_time"]


def fcn(classes: int = 2, width: int = 128) -> Sequential:
    """Return the fully convolutional network for time series.

    Three convolutions of sizes 8, 5 and 3, each with batch normalisation and a rectifier; their
    mean over time goes into a dense layer.

    Parameters
    ----------
    classes : int
        Number of outputs.
    width : int
        Filters of the first and last convolution; the second has twice as many.

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
    Z. Wang et al., "Time series classification from scratch with deep neural networks: a strong
    baseline", IJCNN 2017.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.networks.fcn(3), input_shape=(1, 150))
    >>> network.summary(show=False).trainable
    264579
    """
    classes = check_integer(classes, "classes", "fcn", minimum=1)
    width = check_integer(width, "width", "fcn", minimum=1)
    layers: list[Layer] = []
    for filters, size in ((width, 8), (2 * width, 5), (width, 3)):
        layers += [*conv_norm(filters, size, padding="same"), ReLU()]
    return Sequential(*layers, *head(classes, 0, "fcn"))


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
    classes: int = 2, width: int = 32, *, depth: int = 6, kernel_size: int = 40
) -> Sequential:
    """Return one network of InceptionTime, for time series.

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
    return Sequential(*layers, *head(classes, 0, "inception_time"))
