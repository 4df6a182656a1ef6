"""The loop inside a worker process: one line of JSON in, one line of JSON out.

Requests are objects with the key ``do``, the name of a command, and the command's arguments.
Replies are objects; one with the key ``error`` holds the text of an exception.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import statistics
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.task import Batch, Task, read_batch, write_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

WARM_UP_SHARE = 0.2
"""Part of a slice that passes before it is timed: caches warm up, the other side's idle threads
stop spinning."""


class Runner(Protocol):
    """A network in one setting, ready to be timed."""

    def run(self) -> None:
        """Do the task once."""

    def results(self, batch: Batch) -> Mapping[str, NDArray[Any]]:
        """Do the task once, with this batch and its parameters; return all that it gives."""


class Engine(Protocol):
    """One side of a comparison."""

    def describe(self) -> dict[str, str]:
        """Return the versions of what it consists of."""

    def prepare(self, task: Task, setting: str) -> Runner:
        """Build a network in a setting."""


def serve(engine: Engine) -> None:
    """Answer requests about networks until the input ends."""
    answer(Commands(engine))


def answer(commands: object) -> None:
    """Answer requests until the input ends; they name methods of the object."""
    # Whatever a library prints must not mix with the replies.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = getattr(commands, request.pop("do"))(**request)
        except Exception:  # noqa: BLE001 - the other end decides what to do about it
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), file=replies, flush=True)


class Commands:
    """What a worker can be asked: each method is a command."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._runners: dict[str, Runner] = {}

    def describe(self) -> dict[str, str]:
        """Return the versions of what the engine consists of."""
        return self._engine.describe()

    def prepare(self, task: dict[str, Any], setting: str) -> dict[str, float]:
        """Build a network in a setting and run it once; the reply is how long that took."""
        start = time.perf_counter()
        runner = self._engine.prepare(Task(**task), setting)
        runner.run()
        self._runners[setting] = runner
        return {"seconds": time.perf_counter() - start}

    def results(self, setting: str, batch: str, into: str) -> dict[str, Any]:
        """Write what a network makes of the batch in one file to another file."""
        write_arrays(into, self._runners[setting].results(read_batch(batch)))
        return {}

    def time(self, setting: str, seconds: float) -> dict[str, float]:
        """Run for so many seconds; the reply is the median time of a run, and how many were."""
        run = self._runners[setting].run
        clock = time.perf_counter
        end = clock() + WARM_UP_SHARE * seconds
        run()
        while clock() < end:
            run()
        durations = []
        now = clock()
        end = now + seconds
        while now < end:
            run()
            before, now = now, clock()
            durations.append(now - before)
        return {"seconds": statistics.median(durations), "runs": len(durations)}

    def forget(self) -> dict[str, Any]:
        """Drop all networks."""
        self._runners.clear()
        gc.collect()
        return {}

    def peak_memory(self) -> dict[str, int]:
        """Return the most memory that the process has occupied so far, in bytes."""
        return {"bytes": _peak_memory()}


def _peak_memory() -> int:
    # Linux lets a child's ru_maxrss begin with its parent's; VmHWM is the process's own.
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024
