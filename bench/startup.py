"""What a process pays besides its computations: imports, compilation, calls, memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.ours import SETTING
from bench.peers import PYTORCH
from bench.process import ROOT, start_worker
from bench.task import Task, write_batch
from bench.workloads import WORKLOADS, random_batch
from convoi.graph.serialize import graph_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.options import Options

IMPORTS = (
    "import convoi",
    "from convoi import Network, nn, training",
    "from convoi import ImageClassifier",
)
PEER_IMPORT = "import torch"
MEMORY_WORKLOAD = WORKLOADS[2]
MEMORY_SECONDS = 1.0
"""How long the network is trained before its memory is read."""


@dataclass(frozen=True)
class Quantity:
    """A figure of a process."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    """Range over the rounds."""

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "range": [self.low, self.high],
        }


def measure_startup(options: Options) -> Iterator[Quantity]:
    """Measure all figures of a process."""
    yield from _imports(options)
    yield from _first_fit(options.rounds)
    yield from _overhead(options.rounds)
    yield from _peak_memory(options)


def _quantity(name: str, values: list[float], unit: str) -> Quantity:
    return Quantity(name, statistics.median(values), unit, min(values), max(values))


def _imports(options: Options) -> Iterator[Quantity]:
    commands = [(sys.executable, text) for text in IMPORTS]
    commands.append((options.torch_python, PEER_IMPORT))
    seconds: dict[str, list[float]] = {text: [] for _, text in commands}
    for _ in range(options.rounds):
        for python, text in commands:
            seconds[text].append(_import_seconds(python, text))
    for text, values in seconds.items():
        yield _quantity(f"`{text}`", values, "s")


def _import_seconds(python: str, text: str) -> float:
    code = f"import time; t = time.perf_counter(); {text}; print(time.perf_counter() - t)"
    return float(_output([python, "-c", code], os.environ))


def _first_fit(rounds: int) -> Iterator[Quantity]:
    cold, warm, following = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(_probe("fit", CONVOI_CACHE_DIR=cache)["first"])
            found = _probe("fit", CONVOI_CACHE_DIR=cache)
            warm.append(found["first"])
            following.append(found["next"])
    yield _quantity("first fit of the digits, nothing compiled yet", cold, "s")
    yield _quantity("first fit of the digits, compiled code on disk", warm, "s")
    yield _quantity("next fit in the same process", following, "s")


def _overhead(rounds: int) -> Iterator[Quantity]:
    found = [_probe("overhead") for _ in range(rounds)]

    def microseconds(part: str, without: str | None = None) -> list[float]:
        return [1e6 * (f[part] - (f[without] if without else 0)) for f in found]

    yield _quantity("LeNet-5 for one sample, native code", microseconds("native"), "µs")
    yield _quantity("overhead of a program's call", microseconds("program", "native"), "µs")
    yield _quantity("overhead of a network's call", microseconds("network", "native"), "µs")


def _probe(name: str, **environment: str) -> dict[str, float]:
    text = _output([sys.executable, "-m", "bench.probe", name], {**os.environ, **environment})
    figures: dict[str, float] = json.loads(text)
    return figures


def _output(command: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def _peak_memory(options: Options) -> Iterator[Quantity]:
    """Measure the memory of training, each side and setting in a process of its own."""
    network = MEMORY_WORKLOAD.network()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "batch.npz")
        write_batch(path, random_batch(network, MEMORY_WORKLOAD.batch, seed=0))
        task = Task("training", graph_to_dict(network.graph), str(path), options.threads)
        sides = [("Convoi", sys.executable, "bench.ours", SETTING)]
        sides += [
            (PYTORCH.name, options.torch_python, PYTORCH.module, setting)
            for setting in PYTORCH.settings
        ]
        for name, python, module, setting in sides:
            idle, peak = _memory_of(python, module, task, setting)
            what = name if setting == SETTING else f"{name}, {setting}"
            yield _quantity(f"peak memory of {what}: imported", [idle / 2**20], "MiB")
            yield _quantity(
                f"peak memory of {what}: training {MEMORY_WORKLOAD.name}", [peak / 2**20], "MiB"
            )


def _memory_of(python: str, module: str, task: Task, setting: str) -> tuple[int, int]:
    """Return the peak of a worker's memory before and after it trained a network."""
    with start_worker(python, module, os.environ) as worker:
        idle = worker.peak_memory()
        worker.prepare(task, setting)
        worker.time(setting, MEMORY_SECONDS)
        return idle, worker.peak_memory()
