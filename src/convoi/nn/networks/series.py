"""Networks for time series: plain, residual and causal stacks of convolutions."""

from __future__ import annotations

from convoi.checks import check_integer, check_real
from convoi.nn.layers import BatchNorm, Dropout, Layer, ReLU, Residual, Sequential
from convoi.nn.networks.parts import conv_norm, series_head

__all__ = ["fcn", "resnet_1d", "tcn"]


def fcn(classes: int = 2, width: int = 128, *, per_step: bool = False) -> Sequential:
    """Return the fully convolutional network for time series.

    Three convolutions of sizes 8, 5 and 3, each with batch normalisation and a rectifier; their
    mean over time goes into a dense layer.

    Parameters
    ----------
    classes : int
        Number of outputs.
    width : int
        Filters of the first and last convolution; the second has twice as many.
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
    return Sequential(*layers, *series_head(classes, 0, "fcn", per_step=per_step))


def resnet_1d(classes: int = 2, width: int = 64, *, per_step: bool = False) -> Sequential:
    """Return the residual network for time series.

    Three blocks of three convolutions, of sizes 8, 5 and 3 with batch normalisation. The shortcut
    of each block is a convolution of size 1; in the last block, whose shape stays, it is a batch
    normalisation alone.

    Parameters
    ----------
    classes : int
        Number of outputs.
    width : int
        Filters of the first block; the other two have twice as many.
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
    Z. Wang et al., "Time series classification from scratch with deep neural networks: a strong
    baseline", IJCNN 2017.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.networks.resnet_1d(3), input_shape=(1, 150))
    >>> network.summary(show=False).trainable
    503235
    """
    classes = check_integer(classes, "classes", "resnet_1d", minimum=1)
    width = check_integer(width, "width", "resnet_1d", minimum=1)
    layers: list[Layer] = []
    for filters, changes in ((width, True), (2 * width, True), (2 * width, False)):
        body = [
            *conv_norm(filters, 8, padding="same"), ReLU(),
            *conv_norm(filters, 5, padding="same"), ReLU(),
            *conv_norm(filters, 3, padding="same"),
        ]  # fmt: skip
        shortcut = conv_norm(filters, 1) if changes else [BatchNorm()]
        layers += [Residual(Sequential(*body), Sequential(*shortcut)), ReLU()]
    return Sequential(*layers, *series_head(classes, 0, "resnet_1d", per_step=per_step))


def tcn(
    classes: int = 2,
    width: int = 64,
    *,
    depth: int = 6,
    kernel_size: int = 3,
    dropout: float = 0.0,
    per_step: bool = False,
) -> Sequential:
    """Return a temporal convolutional network: a causal stack whose dilation doubles.

    Block *i* has two causal convolutions of dilation ``2 ** i`` with batch normalisation (the
    paper has weight normalisation), and a shortcut. An output depends on the
    ``1 + 2 * (kernel_size - 1) * (2 ** depth - 1)`` inputs up to its own time step, and on none
    after it.

    Parameters
    ----------
    classes : int
        Number of outputs.
    width : int
        Filters of each convolution.
    depth : int
        Number of blocks.
    kernel_size : int
        Size of the convolutions.
    dropout : float
        Rate of dropout behind each rectifier of a block; 0 leaves it out.
    per_step : bool
        Whether there are outputs for each time step, shape ``(classes, time)``, instead of the
        mean over time.

    Returns
    -------
    Sequential
        The layers, for samples of shape (channels, time) only.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument has a type or value that it may not have.

    References
    ----------
    S. Bai, J. Z. Kolter and V. Koltun, "An empirical evaluation of generic convolutional and
    recurrent networks for sequence modeling", arXiv:1803.01271, 2018.

    Examples
    --------
    >>> from convoi import nn
    >>> layers = nn.networks.tcn(3, per_step=True)
    >>> nn.Network(layers, input_shape=(1, 150)).output_shape
    (3, 150)
    """
    classes = check_integer(classes, "classes", "tcn", minimum=1)
    width = check_integer(width, "width", "tcn", minimum=1)
    depth = check_integer(depth, "depth", "tcn", minimum=1)
    kernel_size = check_integer(kernel_size, "kernel_size", "tcn", minimum=1)
    rate = check_real(dropout, "dropout", "tcn", minimum=0, maximum=1, exclude_maximum=True)
    layers: list[Layer] = []
    for number in range(depth):
        body: list[Layer] = []
        for _ in range(2):
            body += conv_norm(width, kernel_size, padding="causal", dilation=2**number)
            body += [ReLU(), *([Dropout(rate)] if rate else [])]
        shortcut = Sequential(*conv_norm(width, 1)) if number == 0 else None
        layers += [Residual(Sequential(*body), shortcut), ReLU()]
    return Sequential(*layers, *series_head(classes, 0, "tcn", per_step=per_step))
