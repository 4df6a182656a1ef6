"""Which of two ways to run a program is the quicker one: found out again and again, as it runs.

Whether threads gain from sharing calls of microseconds depends on what no model knows: how far
apart their cores are (a barrier takes 0.1 or 0.5 us on the same machine, as its host places it),
and who else wants them. Results are the same either way.
"""

from __future__ import annotations

from statistics import median

TRIED = 6
"""Runs of each way in a trial."""
SETTLING = 2
"""The first of them, which do not count: workers wake up, caches fill."""
PERIOD = 1024
"""Runs from one trial to the next: trials of a way that is half as quick cost less than 1%."""
LONG = 2e-3
"""Seconds of a shared run from which sharing is taken to pay, and nothing is tried."""


class Pace:
    """The choice between sharing (True) and the other way (False), run by run."""

    def __init__(self) -> None:
        self._run = 0
        self._shares = True
        self._times: dict[bool, list[float]] = {True: [], False: []}

    def shares(self) -> bool:
        """Return the way of the next run."""
        if self._run < TRIED:
            return True
        if self._run < 2 * TRIED:
            return False
        return self._shares

    def note(self, seconds: float) -> None:
        """Take note of how long a run took."""
        shares = self.shares()
        self._run += 1
        if self._run <= 2 * TRIED:
            self._times[shares].append(seconds)
            if self._run == TRIED and min(self._times[True]) >= LONG:
                self._decide(shares=True)
            elif self._run == 2 * TRIED:
                usual = {way: median(times[SETTLING:]) for way, times in self._times.items()}
                self._decide(shares=usual[True] <= usual[False])
        elif self._run >= PERIOD:
            self._run = 0

    def _decide(self, *, shares: bool) -> None:
        self._shares = shares
        self._run = 2 * TRIED
        self._times = {True: [], False: []}
