"""How a call is timed where calls are short and many."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def slice_seconds(call: Callable[[], Any], budget: float, threads: int) -> float:
    """Return the seconds of a call, averaged over a slice of time.

    With one thread it is the processor's time, which other processes do not add to.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    calls, start = 0, clock()
    while True:
        call()
        calls += 1
        spent = clock() - start
        if spent >= budget:
            return spent / calls
