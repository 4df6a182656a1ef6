"""Networks by name, and the choice of one for given data."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from convoi.checks import check_choice, check_integer
from convoi.errors import ArgumentTypeError
from convoi.nn.layers import Dense, ReLU, Sequential
from convoi.nn.networks.images import lenet5, mobilenet, resnet, two_conv, vgg
from convoi.nn.networks.inception import inception_time, lite
from convoi.nn.networks.series import fcn, resnet_1d, tcn
from convoi.nn.trace import check_input_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["NETWORKS", "auto", "by_name"]


@dataclass(frozen=True)
class Rule:
    """One row of :data:`RULES`."""

    axes: int
    """Number of spatial axes."""
    extent: float
    """Largest extent of the longest axis."""
    samples: float
    """Largest number of samples."""
    build: Callable[[int], Sequential]
    """From the number of outputs to the layers."""
    reason: str


_ANY = float("inf")

RULES: tuple[Rule, ...] = (
    Rule(
        1, 16, _ANY, lambda classes: lite(classes, kernel_size=8),
        "a few time steps: longer kernels would only see padding",
    ),
    Rule(
        1, _ANY, _ANY, lite,
        "as accurate on the training sets of the archive as networks of thirty times its cost",
    ),
    Rule(2, 12, _ANY, two_conv, "icons: too small to be halved more than twice"),
    Rule(
        2, 64, 2_000, lambda classes: vgg(classes, 16, dropout=0.2),
        "few small images: few parameters, and dropout",
    ),
    Rule(
        2, 64, _ANY, lambda classes: vgg(classes, 32, dropout=0.2),
        "small images: six wide convolutions learn more per second than many narrow ones",
    ),
    Rule(
        2, 128, _ANY, lambda classes: resnet(classes, stem_stride=2),
        "medium images: the first layer halves them",
    ),
    Rule(
        2, _ANY, _ANY, lambda classes: mobilenet(classes, stem_stride=4, dropout=0.2),
        "large images: few multiply-adds per position",
    ),
    Rule(3, _ANY, _ANY, lambda classes: vgg(classes, 16), "volumes"),
)  # fmt: skip
"""What :func:`auto` chooses: the first row that fits."""


def auto(input_shape: Sequence[int], samples: int, classes: int) -> Sequential:
    """Return a network that suits the data.

    The first row that fits is taken:

    ======  ==============  ===========  ====================================================
    Axes    Longest extent  Samples      Network
    ======  ==============  ===========  ====================================================
    0       any             any          a dense layer of 128 units and a rectifier, no other
    1       up to 16        any          ``lite(kernel_size=8)``
    1       any             any          ``lite()``
    2       up to 12        any          ``two_conv()``
    2       up to 64        up to 2,000  ``vgg(width=16, dropout=0.2)``
    2       up to 64        any          ``vgg(width=32, dropout=0.2)``
    2       up to 128       any          ``resnet(stem_stride=2)``
    2       any             any          ``mobilenet(stem_stride=4, dropout=0.2)``
    3       any             any          ``vgg(width=16)``
    ======  ==============  ===========  ====================================================

    Parameters
    ----------
    input_shape : sequence of int
        ``(channels, *spatial)`` or ``(features,)``.
    samples : int
        Number of training samples.
    classes : int
        Number of outputs.

    Returns
    -------
    Sequential
        Layers that take this shape, whatever it is.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument has a type or value that it may not have.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.networks.auto((1, 8, 8), samples=1500, classes=10) == nn.networks.two_conv(10)
    True
    """
    spatial = check_input_shape(input_shape)[1:]
    samples = check_integer(samples, "samples", "auto", minimum=0)
    classes = check_integer(classes, "classes", "auto", minimum=1)
    for rule in RULES:
        if rule.axes == len(spatial) and max(spatial) <= rule.extent and samples <= rule.samples:
            return rule.build(classes)
    return Sequential(Dense(128), ReLU(), Dense(classes))


NETWORKS: Mapping[str, Callable[..., Sequential]] = MappingProxyType(
    {
        "auto": auto,
        "fcn": fcn,
        "inception_time": inception_time,
        "lenet5": lenet5,
        "lite": lite,
        "mobilenet": mobilenet,
        "resnet": resnet,
        "resnet_1d": resnet_1d,
        "tcn": tcn,
        "two_conv": two_conv,
        "vgg": vgg,
    }
)
"""The networks that have names."""


def by_name(name: str, **options: Any) -> Sequential:  # noqa: ANN401 - those of the network
    """Return the network of this name.

    Parameters
    ----------
    name : str
        One of :data:`NETWORKS`.
    **options
        Arguments of the function of this name, such as ``classes``.

    Returns
    -------
    Sequential
        The layers.

    Raises
    ------
    ArgumentError
        If there is no network of this name; the message lists them.
    ArgumentTypeError
        If the network has no such option, or needs one that is missing.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.networks.by_name("fcn", classes=3) == nn.networks.fcn(3)
    True
    """
    build = NETWORKS[check_choice(name, "name", "by_name", tuple(NETWORKS))]
    parameters = signature(build)
    try:
        parameters.bind(**options)
    except TypeError as error:
        known = ", ".join(parameters.parameters)
        raise ArgumentTypeError(f"The network {name!r} has the options {known}: {error}.") from None
    return build(**options)
