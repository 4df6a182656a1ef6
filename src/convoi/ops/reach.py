"""Which positions of its input a position of an operation's output sees, axis by axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Reach:
    """What the output positions of one axis see of the input: runs that repeat with a period.

    With ``j, i = divmod(p, len(first))``, output position *p* sees the input positions from
    ``first[i] + advance * j`` to ``last[i] + advance * j``, both included, in steps of `step`.
    Those outside of the input are padding.

    Examples
    --------
    A window of 3 elements with stride 2, dilation 4 and one zero in front:

    >>> reach = Reach.of_window(size=3, stride=2, dilation=4, padding=1)
    >>> reach
    Reach(first=(-1,), last=(7,), advance=2, step=4)
    >>> reach.taps(2)
    array([[-1,  3,  7],
           [ 1,  5,  9]])

    Nearest-neighbour upsampling by 2:

    >>> Reach((0, 0), (0, 0), advance=1).taps(4).ravel()
    array([0, 0, 1, 1])
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    advance: int
    step: int = 1

    @classmethod
    def of_window(cls, size: int, stride: int = 1, dilation: int = 1, padding: int = 0) -> Reach:
        """Return the reach of a sliding window with `padding` positions before the input."""
        return cls((-padding,), (dilation * (size - 1) - padding,), stride, dilation)

    @property
    def period(self) -> int:
        """Output positions after which the pattern repeats."""
        return len(self.first)

    def ends(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first and the last input position that any output positions see."""
        turns, phase = np.divmod(positions, self.period)
        moved = self.advance * turns
        return np.asarray(self.first)[phase] + moved, np.asarray(self.last)[phase] + moved

    def taps(self, positions: int) -> NDArray[np.int64]:
        """Return all that the first output positions see, a row each.

        A row that sees less than others is filled up with its last position.
        """
        first, last = self.ends(np.arange(positions))
        count = int((last - first).max(initial=0)) // self.step + 1
        taps: NDArray[np.int64] = first[:, None] + self.step * np.arange(count)
        return np.minimum(taps, last[:, None])


MOVED = Reach((0,), (0,), 1)
"""Every position sees the one at the same place."""
