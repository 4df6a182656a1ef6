"""Layers that normalise or regularise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi import ops
from convoi.checks import check_real
from convoi.nn.layers.base import Layer, store

if TYPE_CHECKING:
    from convoi.nn.layers.base import Tracer


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    r"""Batch normalisation of each channel.

    .. math:: y_{c,p} = w_c \frac{x_{c,p} - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}} + b_c

    While training, mean and variance are those of the batch, over samples and positions, and
    running estimates follow them; otherwise they are the running estimates.

    Parameters
    ----------
    momentum : float
        Share of the batch in the running estimates, between 0 and 1.
    eps : float
        Added to the variance, greater than 0.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument is no number, or out of bounds.

    Notes
    -----
    Parameters, all of shape ``(channels,)``: ``weight``, ``bias``, and the running estimates
    ``running_mean`` and ``running_var``, which are not trained.

    References
    ----------
    S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network training by reducing
    internal covariate shift", ICML 2015.

    Examples
    --------
    >>> from convoi import nn
    >>> list(nn.Network(nn.BatchNorm(), input_shape=(8, 4, 4)).parameters)
    ['weight', 'bias', 'running_mean', 'running_var']
    """

    momentum: float = 0.1
    eps: float = 1e-5

    def __post_init__(self) -> None:
        """Check the arguments."""
        store(
            self,
            momentum=check_real(self.momentum, "momentum", "BatchNorm", minimum=0, maximum=1),
            eps=check_real(self.eps, "eps", "BatchNorm", minimum=0, exclude_minimum=True),
        )

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.BatchNorm(self.momentum, self.eps), value)


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """Set elements to zero at random while training; otherwise pass the input on.

    The elements that remain are divided by ``1 - rate``.

    Parameters
    ----------
    rate : float
        Share of the elements that are set to zero, at least 0 and less than 1.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If `rate` is no number, or out of bounds.

    References
    ----------
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
    JMLR 15, 2014.
    """

    rate: float

    def __post_init__(self) -> None:
        """Check the arguments."""
        rate = check_real(self.rate, "rate", "Dropout", minimum=0, maximum=1, exclude_maximum=True)
        store(self, rate=rate)

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.Dropout(self.rate), value)


@dataclass(frozen=True, repr=False)
class Standardize(Layer):
    r"""Subtract a mean from each channel and divide by a standard deviation.

    .. math:: y_{c,p} = (x_{c,p} - \mu_c) / \sigma_c

    As the first layer of a network it takes data as they are, such as bytes of images. Its
    parameters are not trained: they are 0 and 1 until they are set to the statistics of the data.

    Notes
    -----
    Parameters: ``mean`` and ``std`` of shape ``(channels,)``.

    Examples
    --------
    >>> from convoi import nn
    >>> network = nn.Network(nn.Sequential(nn.Standardize(), nn.Flatten()), input_shape=(1, 2))
    >>> network.parameters = {"0.mean": [128], "0.std": [64]}
    >>> network([[[0, 160]]])
    array([[-2. ,  0.5]], dtype=float32)
    """

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.Standardize(), value)
