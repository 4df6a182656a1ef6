"""Networks beside PyTorch: training steps, predictions for a batch and for one sample."""

from __future__ import annotations

import os
import re
import statistics
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bench.agreement import disagreement
from bench.ours import SETTING
from bench.process import WorkerError, start_worker
from bench.task import Mode, Task, read_arrays, write_batch
from bench.workloads import WORKLOADS, Workload, random_batch
from convoi.graph.serialize import graph_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from bench.options import Options
    from bench.process import Worker
    from convoi import Network

BATCH_OF_INFERENCE = 256
SMALL_BATCH = 2
SMALL_BATCHES = 8
"""Batches of few samples, on one of which gradients must agree in every element: rounding errors
meet a kink in some of them, a defect shows in all."""
NOT_TRIED = "not tried"
LAYOUTS = ("contiguous", "channels_last")
PEER_ENVIRONMENT = {
    # glibc's allocator is to keep what PyTorch frees, as its guide to performance advises: else
    # each large tensor costs a page fault per 4 KiB.
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
}


@dataclass(frozen=True)
class Measure:
    """What is measured of each network."""

    name: str
    title: str
    mode: Mode
    samples: int | None
    """Samples in a batch; None: as many as the network is trained with."""
    passes: int
    """What a run costs, in forward passes."""


COMPARISONS = {
    measure.name: measure
    for measure in (
        Measure("training", "Training step", "training", None, 3),
        Measure("inference", "Predictions for a batch", "inference", BATCH_OF_INFERENCE, 1),
        Measure("latency", "Prediction for one sample", "inference", 1, 1),
    )
}


@dataclass
class Contender:
    """A network in one setting of one side, checked and ready to be timed."""

    worker: Worker
    setting: str
    first_seconds: float
    """Seconds until its first run was done: building, compiling, one run."""
    seconds: list[float] = field(default_factory=list)
    """Median time of a run, round by round."""

    @property
    def median(self) -> float:
        """Seconds of a run."""
        return statistics.median(self.seconds)

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {
            "setting": self.setting,
            "seconds": self.median,
            "rounds": self.seconds,
            "first_seconds": self.first_seconds,
        }


@dataclass(frozen=True)
class Comparison:
    """How long one network takes on both sides."""

    network: str
    samples: int
    floating_point_operations: int
    """Of a run: twice the multiply-adds."""
    ours: Contender
    peers: tuple[Contender, ...]
    failures: Mapping[str, str]
    """Settings of the peer that could not be measured, and why."""

    @property
    def best_peer(self) -> Contender:
        """The peer's fastest setting."""
        return min(self.peers, key=lambda peer: peer.median)

    @property
    def ratio(self) -> float:
        """How many times as long the peer takes."""
        return self.best_peer.median / self.ours.median

    @property
    def undisturbed_ratio(self) -> float:
        """The same of the fastest rounds, which other processes disturbed least."""
        return min(min(peer.seconds) for peer in self.peers) / min(self.ours.seconds)

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {
            "network": self.network,
            "samples": self.samples,
            "floating_point_operations": self.floating_point_operations,
            "ratio": self.ratio,
            "undisturbed_ratio": self.undisturbed_ratio,
            "convoi": self.ours.record(),
            "pytorch": self.best_peer.record(),
            "pytorch_settings": [peer.record() for peer in self.peers],
            "pytorch_failures": dict(self.failures),
        }


@dataclass
class Sides:
    """The two worker processes."""

    ours: Worker
    peer: Worker
    compiles: bool
    """Whether the peer is tried compiled; not again after it has failed."""

    def versions(self) -> dict[str, str]:
        """Return the versions of what both consist of."""
        return {**self.ours.describe(), **self.peer.describe()}


@contextmanager
def start_sides(options: Options) -> Iterator[Sides]:
    """Start both worker processes; end them after the block."""
    with ExitStack() as stack:
        ours = stack.enter_context(start_worker(sys.executable, "bench.ours", os.environ))
        environment = {**os.environ, **PEER_ENVIRONMENT}
        peer = stack.enter_context(start_worker(options.torch_python, "bench.peer", environment))
        yield Sides(ours, peer, options.compiles)


