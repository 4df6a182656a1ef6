"""Pooling layers whose output has a given extent, or a given fraction of the input's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from convoi import ops
from convoi.checks import check_flag, check_real, refusal
from convoi.errors import ArgumentError
from convoi.nn.layers.arguments import (
    MAX_RANK,
    PerAxis,
    check_axes,
    for_axes,
    require_rank,
    spatial_extents,
)
from convoi.nn.layers.base import Layer, store

if TYPE_CHECKING:
    from convoi.nn.layers.base import Tracer

RatioLike: TypeAlias = float | Sequence[float]
"""A number for every spatial axis, or one for each."""


@dataclass(frozen=True, repr=False)
class AdaptiveAveragePool(Layer):
    r"""Mean of windows that are spread over the input, as many as are asked for.

    .. math:: y_{c,p} = \frac{1}{|I_p|} \sum_{q \in I_p} x_{c,q}, \qquad
              I_p = \lfloor p X / P \rfloor, \dots, \lceil (p + 1) X / P \rceil - 1

    on each axis, with *X* positions of the input and *P* of the output: PyTorch's windows. Where
    *P* divides *X* it is an :class:`AveragePool` of the size ``X / P``.

    Parameters
    ----------
    output_size : int or sequence of int
        Positions of the output along every spatial axis, or along each.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If the argument has a type or value that it may not have.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.AdaptiveAveragePool(4), input_shape=(16, 15, 9)).output_shape
    (16, 4, 4)
    """

    output_size: PerAxis

    def __post_init__(self) -> None:
        """Check the argument."""
        owner = "AdaptiveAveragePool"
        store(self, output_size=check_axes(self.output_size, "output_size", owner, minimum=1))

    def trace(self, tracer: Tracer, value: str) -> str:
        owner = "AdaptiveAveragePool"
        output, size = _adapted(self.output_size, owner, tracer.shape(value))
        if size is None:
            return tracer.operation(ops.AdaptiveAveragePool(output), value)
        return tracer.operation(ops.AveragePool(size, size, ((0, 0),) * len(size)), value)


@dataclass(frozen=True, repr=False)
class AdaptiveMaxPool(Layer):
    r"""Largest value of windows that are spread over the input, as many as are asked for.

    .. math:: y_{c,p} = \max_{q \in I_p} x_{c,q}

    with the windows of :class:`AdaptiveAveragePool`.

    Parameters
    ----------
    output_size : int or sequence of int
        Positions of the output along every spatial axis, or along each.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If the argument has a type or value that it may not have.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.AdaptiveMaxPool(5), input_shape=(16, 103)).output_shape
    (16, 5)
    """

    output_size: PerAxis

    def __post_init__(self) -> None:
        """Check the argument."""
        owner = "AdaptiveMaxPool"
        store(self, output_size=check_axes(self.output_size, "output_size", owner, minimum=1))

    def trace(self, tracer: Tracer, value: str) -> str:
        output, size = _adapted(self.output_size, "AdaptiveMaxPool", tracer.shape(value))
        if size is None:
            return tracer.operation(ops.AdaptiveMaxPool(output), value)
        return tracer.operation(ops.MaxPool(size, size, ((0, 0),) * len(size)), value)


@dataclass(frozen=True, repr=False)
class FractionalMaxPool(Layer):
    r"""Largest value of intervals that shrink the input by a ratio, such as the root of 2.

    .. math:: y_{c,p} = \max_{a_p \le q < a_{p+1}} x_{c,q}, \qquad
              a_p = \lfloor (p + u) X / P \rfloor - \lfloor u X / P \rfloor

    on each axis, with *X* positions of the input and ``P = floor(X / ratio)`` of the output. In
    training *u* is a random number for each sample and axis, so that the intervals are distorted
    a little differently each time; predictions take *u* = 1/2.

    Parameters
    ----------
    ratio : float or sequence of float
        How many times the input is as long as the output, along every spatial axis or along each;
        at least 1.
    overlapping : bool
        Whether intervals are one position longer, into the next one.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If an argument has a type or value that it may not have.

    Notes
    -----
    The intervals follow from the seed of the training step and the sample: they are the same for
    any number of threads.

    References
    ----------
    B. Graham, "Fractional max-pooling", 2014. The sequences are its pseudorandom ones.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.FractionalMaxPool(2**0.5), input_shape=(16, 25, 25)).output_shape
    (16, 17, 17)
    """

    ratio: RatioLike
    _: KW_ONLY
    overlapping: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        owner = "FractionalMaxPool"
        store(
            self,
            ratio=_check_ratio(self.ratio, owner),
            overlapping=check_flag(self.overlapping, "overlapping", owner),
        )

    def trace(self, tracer: Tracer, value: str) -> str:
        spatial = spatial_extents(tracer.shape(value), "FractionalMaxPool")
        require_rank(self.ratio, "ratio", "FractionalMaxPool", len(spatial))
        ratios = self.ratio if isinstance(self.ratio, tuple) else (self.ratio,) * len(spatial)
        output = tuple(max(int(x / r), 1) for x, r in zip(spatial, ratios, strict=True))
        return tracer.operation(ops.FractionalMaxPool(output, self.overlapping), value)


def _adapted(
    output_size: PerAxis, owner: str, shape: ops.Shape
) -> tuple[ops.Shape, ops.Shape | None]:
    """Return the output's extents, and the size of equal windows if they are all equal."""
    spatial = spatial_extents(shape, owner)
    output = for_axes(output_size, "output_size", owner, len(spatial))
    if any(x % p for x, p in zip(spatial, output, strict=True)):
        return output, None
    return output, tuple(x // p for x, p in zip(spatial, output, strict=True))


def _check_ratio(value: object, owner: str) -> RatioLike:
    if isinstance(value, (list, tuple, np.ndarray)):
        if not 1 <= len(value) <= MAX_RANK:
            expectation = f"one value, or one for each of 1 to {MAX_RANK} spatial axes"
            raise ArgumentError(refusal("ratio", owner, expectation, value))
        return tuple(check_real(item, "ratio", owner, minimum=1) for item in value)
    return check_real(value, "ratio", owner, minimum=1)
