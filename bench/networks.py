"""Networks beside the peers: training steps, predictions for batches and for one sample."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bench.agreement import disagreement
from bench.comparison import Comparison, Contender
from bench.ours import SETTING
from bench.peers import NOT_TRIED, PYTORCH
from bench.process import WorkerError
from bench.task import Mode, Task, read_arrays, write_batch
from bench.workloads import LOCAL_WORKLOADS, WORKLOADS, Workload, random_batch
from convoi.graph.serialize import graph_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bench.options import Options
    from bench.peers import Peer, Side, Sides
    from bench.process import Worker
    from convoi import Network

SMALL_BATCH = 2
SMALL_BATCHES = 8
"""Batches of few samples, on one of which gradients must agree in every element: rounding errors
meet a kink in some of them, a defect shows in all."""


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
    workloads: tuple[Workload, ...] = WORKLOADS
    peers: tuple[str, ...] | None = None
    """Names of the peers that have what these networks need; None: all."""

    def has(self, peer: Peer, samples: int) -> bool:
        """Tell whether a peer takes part."""
        able = self.peers is None or peer.name in self.peers
        return able and peer.takes(self.mode, samples)

    def takes(self, workload: Workload) -> bool:
        """Tell whether a network is measured: large ones only where it takes seconds."""
        if workload.most_samples is None:
            return True
        return self.samples is not None and self.samples <= workload.most_samples


UNFOLDED = (LOCAL_WORKLOADS, (PYTORCH.name,))
"""Networks of local layers, which PyTorch's users write with ``unfold``."""
COMPARISONS = {
    measure.name: measure
    for measure in (
        Measure("training", "Training step", "training", None, 3),
        Measure("inference", "Predictions for 256 samples", "inference", 256, 1),
        Measure("inference-64", "Predictions for 64 samples", "inference", 64, 1),
        Measure("inference-8", "Predictions for 8 samples", "inference", 8, 1),
        Measure("latency", "Prediction for one sample", "inference", 1, 1),
        Measure("local", "Training step, unshared weights", "training", None, 3, *UNFOLDED),
        Measure("local-inference", "Predictions, unshared weights", "inference", 64, 1, *UNFOLDED),
    )
}


def compare(measure: Measure, sides: Sides, options: Options) -> Iterator[Comparison]:
    """Measure each network."""
    for workload in measure.workloads:
        chosen = workload.name in options.networks or measure.workloads is not WORKLOADS
        if not chosen or not measure.takes(workload):
            continue
        with tempfile.TemporaryDirectory() as folder:
            yield _Session(measure, workload, sides, options, Path(folder)).run()
        sides.forget()


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
        """Check all settings, then let all sides run in turn."""
        self.ours = self._prepare("Convoi", self.sides.ours, SETTING)
        contenders = [self.ours]
        for side in self.sides.peers:
            if self.measure.has(side.peer, self.samples):
                contenders += [self._sure(side, setting) for setting in side.peer.settings]
                contenders += self._compiled(side)
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
            peers=tuple(contenders[1:]),
            failures=self.failures,
        )

    def _sure(self, side: Side, setting: str) -> Contender:
        """Prepare a setting that must work, and check it on small batches, too."""
        contender = self._checked(side, setting)
        reasons = []
        for batch in self.small_batches:
            reason = self._disagreement(contender, batch, kinks=False)
            if reason is None:
                return contender
            reasons.append(reason)
        if reasons:
            self._stop(contender, reasons)
        return contender

    def _compiled(self, side: Side) -> list[Contender]:
        """Return the compiled settings that work; after a failure try none again."""
        found = []
        for setting in side.peer.compiled_settings:
            if not side.compiles:
                self.failures[setting] = NOT_TRIED
                continue
            try:
                found.append(self._checked(side, setting))
            except WorkerError as error:
                self.failures[setting] = _reason(str(error))
                side.compiles = False
        return found

    def _prepare(self, name: str, worker: Worker, setting: str) -> Contender:
        return Contender(name, worker, setting, worker.prepare(self.task, setting))

    def _results(self, contender: Contender, batch: Path) -> dict[str, NDArray[Any]]:
        into = self.folder / "results.npz"
        contender.worker.results(contender.setting, batch, into)
        return read_arrays(into)

    def _checked(self, side: Side, setting: str) -> Contender:
        """Prepare a setting of a peer, and check it on the batch that is timed."""
        contender = self._prepare(side.peer.name, side.worker, setting)
        reason = self._disagreement(contender, self.batch, kinks=True)
        if reason is not None:
            self._stop(contender, [reason])
        return contender

    def _disagreement(self, peer: Contender, batch: Path, *, kinks: bool) -> str | None:
        return disagreement(
            self._results(self.ours, batch), self._results(peer, batch), kinks=kinks
        )

    def _stop(self, peer: Contender, reasons: list[str]) -> NoReturn:
        what = f"{self.workload.name}, {self.measure.name}"
        raise AssertionError(f"{what}: Convoi and {peer.label} differ. {' '.join(reasons)}")


def _reason(report: str) -> str:
    """Return the line of a traceback that names the exception."""
    lines = [line for line in report.splitlines() if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return lines[-1] if lines else report.strip().splitlines()[-1]
