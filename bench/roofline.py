"""Each kernel of a network beside the two roofs: the peak of multiply-adds and the memory.

S. Williams, A. Waterman and D. Patterson, "Roofline: an insightful visual performance model for
multicore architectures", Communications of the ACM 52 (4), 2009.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.workloads import WORKLOADS, random_batch
from convoi.compiler import InferenceProgram, TrainingProgram
from convoi.compiler.peak import measured_peak
from convoi.ops import Conv, ConvBackwardData, ConvBackwardWeight, CrossEntropy, Dense
from convoi.runtime.plan import Extent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.options import Options
    from bench.task import Batch
    from bench.workloads import Workload
    from convoi import Network
    from convoi.compiler.pipeline import Compiled
    from convoi.runtime.program import Instance
    from convoi.runtime.threads import Pool

COPIED_BYTES = 128 << 20
"""Of the arrays that the bandwidth is measured with: much more than caches hold."""
ROUNDS = 8
LEAST_SECONDS = 1e-8
"""A call that takes less than its measurement counts as this."""
NEAR = 0.8
"""Fraction of the peak from which a kernel counts as near to it."""
PRODUCTS = (Conv, Dense, ConvBackwardData, ConvBackwardWeight)
"""Operations that are made of multiply-adds."""


@dataclass(frozen=True)
class Roofs:
    """What one core can do."""

    flops: float
    """Floating-point operations per second."""
    bandwidth: float
    """Bytes per second that are read and written in a copy."""


@dataclass(frozen=True)
class KernelPoint:
    """One kernel in a network."""

    network: str
    mode: str
    layer: str
    kernel: str
    seconds: float
    """Per sample, on one thread."""
    operations: int
    """Per sample: two for each multiply-add of the definition."""
    bytes: float
    """Per sample, that its operands have; many of them lie in caches."""
    roofs: Roofs

    @property
    def of_peak(self) -> float:
        """Fraction of the peak; above 1 for forms that multiply less."""
        return self.operations / self.seconds / self.roofs.flops

    @property
    def of_bandwidth(self) -> float:
        """Fraction of the memory's bandwidth; above 1 where operands lie in caches."""
        return self.bytes / self.seconds / self.roofs.bandwidth

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""
        fields = {name: value for name, value in vars(self).items() if name != "roofs"}
        return {
            **fields,
            "gflops": self.operations / self.seconds / 1e9,
            "intensity": self.operations / self.bytes if self.bytes else None,
            "of_peak": self.of_peak,
            "of_bandwidth": self.of_bandwidth,
            "peak_gflops": self.roofs.flops / 1e9,
            "bandwidth_gbytes": self.roofs.bandwidth / 1e9,
        }


@dataclass
class _CallTimer:
    """Stands in for a program's report: times each call of its first convoy instead of a run."""

    seconds: list[tuple[float, int]]

    def run(self, instance: Instance, pool: Pool, external: Mapping[str, int], count: int) -> None:
        """Time the calls; keep the quickest of several rounds."""
        del count
        found = instance.run_calls(pool, external)
        if not self.seconds:
            self.seconds += found
        else:
            pairs = zip(self.seconds, found, strict=True)
            self.seconds[:] = [min(before, after) for before, after in pairs]


