"""How time and memory of a training step grow: with batch, depth, width, image size and threads.

Each point has a process of its own on each side, so that the peak of its memory is that of one
network in one setting. What the process occupied before is subtracted.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.ours import SETTING
from bench.peers import PYTORCH
from bench.process import start_worker
from bench.task import Task, write_batch
from bench.workloads import Workload, random_batch
from convoi.graph.serialize import graph_to_dict
from convoi.nn import networks
from convoi.runtime.threads import default_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.options import Options

BATCHES = (64, 128, 256, 512, 1024, 2048, 4096)
DEPTHS = (8, 20, 32, 56)
WIDTHS = (8, 16, 32, 64)
EXTENTS = (16, 32, 64, 128)
QUICK_POINTS = 2
"""How many points of each axis a quick run has."""


@dataclass(frozen=True)
class Point:
    """A training step of one network on one side."""

    axis: str
    """What grows."""
    value: int
    side: str
    setting: str
    samples: int
    threads: int
    seconds: float
    """Of a step."""
    memory: int
    """Bytes that the process occupied at most, besides those before the network was made."""

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {**vars(self), "seconds_per_sample": self.seconds / self.samples}


@dataclass(frozen=True)
class _Case:
    """What is measured at one value of an axis."""

    axis: str
    value: int
    workload: Workload
    threads: int


def measure_scaling(options: Options) -> Iterator[Point]:
    """Measure each point of each axis, Convoi and, where it is there, PyTorch."""
    with_peer = not options.peers or PYTORCH.key in options.peers
    for case in _cases(options):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "batch.npz")
            network = case.workload.network()
            write_batch(path, random_batch(network, case.workload.batch, seed=0))
            task = Task("training", graph_to_dict(network.graph), str(path), case.threads)
            yield _measure(case, task, options, "Convoi", SETTING)
            if not with_peer:
                continue
            for setting in PYTORCH.settings:
                yield _measure(case, task, options, PYTORCH.name, setting)


def _cases(options: Options) -> Iterator[_Case]:
    def some(values: tuple[int, ...]) -> tuple[int, ...]:
        return values[:QUICK_POINTS] if options.quick else values

    def residual(depth: int, width: int, extent: int, batch: int) -> Workload:
        name = f"ResNet-{depth}, width {width}, {extent}x{extent}"
        layers = networks.resnet(depth=depth, width=width)
        return Workload(name, layers, (3, extent, extent), batch)

    threads = options.threads
    for batch in some(BATCHES):
        workload = Workload("two convolutions", networks.two_conv(), (1, 28, 28), batch)
        yield _Case("batch", batch, workload, threads)
    for depth in some(DEPTHS):
        yield _Case("depth", depth, residual(depth, 16, 32, 64), threads)
    for width in some(WIDTHS):
        yield _Case("width", width, residual(8, width, 32, 64), threads)
    for extent in some(EXTENTS):
        yield _Case("image size", extent, residual(8, 16, extent, 32), threads)
    for count in some(tuple(range(1, default_threads() + 1))):
        yield _Case("threads", count, residual(20, 16, 32, 64), count)


def _measure(case: _Case, task: Task, options: Options, side: str, setting: str) -> Point:
    ours = setting == SETTING
    python = sys.executable if ours else options.torch_python
    module = "bench.ours" if ours else PYTORCH.module
    # For the sake of its memory, PyTorch has its default allocator here.
    with start_worker(python, module, os.environ) as worker:
        idle = worker.peak_memory()
        worker.prepare(task, setting)
        seconds = min(worker.time(setting, options.slice_seconds) for _ in range(options.rounds))
        memory = worker.peak_memory() - idle
    samples = case.workload.batch
    return Point(case.axis, case.value, side, setting, samples, case.threads, seconds, memory)


def best_points(points: list[Point]) -> dict[tuple[str, int], dict[str, Point]]:
    """Return for each value of each axis the point of each side in its quickest setting."""
    found: dict[tuple[str, int], dict[str, Point]] = {}
    for point in points:
        sides = found.setdefault((point.axis, point.value), {})
        if point.side not in sides or point.seconds < sides[point.side].seconds:
            sides[point.side] = point
    return found


def least_memory(points: list[Point], axis: str, value: int, side: str) -> int:
    """Return the memory of a side in the setting that takes the least."""
    return min(p.memory for p in points if (p.axis, p.value, p.side) == (axis, value, side))


def scaling_summary(points: list[Point]) -> list[str]:
    """Return what the figures say of growth, threads and memory."""
    ours = {(p.axis, p.value): p for p in points if p.side == "Convoi"}
    lines = []
    per_sample = [p.seconds / p.samples for (axis, _), p in ours.items() if axis == "batch"]
    if per_sample:
        spread = max(per_sample) / min(per_sample) - 1
        lines.append(f"Time per sample over batches: within {100 * spread:.0f}%.")
    threads = {value: p.seconds for (axis, value), p in ours.items() if axis == "threads"}
    lines += [
        f"{count} threads: {threads[1] / seconds:.2f} times as fast as one."
        for count, seconds in threads.items()
        if count > 1 and 1 in threads
    ]
    ratios = {
        (axis, value): p.memory / least_memory(points, axis, value, PYTORCH.name)
        for (axis, value), p in ours.items()
        if any(q.side == PYTORCH.name and (q.axis, q.value) == (axis, value) for q in points)
    }
    if ratios:
        worst = max(ratios, key=ratios.__getitem__)
        lines.append(
            f"Peak memory of a step: {min(ratios.values()):.2f} to {ratios[worst]:.2f} of "
            f"{PYTORCH.name}'s least (most for {worst[0]} {worst[1]})."
        )
    return lines