def compare(measure: Measure, sides: Sides, options: Options) -> Iterator[Comparison]:
    """Measure each network."""
    for workload in WORKLOADS:
        with tempfile.TemporaryDirectory() as folder:
            yield _Session(measure, workload, sides, options, Path(folder)).run()
        sides.ours.forget()
        sides.peer.forget()


@dataclass
class _Session:
    """The measurement of one network."""

    measure: Measure
    workload: Workload
    sides: Sides
    options: Options
    folder: Path

    def __post_init__(self) -> None:
        self.network: Network = self.workload.network()
        self.samples = self.measure.samples or self.workload.batch
        self.batch = self._write_batch(self.samples, seed=0)
        # Predictions have no kinks: they are only compared on the batch that is timed.
        seeds = range(SMALL_BATCHES) if self.measure.mode == "training" else ()
        self.small_batches = [self._write_batch(SMALL_BATCH, seed) for seed in seeds]
        self.task = Task(
            self.measure.mode,
            graph_to_dict(self.network.graph),
            str(self.batch),
            self.options.threads,
        )
        self.failures: dict[str, str] = {}

    def _write_batch(self, samples: int, seed: int) -> Path:
        path = self.folder / f"{samples}-{seed}.npz"
        write_batch(path, random_batch(self.network, samples, seed))
        return path

    def run(self) -> Comparison:
        """Check all settings, then let both sides run in turn."""
        self.ours = self._prepare(self.sides.ours, SETTING)
        peers = [self._eager(f"eager {layout}") for layout in LAYOUTS]
        peers += self._compiled()
        contenders = [self.ours, *peers]
        for _ in range(self.options.rounds):
            for contender in contenders:
                worker, setting = contender.worker, contender.setting
                contender.seconds.append(worker.time(setting, self.options.slice_seconds))
        multiply_adds = self.network.summary(show=False).multiply_adds
        return Comparison(
            network=self.workload.name,
            samples=self.samples,
            floating_point_operations=2 * multiply_adds * self.samples * self.measure.passes,
            ours=self.ours,
            peers=tuple(peers),
            failures=self.failures,
        )

    def _eager(self, setting: str) -> Contender:
        """Prepare a setting of the peer, and check it on small batches, too."""
        contender = self._checked(setting)
        reasons = []
        for batch in self.small_batches:
            reason = self._disagreement(contender, batch, kinks=False)
            if reason is None:
                return contender
            reasons.append(reason)
        if reasons:
            self._stop(setting, reasons)
        return contender

    def _compiled(self) -> list[Contender]:
        """Return the peer's compiled settings that work; after a failure try none again."""
        found = []
        for layout in LAYOUTS:
            setting = f"compile {layout}"
            if not self.sides.compiles:
                self.failures[setting] = NOT_TRIED
                continue
            try:
                found.append(self._checked(setting))
            except WorkerError as error:
                self.failures[setting] = _reason(str(error))
                self.sides.compiles = False
        return found

    def _prepare(self, worker: Worker, setting: str) -> Contender:
        return Contender(worker, setting, worker.prepare(self.task, setting))

    def _results(self, contender: Contender, batch: Path) -> dict[str, NDArray[Any]]:
        into = self.folder / "results.npz"
        contender.worker.results(contender.setting, batch, into)
        return read_arrays(into)

    def _checked(self, setting: str) -> Contender:
        """Prepare a setting of the peer, and check it on the batch that is timed."""
        contender = self._prepare(self.sides.peer, setting)
        reason = self._disagreement(contender, self.batch, kinks=True)
        if reason is not None:
            self._stop(setting, [reason])
        return contender

    def _disagreement(self, peer: Contender, batch: Path, *, kinks: bool) -> str | None:
        return disagreement(
            self._results(self.ours, batch), self._results(peer, batch), kinks=kinks
        )

    def _stop(self, setting: str, reasons: list[str]) -> NoReturn:
        what = f"{self.workload.name}, {self.measure.name}"
        raise AssertionError(f"{what}: Convoi and PyTorch ({setting}) differ. {' '.join(reasons)}")


def _reason(report: str) -> str:
    """Return the line of a traceback that names the exception."""
    lines = [line for line in report.splitlines() if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return lines[-1] if lines else report.strip().splitlines()[-1]
