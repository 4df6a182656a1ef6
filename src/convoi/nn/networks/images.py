"""Networks for images; all but the smallest also take series and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convoi.checks import check_integer, check_real, refusal
from convoi.errors import ArgumentError
from convoi.nn.layers import (
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    MaxPool,
    ReLU,
    Residual,
    Sequential,
)
from convoi.nn.networks.parts import conv_norm, head

if TYPE_CHECKING:
    from convoi.nn.layers import Layer

__all__ = ["lenet5", "mobilenet", "resnet", "two_conv", "vgg"]


def lenet5(classes: int = 10) -> Sequential:
    """Return LeNet-5 with rectifiers and max pooling.

    Two convolutions of size 5 with 6 and 16 filters, each pooled by 2, and dense layers of 120,
    84 and `classes` units. The input has at least 12 positions along each axis.

    Parameters
    ----------
    classes : int
        Number of outputs.

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
    Y. LeCun et al., "Gradient-based learning applied to document recognition", Proceedings of
    the IEEE 86, 1998.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.networks.lenet5(10), input_shape=(1, 28, 28))
    >>> network.summary(show=False).parameters
    61706
    """
    classes = check_integer(classes, "classes", "lenet5", minimum=1)
    return Sequential(
        Conv(6, 5, padding="same"), ReLU(), MaxPool(2),
        Conv(16, 5), ReLU(), MaxPool(2),
        Flatten(),
        Dense(120), ReLU(),
        Dense(84), ReLU(),
        Dense(classes),
    )  # fmt: skip


def two_conv(classes: int = 10, width: int = 32) -> Sequential:
    """Return a small network of two convolutions and two dense layers.

    Convolutions of size 3 with `width` and twice as many filters, each pooled by 2, and dense
    layers of ``4 * width`` and `classes` units.

    Parameters
    ----------
    classes : int
        Number of outputs.
    width : int
        Filters of the first convolution.

    Returns
    -------
    Sequential
        The layers.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument has a type or value that it may not have.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.networks.two_conv(10), input_shape=(1, 28, 28))
    >>> network.summary(show=False).parameters
    421642
    """
    classes = check_integer(classes, "classes", "two_conv", minimum=1)
    width = check_integer(width, "width", "two_conv", minimum=1)
    # With "same" padding, pooling takes inputs of any extent; even extents have no padding.
    return Sequential(
        Conv(width, 3, padding="same"), ReLU(), MaxPool(2, padding="same"),
        Conv(2 * width, 3, padding="same"), ReLU(), MaxPool(2, padding="same"),
        Flatten(),
        Dense(4 * width), ReLU(),
        Dense(classes),
    )  # fmt: skip


def vgg(
    classes: int = 10,
    width: int = 32,
    *,
    stages: int = 3,
    convs: int = 2,
    dropout: float = 0.0,
) -> Sequential:
    """Return a small network in the style of VGG, with batch normalisation.

    Each stage has several convolutions of size 3 and a pooling by 2, and twice the filters of the
    stage before it. Where VGG has large dense layers, the channels are averaged over all
    positions.

    Parameters
    ----------
    classes : int
        Number of outputs.
    width : int
        Filters of the first stage.
    stages : int
        Number of stages.
    convs : int
        Convolutions per stage.
    dropout : float
        Rate of dropout before the last layer; 0 leaves it out.

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
    K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image
    recognition", ICLR 2015.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.networks.vgg(10), input_shape=(1, 28, 28))
    >>> network.summary(show=False).trainable
    288170
    """
    classes = check_integer(classes, "classes", "vgg", minimum=1)
    width = check_integer(width, "width", "vgg", minimum=1)
    layers: list[Layer] = []
    for stage in range(check_integer(stages, "stages", "vgg", minimum=1)):
        for _ in range(check_integer(convs, "convs", "vgg", minimum=1)):
            layers += [*conv_norm(width * 2**stage, 3, padding=1), ReLU()]
        layers.append(MaxPool(2, padding="same"))
    return Sequential(*layers, *head(classes, dropout, "vgg"))


def resnet(
    classes: int = 10, depth: int = 8, width: int = 16, *, stem_stride: int = 1
) -> Sequential:
    """Return a residual network for small images.

    A convolution of size 3, then three stages of ``(depth - 2) / 6`` blocks of two convolutions.
    The second and third stage halve the extents and double the filters; where the shape changes,
    the shortcut is a convolution of size 1 (option B of the paper).

    Parameters
    ----------
    classes : int
        Number of outputs.
    depth : int
        Number of layers with weights, ``6 n + 2``: 8, 14, 20, 32, 44, 56, ... The paper has 20
        and more; the default is the one that trains quickest.
    width : int
        Filters of the first stage.
    stem_stride : int
        Stride of the first convolution; more than 1 for larger images.

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
    K. He et al., "Deep residual learning for image recognition", CVPR 2016.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.networks.resnet(10, depth=20), input_shape=(3, 32, 32))
    >>> network.summary(show=False).trainable
    272474
    """
    classes = check_integer(classes, "classes", "resnet", minimum=1)
    depth = check_integer(depth, "depth", "resnet", minimum=8)
    width = check_integer(width, "width", "resnet", minimum=1)
    stem_stride = check_integer(stem_stride, "stem_stride", "resnet", minimum=1)
    if (depth - 2) % 6:
        expectation = "6 n + 2 with an integer n, such as 8, 14, 20, 32, 44 or 56"
        raise ArgumentError(refusal("depth", "resnet", expectation, depth))
    layers: list[Layer] = [*conv_norm(width, 3, stride=stem_stride, padding=1), ReLU()]
    for stage in range(3):
        for block in range((depth - 2) // 6):
            filters, changes = width * 2**stage, stage > 0 and block == 0
            layers += [_residual_block(filters, changes=changes), ReLU()]
    return Sequential(*layers, *head(classes, 0, "resnet"))


def mobilenet(
    classes: int = 10,
    width: float = 1.0,
    *,
    blocks: Sequence[tuple[int, int, int, int]] = (
        (1, 16, 1, 1),
        (4, 24, 2, 2),
        (4, 32, 2, 2),
        (4, 64, 2, 1),
    ),
    stem_stride: int = 1,
    dropout: float = 0.0,
) -> Sequential:
    """Return a network of inverted residuals, as MobileNet-v2, for small images.

    A block expands the channels by a convolution of size 1, filters each by a depthwise
    convolution of size 3, and projects them to few channels again. Where the shape stays, its
    input is added. A last convolution of size 1 has four times the channels.

    Parameters
    ----------
    classes : int
        Number of outputs.
    width : float
        Factor on all numbers of filters, which are rounded to multiples of 8.
    blocks : sequence of (expansion, filters, repeats, stride)
        The groups of equal blocks. Only the first block of a group has the stride.
    stem_stride : int
        Stride of the first convolution; more than 1 for larger images.
    dropout : float
        Rate of dropout before the last layer; 0 leaves it out.

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
    M. Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.networks.mobilenet(10), input_shape=(3, 32, 32))
    >>> network.summary(show=False).trainable
    96650
    """
    classes = check_integer(classes, "classes", "mobilenet", minimum=1)
    width = check_real(width, "width", "mobilenet", minimum=0, exclude_minimum=True)
    stem_stride = check_integer(stem_stride, "stem_stride", "mobilenet", minimum=1)
    channels = _rounded(16 * width)
    layers: list[Layer] = [*conv_norm(channels, 3, stride=stem_stride, padding=1), ReLU()]
    for group in blocks:
        expansion, filters, repeats, stride = _check_group(group)
        wide = _rounded(filters * width)
        for number in range(repeats):
            step = stride if number == 0 else 1
            layers.append(_inverted_residual(channels, expansion, wide, step))
            channels = wide
    layers += [*conv_norm(4 * channels, 1), ReLU()]
    return Sequential(*layers, *head(classes, dropout, "mobilenet"))


def _residual_block(filters: int, *, changes: bool) -> Residual:
    stride = 2 if changes else 1
    body = Sequential(
        *conv_norm(filters, 3, stride=stride, padding=1), ReLU(),
        *conv_norm(filters, 3, padding=1),
    )  # fmt: skip
    return Residual(body, Sequential(*conv_norm(filters, 1, stride=2)) if changes else None)


def _inverted_residual(channels: int, expansion: int, filters: int, stride: int) -> Layer:
    layers: list[Layer] = []
    if expansion > 1:
        layers += [*conv_norm(channels * expansion, 1), ReLU()]
    layers += [DepthwiseConv(3, stride=stride, padding=1, bias=False), BatchNorm(), ReLU()]
    body = Sequential(*layers, *conv_norm(filters, 1))
    return Residual(body) if stride == 1 and channels == filters else body


def _check_group(group: object) -> tuple[int, int, int, int]:
    if not isinstance(group, Sequence) or len(group) != 4:
        expectation = "a sequence of groups (expansion, filters, repeats, stride)"
        raise ArgumentError(refusal("blocks", "mobilenet", expectation, group))
    expansion, filters, repeats, stride = (
        check_integer(value, "blocks", "mobilenet", minimum=1) for value in group
    )
    return expansion, filters, repeats, stride


def _rounded(filters: float) -> int:
    """Round to a multiple of 8 that is at least nine tenths, as the paper's authors do."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * filters else nearest
