"""What measuring the candidates of a choice found, and which of them it is decided for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTICED = 0.97
"""Ratio of times from which a candidate is taken for quicker than the model's choice."""


@dataclass(frozen=True)
class Tuned:
    """What was measured of one layer, or of one segment.

    Attributes
    ----------
    layer : str
        Its name; of a segment the first and the last thing that it computes.
    part : {'forward', 'backward', 'weights', 'predict', 'train'}
        Which pass; of segments, which program.
    signature : str
        What the choice depends on.
    model : str
        The candidate that the cost model chooses.
    best : str
        The one that is chosen after measuring.
    seconds : dict of str to float
        Time per sample of each candidate, on one thread.
    """

    layer: str
    part: str
    signature: str
    model: str
    best: str
    seconds: dict[str, float]

    @classmethod
    def decided(
        cls, layer: str, part: str, signature: str, model: str, seconds: Mapping[str, float]
    ) -> Tuned:
        """Return the decision: the model's choice, unless another one is noticeably quicker."""
        best = min(seconds, key=lambda name: seconds[name])
        if seconds[best] > NOTICED * seconds[model]:
            best = model
        return cls(layer, part, signature, model, best, dict(seconds))

    @property
    def gain(self) -> float:
        """How many times as quick as the model's choice the best is."""
        return self.seconds[self.model] / self.seconds[self.best]
