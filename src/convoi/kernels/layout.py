"""How the activations of a network lie in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from convoi.codegen.types import ELEMENTS, Scalar, Vector

Pair = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """An activation in memory: ``[sample][*spatial, with halo][channel]``.

    Channels are padded to ``stride`` elements, a multiple of ``lanes`` (a network's input may
    stay unpadded: ``lanes`` is then 1). Invariants that all kernels keep: the halo is zero, and
    lanes beyond the channels are finite in activations and zero in gradients and parameters.
    """

    channels: int
    spatial: tuple[int, ...]
    lanes: int
    dtype: str = "float32"
    halo: tuple[Pair, ...] = ()
    """(low, high) per spatial axis; empty: none."""

    def __post_init__(self) -> None:
        if not self.halo:
            object.__setattr__(self, "halo", ((0, 0),) * len(self.spatial))

    @property
    def element(self) -> Scalar:
        """LLVM's type of an element."""
        return ELEMENTS[self.dtype]

    @property
    def vector(self) -> Vector:
        """LLVM's type of a vector of channels."""
        return Vector(self.element, self.lanes)

    @property
    def stride(self) -> int:
        """Elements from one position to the next: the padded channels."""
        return -(-self.channels // self.lanes) * self.lanes

    @property
    def blocks(self) -> int:
        """Vectors of channels per position."""
        return self.stride // self.lanes

    @property
    def extents(self) -> tuple[int, ...]:
        """Positions per axis, halo included."""
        return tuple(s + lo + hi for s, (lo, hi) in zip(self.spatial, self.halo, strict=True))

    @property
    def axis_strides(self) -> tuple[int, ...]:
        """Elements from one position to the next along each spatial axis."""
        strides = []
        step = self.stride
        for extent in reversed(self.extents):
            strides.append(step)
            step *= extent
        return tuple(reversed(strides))

    @property
    def size(self) -> int:
        """Elements from a sample to the next: every sample begins at a full vector.

        Samples a multiple of 1 KiB apart would displace one another: they share a few sets of the
        first-level cache. Those lie a cache line further apart.
        """
        elements = math.prod(self.extents) * self.stride
        granule = max(self.lanes, 64 // self.element.size)
        lines = -(-elements // granule)
        return (lines + (lines > 0 and lines % 16 == 0)) * granule

    @property
    def bytes(self) -> int:
        """Bytes of a sample."""
        return self.size * self.element.size

    @property
    def positions(self) -> int:
        """Positions of a sample, without the halo."""
        return math.prod(self.spatial)

    @property
    def origin(self) -> int:
        """Element at which the first position inside the halo begins."""
        return sum(
            lo * stride for (lo, _), stride in zip(self.halo, self.axis_strides, strict=True)
        )

    @property
    def has_halo(self) -> bool:
        """Whether any side has a halo."""
        return any(pair != (0, 0) for pair in self.halo)
