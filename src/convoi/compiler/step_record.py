"""The record of the numbers that may change from step to step, as the host writes it.

Single words are written through memory views: after a step, which has filled the caches with other
things, NumPy's fields take several times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.kernels.optimizer import HYPER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PLACES = {name: place for place, name in enumerate(HYPER.names or ())}


class StepRecord:
    """A record of :data:`~convoi.kernels.optimizer.HYPER` in the memory of a program."""

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        record = memory[: HYPER.itemsize].data
        self._integers = record.cast("q")
        self._numbers = record.cast("d")

    def set_integer(self, field: str, value: int) -> None:
        """Write a field of integers."""
        self._integers[_PLACES[field]] = value

    def set_number(self, field: str, value: float) -> None:
        """Write a field of floats."""
        self._numbers[_PLACES[field]] = value

    def number(self, field: str) -> float:
        """Return a field of floats."""
        return self._numbers[_PLACES[field]]
