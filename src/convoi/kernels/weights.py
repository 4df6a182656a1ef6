"""How the weights of convolutions lie in memory.

A block is some vectors of output channels. Within a block, weights lie as
``[tap][input channel][output channel of the block]``, so a kernel loads vectors of output
channels and walks through memory as it walks through taps and input channels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Indices: TypeAlias = NDArray[np.int64]
MOST_SPANNED = 2
"""Vectors of inputs that a shuffle may choose from."""
MOST_UNROLLED = 16
"""Input channels of a group whose products are written out, without a loop."""


def _shared(method: Callable[[WeightLayout], Indices]) -> Callable[[WeightLayout], Indices]:
    """Return a method whose result equal layouts share, as long as one of them is in use.

    Networks repeat layers; the indices take twice the memory of the weights.
    """
    known: WeakValueDictionary[WeightLayout, Indices] = WeakValueDictionary()

    @functools.wraps(method)
    def once(layout: WeightLayout) -> Indices:
        found = known.get(layout)
        if found is None:
            found = known[layout] = method(layout)
            found.flags.writeable = False
        return found

    return once


@dataclass(frozen=True)
class WeightLayout:
    """Packed weights ``[block][tap][input channel][output channel]``.

    With groups, the output channels of a block may belong to several groups; the block then holds
    the input channels of all of them, and zeros where the two belong to different groups. Or, per
    lane, each output channel has those of its own group, and nothing is multiplied by zero.
    """

    outputs: int
    """Output channels."""
    inputs: int
    """Input channels, of all groups together."""
    taps: int
    groups: int
    lanes: int
    blocks: tuple[int, ...]
    """Vectors of output channels per block; together they cover the padded output channels."""
    per_lane: bool = False
    """Whether the n-th input channel of each lane is the n-th of its group; blocks are vectors."""

    @property
    def group_sizes(self) -> tuple[int, int]:
        """Output channels and input channels of a group."""
        return self.outputs // self.groups, self.inputs // self.groups

    @property
    def span(self) -> int:
        """Input channels, next to each other, of the groups of a vector."""
        outputs, inputs = self.group_sizes
        return self.lanes // outputs * inputs

    def may_be_per_lane(self, stride: int) -> bool:
        """Tell whether whole groups share a vector, and its input channels can be loaded at once.

        ``stride`` is the memory from one position of the input to the next, in elements.
        """
        outputs, inputs = self.group_sizes
        if self.groups == 1 or outputs >= self.lanes or self.lanes % outputs:
            return False
        within = len(self.blocks) * self.span <= stride
        small = self.span <= MOST_SPANNED * self.lanes and inputs <= MOST_UNROLLED
        return within and small and max(self.blocks) == 1

    @property
    def starts(self) -> tuple[int, ...]:
        """First input channel of each block."""
        if self.groups == 1:
            return (0,) * len(self.blocks)
        if self.per_lane:
            return tuple(range(0, len(self.blocks) * self.span, self.span))
        per_group, step = self.group_sizes
        limit = self.inputs - self.reduction
        firsts = np.cumsum((0, *self.blocks[:-1])) * self.lanes
        return tuple(
            min(int(min(first, self.outputs - 1)) // per_group * step, limit) for first in firsts
        )

    @property
    def reduction(self) -> int:
        """Input channels that a block sums over."""
        per_group, step = self.group_sizes
        if self.groups == 1 or self.per_lane:
            return step
        widest = 0
        first = 0
        for block in self.blocks:
            last = min(first + block * self.lanes, self.outputs) - 1
            if last >= first:
                widest = max(widest, (last // per_group - first // per_group + 1) * step)
            first += block * self.lanes
        return widest

    @property
    def size(self) -> int:
        """Elements, padding included."""
        return sum(self.blocks) * self.lanes * self.taps * self.reduction

    def block_offset(self, block: int) -> int:
        """Return the element at which a block begins."""
        return sum(self.blocks[:block]) * self.lanes * self.taps * self.reduction

    def coordinates(self) -> tuple[Indices, Indices, Indices]:
        """Return (output channel, tap, input channel) of every packed element; -1 for padding."""
        outputs, taps, inputs = [], [], []
        first = 0
        for block, start in zip(self.blocks, self.starts, strict=True):
            width = block * self.lanes
            tap, channel, output = np.meshgrid(
                np.arange(self.taps),
                start + np.arange(self.reduction),
                first + np.arange(width),
                indexing="ij",
            )
            if self.per_lane:
                per_group, step = self.group_sizes
                channel = output // per_group * step + channel - start
            outputs.append(output.ravel())
            taps.append(tap.ravel())
            inputs.append(channel.ravel())
            first += width
        k, t, c = (np.concatenate(parts) for parts in (outputs, taps, inputs))
        padding = k >= self.outputs
        if self.groups > 1:
            group = k // (self.outputs // self.groups)
            padding |= group != c // (self.inputs // self.groups)
        k[padding] = -1
        return k, t, c

    @_shared
    def forward_indices(self) -> Indices:
        """Return the flat index in weights ``(K, C/groups, *taps)`` of every packed element.

        Padding is -1. Here ``outputs`` are K and ``inputs`` are C.
        """
        k, t, c = self.coordinates()
        per_group = self.inputs // self.groups
        flat = (k * per_group + c % per_group) * self.taps + t
        return np.where(k < 0, -1, flat)

    @_shared
    def backward_indices(self) -> Indices:
        """Return the same for the gradient with respect to the input.

        Here ``outputs`` are C and ``inputs`` are K: the roles are exchanged.
        """
        c, t, k = self.coordinates()
        per_group = self.outputs // self.groups
        flat = (k * per_group + c % per_group) * self.taps + t
        return np.where(c < 0, -1, flat)
