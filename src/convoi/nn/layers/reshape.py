"""Layers that move values and leave them as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi import ops
from convoi.nn.layers.arguments import (
    Pairs,
    PerAxis,
    check_axes,
    check_pairs,
    explicit_padding,
    for_axes,
    spatial_extents,
)
from convoi.nn.layers.base import Layer, store

if TYPE_CHECKING:
    from convoi.nn.layers.base import Tracer


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """All values of a sample in one row: ``(channels, *spatial)`` to ``(features,)``.

    The order is NumPy's C order: the channels are slowest.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.Flatten(), input_shape=(16, 4, 4)).output_shape
    (256,)
    """

    def trace(self, tracer: Tracer, value: str) -> str:
        return tracer.operation(ops.Flatten(), value)


@dataclass(frozen=True, repr=False)
class ZeroPad(Layer):
    """Zeros around the spatial axes.

    Parameters
    ----------
    padding : int or sequence
        How many: an integer for each end of every axis, or for each axis an integer or a pair
        (low, high).

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If `padding` is something else, or negative.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.ZeroPad([(0, 1), 2]), input_shape=(3, 7, 7)).output_shape
    (3, 8, 11)
    """

    padding: Pairs

    def __post_init__(self) -> None:
        """Check the arguments."""
        store(self, padding=check_pairs(self.padding, "padding", "ZeroPad"))

    def trace(self, tracer: Tracer, value: str) -> str:
        rank = len(spatial_extents(tracer.shape(value), "ZeroPad"))
        return tracer.operation(ops.ZeroPad(explicit_padding(self.padding, "ZeroPad", rank)), value)


@dataclass(frozen=True, repr=False)
class Upsample(Layer):
    """Repeat every value along the spatial axes (nearest neighbour).

    Parameters
    ----------
    scale : int or sequence of int
        How often, along every axis or along each.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If `scale` is something else, or less than 1.

    Examples
    --------
    >>> from convoi import nn
    >>> nn.Network(nn.Upsample(2), input_shape=(3, 7, 7)).output_shape
    (3, 14, 14)
    """

    scale: PerAxis

    def __post_init__(self) -> None:
        """Check the arguments."""
        store(self, scale=check_axes(self.scale, "scale", "Upsample", minimum=1))

    def trace(self, tracer: Tracer, value: str) -> str:
        rank = len(spatial_extents(tracer.shape(value), "Upsample"))
        scale = for_axes(self.scale, "scale", "Upsample", rank)
        return tracer.operation(ops.Upsample(scale), value)
