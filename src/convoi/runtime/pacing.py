"""Which of two ways to run a program is the quicker one: found out again and again, as it runs.

Whether threads gain from sharing calls of microseconds depends on what no model knows: how far
apart their cores are (a barrier takes 0.1 or 0.5 us on the same machine, as its host places it),
and who else wants them. Results are the same either way.
"""

from __future__ import annotations

from statistics import median

TRIED = 14
"""Runs of each way in a trial."""
SETTLING = 8
"""The first of them, which do not count: workers wake up and find a core, caches fill."""
SOON = 64
"""Runs to the next trial when a way has just been chosen: its times may have been disturbed."""
PERIOD = 2048
"""Runs between trials once they agree: trials of a way that is half as quick cost less than 1%."""
LONG = 2e-3
"""Seconds of a shared run from which sharing is taken to pay, and nothing is tried."""


class Pace:
    """The choice between sharing (True) and the other way (False), run by run.

    Each trial that chooses as the one before doubles the runs to the next, from `SOON` to `PERIOD`.
    """

    def __init__(self) -> None:
        self._run = 0
        self._period = 0
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
        elif self._run >= 2 * TRIED + self._period:
            self._run = 0

    def _decide(self, *, shares: bool) -> None:
        doubled = min(2 * self._period, PERIOD) if shares == self._shares else 0
        self._period = max(doubled, SOON)
        self._shares = shares
        self._run = 2 * TRIED
        self._times = {True: [], False: []}
