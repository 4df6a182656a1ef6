"""What each value of a network sees of the network's input.

Two descriptions are carried from node to node, axis by axis. One is periodic and ignores where the
grids end: from it come size, stride and offset. The other is a table of what every position sees
of the input that there is, padding left out. Branches that meet see what either of them sees.

Reference: A. Araujo, W. Norris and J. Sim, "Computing receptive fields of convolutional neural
networks", Distill 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from convoi.errors import ArgumentError
from convoi.graph.nodes import INPUT
from convoi.ops.reach import MOVED, Reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convoi.graph.nodes import Graph
    from convoi.ops import Shape

__all__ = ["ReceptiveField", "receptive_fields"]

_NOTHING = (np.iinfo(np.int64).max, -1)
"""Lowest and highest input position of what sees nothing."""


@dataclass(frozen=True)
class ReceptiveField:
    """Which positions of a network's input a value depends on.

    Attributes
    ----------
    size : tuple of int
        Extent along each spatial axis of the input, from the first position that is seen to the
        last, as far from the border as if there were none. With upsampling, the largest of the
        extents that occur.
    stride : tuple of int or Fraction
        How far the field moves from one position of the value to the next: a fraction after
        upsampling, and 0 for values without positions, which see all that any position sees.
    offset : tuple of int
        Where the field of the first position begins; negative if that lies in the padding.

    Examples
    --------
    >>> from convoi import Network, nn
    >>> from convoi.graph import receptive_fields
    >>> layers = nn.Sequential(nn.Conv(4, 3, padding=1), nn.MaxPool(2), nn.Conv(4, 3), nn.Flatten())
    >>> fields = receptive_fields(Network(layers, (1, 12, 12)).graph)
    >>> fields["2"]
    ReceptiveField(size=(8, 8), stride=(2, 2), offset=(-1, -1))
    >>> fields["2"].box((0, 1))
    (slice(0, 7, None), slice(1, 9, None))
    >>> fields["3"]
    ReceptiveField(size=(12, 12), stride=(0, 0), offset=(0, 0))
    """

    size: tuple[int, ...]
    stride: tuple[int | Fraction, ...]
    offset: tuple[int, ...]
    bounds: tuple[tuple[tuple[int, int], ...], ...] = field(repr=False)
    """For each axis of the input and each position of the value, the first position that is seen
    and the one behind the last; equal where nothing is seen. One entry stands for all positions
    that see the same."""
    padded: tuple[tuple[bool, ...], ...] = field(repr=False)
    """Likewise, whether padding is among what the layers on the way see."""

    def box(self, position: Sequence[int] = ()) -> tuple[slice, ...] | None:
        """Return what a position sees, as slices of the input's spatial axes.

        Parameters
        ----------
        position : sequence of int
            An index for each spatial axis of the value; none for values without such axes.

        Returns
        -------
        tuple of slice, or None
            The smallest box; None if the position sees nothing but padding.

        Raises
        ------
        ArgumentError
            If the position lies outside of the value.
        """
        places = tuple(position) or (0,) * len(self.bounds)
        if len(places) != len(self.bounds):
            places = (0,) * len(self.bounds)  # positions of other axes all see the same
        found = []
        for axis, place in zip(self.bounds, places, strict=True):
            if len(axis) > 1 and not 0 <= place < len(axis):
                extents = tuple(len(a) for a in self.bounds)
                raise ArgumentError(
                    f"The 'position' parameter of ReceptiveField.box must lie in {extents}. "
                    f"Got {tuple(position)} instead."
                )
            low, high = axis[place if len(axis) > 1 else 0]
            if low == high:
                return None
            found.append(slice(low, high))
        return tuple(found)


def receptive_fields(graph: Graph) -> dict[str, ReceptiveField]:
    """Return the receptive field of the input and of every node of a network.

    Parameters
    ----------
    graph : Graph
        A network: its one input is called "input".

    Returns
    -------
    dict of str to ReceptiveField
        By the names of the values.
    """
    spatial = graph.shape(INPUT)[1:]
    axes: dict[str, tuple[_Axis, ...]] = {INPUT: tuple(map(_input_axis, spatial))}
    for node in graph.nodes:
        shapes = [graph.shape(value) for value in node.inputs]
        reaches = node.op.reaches(*shapes)
        output = graph.shape(node.name)
        seen = [_seen(axes[value], reaches, output) for value in node.inputs]
        axes[node.name] = tuple(reduce(_union, each) for each in zip(*seen, strict=True))
    return {value: _public(along) for value, along in axes.items()}


@dataclass(frozen=True)
class _Axis:
    """What the positions of a value see along one axis of the input."""

    reach: Reach | None
    """What they would see if the grids had no end; None if that follows no pattern."""
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    """First and last input position; one entry stands for all positions of the value."""
    padded: NDArray[np.bool_]

    @property
    def constant(self) -> bool:
        """Whether all positions see the same."""
        return self.reach is None and len(self.low) == 1


def _input_axis(extent: int) -> _Axis:
    positions = np.arange(extent)
    return _Axis(MOVED, positions, positions, np.zeros(extent, bool))


def _seen(
    axes: tuple[_Axis, ...], reaches: tuple[Reach, ...] | None, output: Shape
) -> tuple[_Axis, ...]:
    """Return what the output of an operation sees through one of its inputs."""
    if reaches is None:
        return tuple(map(_all_positions, axes))
    if all(axis.constant for axis in axes):
        return axes
    return tuple(
        axis if axis.constant else _through(axis, reach, extent)
        for axis, reach, extent in zip(axes, reaches, output[1:], strict=True)
    )


def _all_positions(axis: _Axis) -> _Axis:
    low, high = np.array([axis.low.min()]), np.array([axis.high.max()])
    return _Axis(None, low, high, np.array([bool(axis.padded.any())]))


def _through(axis: _Axis, reach: Reach, extent: int) -> _Axis:
    """Return what an axis of so many positions sees of the input through that of a value."""
    taps = reach.taps(extent)
    inside = (taps >= 0) & (taps < len(axis.low))
    taps = np.where(inside, taps, 0)
    low = np.where(inside, axis.low[taps], _NOTHING[0]).min(axis=1)
    high = np.where(inside, axis.high[taps], _NOTHING[1]).max(axis=1)
    padded: NDArray[np.bool_] = np.logical_or.reduce(~inside | axis.padded[taps], axis=1)
    return _Axis(_composed(axis.reach, reach), low, high, padded)


def _composed(inner: Reach | None, outer: Reach) -> Reach | None:
    """Return the reach through two operations, the outer one last."""
    if inner is None or outer == MOVED:
        return inner
    turns = inner.period // math.gcd(inner.period, outer.advance)
    first, last = outer.ends(np.arange(outer.period * turns))
    advance = inner.advance * (outer.advance * turns // inner.period)
    low, high = inner.ends(first)[0], inner.ends(last)[1]
    return Reach(tuple(low.tolist()), tuple(high.tolist()), advance)


def _union(one: _Axis, other: _Axis) -> _Axis:
    return _Axis(
        _joined(one.reach, other.reach),
        np.minimum(one.low, other.low),
        np.maximum(one.high, other.high),
        one.padded | other.padded,
    )


def _joined(one: Reach | None, other: Reach | None) -> Reach | None:
    """Return the reach that covers two; None if they move at different speeds."""
    if one is None or other is None:
        return None
    period = math.lcm(one.period, other.period)
    advance = one.advance * (period // one.period)
    if advance != other.advance * (period // other.period):
        return None
    ends = [reach.ends(np.arange(period)) for reach in (one, other)]
    low, high = np.minimum(ends[0][0], ends[1][0]), np.maximum(ends[0][1], ends[1][1])
    return Reach(tuple(low.tolist()), tuple(high.tolist()), advance)


def _public(axes: tuple[_Axis, ...]) -> ReceptiveField:
    described = [_described(axis) for axis in axes]
    return ReceptiveField(
        tuple(size for size, _, _ in described),
        tuple(stride for _, stride, _ in described),
        tuple(offset for _, _, offset in described),
        tuple(_bounds(axis) for axis in axes),
        tuple(tuple(axis.padded.tolist()) for axis in axes),
    )


def _described(axis: _Axis) -> tuple[int, int | Fraction, int]:
    """Return size, stride and offset."""
    if axis.reach is None:
        # A value that no pattern describes: what its first position sees stands for the offset.
        sizes = axis.high - axis.low + 1
        return max(int(sizes.max()), 0), 0, max(int(axis.low[0]), 0) if sizes[0] > 0 else 0
    reach = axis.reach
    size = max(last - first + 1 for first, last in zip(reach.first, reach.last, strict=True))
    stride = Fraction(reach.advance, reach.period)
    return size, stride.numerator if stride.denominator == 1 else stride, reach.first[0]


def _bounds(axis: _Axis) -> tuple[tuple[int, int], ...]:
    pairs = zip(axis.low.tolist(), axis.high.tolist(), strict=True)
    return tuple((low, high + 1) if low <= high else (0, 0) for low, high in pairs)
