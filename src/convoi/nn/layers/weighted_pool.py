"""Pooling layers with weights: blurred, and at random."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from convoi import ops
from convoi.nn.layers.base import Layer
from convoi.nn.layers.sliding import check_window, window_of

if TYPE_CHECKING:
    from convoi.nn.layers.arguments import PaddingLike, PerAxis
    from convoi.nn.layers.base import Tracer


@dataclass(frozen=True, repr=False)
class BlurPool(Layer):
    r"""Anti-aliased pooling: each window averaged with binomial weights, channel by channel.

    .. math:: y_{c,p} = \frac{1}{m_p} \sum_r b_r \, x_{c,\; p s - l + r}

    A stride keeps some positions and leaves out others, so that a small shift of the input can
    change the output much; blurring first removes what the coarser grid cannot hold. Put it in
    place of a stride: ``MaxPool(2)`` becomes ``MaxPool(2, stride=1, padding="same")`` and
    ``BlurPool(3)``, and a convolution with ``stride=2`` one with ``stride=1`` and ``BlurPool(3)``.

    Parameters
    ----------
    size : int or sequence of int
        Extent of the window along every spatial axis, or along each: the weights are a row of
        Pascal's triangle, such as 1 2 1 or 1 4 6 4 1. At most 21.
    stride : int or sequence of int
        Distance between windows.
    padding : {"valid", "same"}, int or sequence
        As that of :class:`Conv`, and smaller than `size`. The weights of positions in the padding
        are left out, and the sum :math:`m_p` of the others is what is divided by.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument has a type or value that it may not have.

    References
    ----------
    R. Zhang, "Making convolutional networks shift-invariant again", ICML 2019.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.BlurPool(3), input_shape=(16, 8, 8)).output_shape
    (16, 4, 4)
    """

    size: PerAxis
    _: KW_ONLY
    stride: PerAxis = 2
    padding: PaddingLike = "same"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_window(self, "BlurPool")

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.BlurPool(*window_of(self, tracer.shape(value))), value)


@dataclass(frozen=True, repr=False)
class StochasticPool(Layer):
    r"""One value of each window at random, the likelier the larger it is.

    .. math:: P(y_{c,p} = a_r) = a_r / \sum_{r'} a_{r'}, \qquad
              a_r = \max(x_{c,\; p s - l + r},\, 0)

    in training; predictions take the expected value, in which each :math:`a_r` is weighed by its
    probability. Where no value is positive the result is zero: the layer is meant to follow a
    rectifier. It regularises as dropout does, and has no parameter to set.

    Parameters
    ----------
    size : int or sequence of int
        Extent of the window along every spatial axis, or along each.
    stride : int or sequence of int, optional
        Distance between windows. The default is `size`.
    padding : {"valid", "same"}, int or sequence
        As that of :class:`Conv`, and smaller than `size`. Padding is never taken.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument has a type or value that it may not have.

    Notes
    -----
    What is taken follows from the seed of the training step, the sample and the position: it is
    the same for any number of threads.

    References
    ----------
    M. D. Zeiler and R. Fergus, "Stochastic pooling for regularization of deep convolutional neural
    networks", ICLR 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import nn
    >>> network = nn.Network(nn.StochasticPool(2), input_shape=(1, 2, 2))
    >>> network(np.array([[[[1.0, 0.0], [3.0, 0.0]]]])).item()  # (1 * 1 + 3 * 3) / (1 + 3)
    2.5
    """

    size: PerAxis
    _: KW_ONLY
    stride: PerAxis | None = None
    padding: PaddingLike = "valid"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_window(self, "StochasticPool")

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.StochasticPool(*window_of(self, tracer.shape(value))), value)
