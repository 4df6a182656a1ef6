"""What is measured in a fresh process: ``python -m bench.probe NAME`` prints a line of JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from bench.workloads import WORKLOADS, random_batch
from convoi import Network, nn, training
from convoi.compiler import InferenceProgram
from convoi.data import load_dataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from convoi.runtime.threads import Pool

PREDICTIONS = 2000
"""Predictions of one sample, of which the median is taken."""
WARM_UP = 200


def fit() -> dict[str, float]:
    """Return the seconds of a process's first fit on the digits, and of another one after it.

    Both make a network and train it for one epoch.
    """
    digits = load_dataset("digits").train
    X, y = np.asarray(digits.X, np.float32) / 16, np.asarray(digits.y, np.int64)

    def once() -> None:
        network = Network(nn.networks.two_conv(), X.shape[1:], random_state=0)
        training.fit(network, X, y, epochs=1, random_state=0, verbose=False)

    start = time.perf_counter()
    once()
    first = time.perf_counter()
    once()
    return {"first": first - start, "next": time.perf_counter() - first}


class _TimedPool:
    """Runs programs as the pool does, and notes how long each took."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.seconds: list[float] = []

    def execute(self, program: int, threads: int) -> None:
        """Run a program; see :meth:`convoi.runtime.threads.Pool.execute`."""
        start = time.perf_counter()
        self._pool.execute(program, threads)
        self.seconds.append(time.perf_counter() - start)


def overhead() -> dict[str, float]:
    """Return the median seconds of parts of predicting one sample by LeNet-5 on one thread.

    ``network`` is the call of a Network, ``program`` that of the compiled program in it, and
    ``native`` the part of it that machine code runs.
    """
    network = WORKLOADS[0].network()
    sample = random_batch(network, 1, seed=0).X
    single = Network(network.graph, parameters=network.parameters, threads=1)
    program = InferenceProgram(network.graph, threads=1)
    program.load(network.parameters)
    assert np.array_equal(single(sample), program(sample))
    seconds = {
        "network": _median(lambda: single(sample)),
        "program": _median(lambda: program(sample)),
    }
    timed = _TimedPool(program._pool)  # noqa: SLF001 - the border between Python and native code
    program._pool = timed  # type: ignore[assignment]  # noqa: SLF001
    _median(lambda: program(sample))
    return {**seconds, "native": statistics.median(timed.seconds[WARM_UP:])}


def _median(run: Callable[[], object]) -> float:
    """Return the median seconds of a call."""
    durations = []
    for _ in range(WARM_UP + PREDICTIONS):
        start = time.perf_counter()
        run()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations[WARM_UP:])


if __name__ == "__main__":
    print(json.dumps({"fit": fit, "overhead": overhead}[sys.argv[1]]()))
