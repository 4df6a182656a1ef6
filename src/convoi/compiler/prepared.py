"""Training steps whose arrays have been checked, ready to be taken."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convoi.compiler.boundary import GEOMETRY, SAMPLES, SOURCE
from convoi.compiler.pipeline import PREDICTION
from convoi.compiler.rules_loss import LOSS
from convoi.graph import LENGTH, TARGET, WEIGHT
from convoi.runtime.buffers import address_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convoi.compiler.sources import Source
    from convoi.ops import Array


@dataclass(frozen=True, eq=False)
class PreparedStep:
    """The arrays of a training step after all checks: what it reads, and what it writes.

    Where programs are to take many steps, it pays to prepare some of them at once: a step fills the
    caches with its own data, so that whatever Python does between two of them takes ten times as
    long as it does elsewhere.
    """

    source: Source
    table: NDArray[np.void]
    """Which rows of the source are packed, and how they are changed."""
    packing: int
    """Address of the kernel that packs them."""
    target: Array
    weight: Array
    lengths: NDArray[np.int64]
    """Of a masked program's samples; empty for others."""
    losses: Array
    """Result, ``(b,)``: the weighted loss of each sample."""
    prediction: Array
    """Result, ``(b, *output_shape)``."""
    surplus: float = 0.0
    """What padding among the targets adds to the sum of the losses."""
    addresses: dict[str, int] = field(init=False, repr=False)
    """Of all the arrays, by the buffers of a program."""

    def __post_init__(self) -> None:
        addresses = {
            SOURCE: self.source.address,
            GEOMETRY: self.source.geometry_address,
            SAMPLES: address_of(self.table),
            TARGET: address_of(self.target),
            WEIGHT: address_of(self.weight),
            LENGTH: address_of(self.lengths),
            LOSS: address_of(self.losses),
            PREDICTION: address_of(self.prediction),
        }
        object.__setattr__(self, "addresses", addresses)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.table)

    @property
    def loss(self) -> float:
        """The sum of the weighted losses, after the step has been taken."""
        return math.fsum(self.losses.tolist()) - self.surplus