def measured_bandwidth() -> float:
    """Return the bytes per second that one thread reads and writes when it copies an array."""
    source = np.ones(COPIED_BYTES // 8)
    target = np.empty_like(source)
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best


def measure_roofline(options: Options) -> Iterator[KernelPoint]:
    """Measure the kernels of each network, predicting and training."""
    roofs = Roofs(2 * measured_peak(), measured_bandwidth())
    for workload in WORKLOADS:
        if workload.name in options.networks and workload.most_samples is None:
            yield from _predicting(workload, roofs)
            yield from _training(workload, roofs)


def _predicting(workload: Workload, roofs: Roofs) -> Iterator[KernelPoint]:
    network = workload.network()
    program = InferenceProgram(network.graph, threads=1)
    program.load(network.parameters)
    X = random_batch(network, workload.batch, seed=0).X
    program(X)
    timer = _CallTimer([])
    program._report = timer  # type: ignore[assignment]  # noqa: SLF001 - only a run can be timed
    for _ in range(ROUNDS):
        program(X)
    compiled = program._compiled  # noqa: SLF001 - what it consists of
    yield from _points(workload.name, "inference", network, compiled, timer, roofs)


def _training(workload: Workload, roofs: Roofs) -> Iterator[KernelPoint]:
    network = workload.network()
    program = TrainingProgram(network.graph, CrossEntropy(), None, threads=1)
    program.load(network.parameters)
    batch = random_batch(network, workload.batch, seed=0)
    _differentiate(program, batch)
    timer = _CallTimer([])
    program._report = timer  # type: ignore[assignment]  # noqa: SLF001
    for _ in range(ROUNDS):
        _differentiate(program, batch)
    plan = program._instance.plan  # noqa: SLF001
    labels = {call.label for call in program._compiled.plan.calls}  # noqa: SLF001
    # What packs weights and adds up gradients is no kernel of a layer.
    kept = [
        taken for call, taken in zip(plan.calls, timer.seconds, strict=True) if call.label in labels
    ]
    timer.seconds = kept
    yield from _points(workload.name, "training", network, program._compiled, timer, roofs)  # noqa: SLF001


def _differentiate(program: TrainingProgram, batch: Batch) -> None:
    n = len(batch.X)
    program.gradients(batch.X, np.arange(n), batch.y, np.full(n, 1 / n, np.float32))


def _points(  # noqa: PLR0917 - a program, and what was measured of it
    name: str, mode: str, network: Network, compiled: Compiled, timer: _CallTimer, roofs: Roofs
) -> Iterator[KernelPoint]:
    operations = _operations(network, compiled)
    calls = [(call, segment) for segment in compiled.plan.segments for call in segment.calls]
    for (call, segment), (taken, samples) in zip(calls, timer.seconds, strict=True):
        if segment.extent is not Extent.BATCH:
            continue
        moved = call.traffic.moved(samples, samples) / samples
        seconds = max(taken, LEAST_SECONDS)
        label = call.label.removesuffix(" sums")
        count = operations.get(label, 0)
        yield KernelPoint(
            name, mode, call.label, call.kernel, seconds / samples, count, moved, roofs
        )


def _operations(network: Network, compiled: Compiled) -> dict[str, int]:
    """Return the operations of each task that is made of products, by what it writes."""
    graph = network.graph
    found = {}
    for task in compiled.tasks:
        if isinstance(task.node.op, PRODUCTS):
            layer = graph.node(task.node.name.partition("/")[0].partition("|")[0])
            while not isinstance(layer.op, (Conv, Dense)):  # a normalisation that was folded
                layer = graph.node(layer.inputs[0])
            cost = layer.op.cost(*map(graph.shape, layer.inputs))
            found[task.output] = 2 * cost.multiply_adds
    return found


def roofline_summary(points: list[KernelPoint]) -> list[str]:
    """Return how fast the kernels with products compute, and the others move their operands."""
    lines = []
    for network, mode in dict.fromkeys((p.network, p.mode) for p in points):
        here = [p for p in points if (p.network, p.mode) == (network, mode)]
        roofs, total = here[0].roofs, sum(p.seconds for p in here)
        products = [p for p in here if p.operations]
        rest = [p for p in here if not p.operations]
        taken = sum(p.seconds for p in products)
        rate = sum(p.operations for p in products) / taken / roofs.flops
        near = sum(p.seconds for p in products if p.of_peak >= NEAR) / taken
        line = (
            f"{network}, {mode}: products take {100 * taken / total:.0f}% of the time, at "
            f"{rate:.2f} of the peak, {100 * near:.0f}% of it at {NEAR} or more"
        )
        if rest:
            moved = sum(p.bytes for p in rest) / sum(p.seconds for p in rest)
            line += f"; the rest moves {moved / roofs.bandwidth:.2f} times what a copy does"
        lines.append(f"{line}.")
    return lines
