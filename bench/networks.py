"""Networks beside the peers: training steps, predictions for batches and for one sample."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.agreement import (
    EXACT_TOLERANCE,
    DisagreementError,
    difference,
    inexactness,
    inexactness_at_kinks,
)
from bench.comparison import Comparison, Contender, Failed
from bench.ours import EXACT, SETTING
from bench.peers import NOT_TRIED, PYTORCH
from bench.process import WorkerError
from bench.series_workloads import SERIES_WORKLOADS
from bench.task import Mode, Task, read_arrays, write_batch
from bench.workloads import LOCAL_WORKLOADS, WORKLOADS, Workload, random_batch
from convoi.graph.serialize import graph_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.agreement import Results
    from bench.options import Options
    from bench.peers import Peer, Side, Sides
    from bench.process import Worker
    from convoi import Network

SMALL_BATCH = 2
SMALL_BATCHES = 12
"""Batches of few samples, on one of which gradients must be exact in every element: rounding errors
meet a kink in some of them, a defect shows in all."""
EXACT_BATCHES = 2
"""Of these, how many PyTorch computes in float64, too."""
OURS = "Convoi"


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
SERIES = (SERIES_WORKLOADS, (PYTORCH.name,))
COMPARISONS = {
    measure.name: measure
    for measure in (
        Measure("training", "Training step", "training", None, 3),
        Measure("inference", "Predictions for 256 samples", "inference", 256, 1),
        Measure("inference-64", "Predictions for 64 samples", "inference", 64, 1),
        Measure("inference-8", "Predictions for 8 samples", "inference", 8, 1),
        Measure("latency", "Prediction for one sample", "inference", 1, 1),
        Measure("local", "Training step, unshared weights", "training", None, 3, *UNFOLDED),
        Measure("series", "Training step, series", "training", None, 3, *SERIES),
        Measure("local-inference", "Predictions, unshared weights", "inference", 64, 1, *UNFOLDED),
    )
}


def compare(measure: Measure, sides: Sides, options: Options) -> Iterator[Comparison | Failed]:
    """Measure each network; one whose check fails does not keep the others from being measured."""
    for workload in measure.workloads:
        chosen = workload.name in options.networks or measure.workloads is not WORKLOADS
        if not chosen or not measure.takes(workload):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                yield _Session(measure, workload, sides, options, Path(folder)).run()
            except (DisagreementError, WorkerError) as error:
                yield Failed(workload.name, measure.name, str(error))
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
        self.trains = self.measure.mode == "training"
        seeds = range(SMALL_BATCHES) if self.trains else ()
        self.small_batches = [self._write_batch(SMALL_BATCH, seed) for seed in seeds]
        self.task = Task(
            self.measure.mode,
            graph_to_dict(self.network.graph),
            str(self.batch),
            self.options.threads,
        )
        self.failures: dict[str, str] = {}
        self.exact: Results = {}
        self.exact_small: list[Results] = []
        self.found_small: list[Results] = []

    def _write_batch(self, samples: int, seed: int) -> Path:
        path = self.folder / f"{samples}-{seed}.npz"
        write_batch(path, random_batch(self.network, samples, seed))
        return path

    def run(self) -> Comparison:
        """Check all settings, then let all sides run in turn."""
        self.ours = self._prepare(OURS, self.sides.ours, SETTING)
        self.found = self._results(self.ours, self.batch)
        if self.trains:
            self._compute_exactly()
            self._require(self.ours, self._kinked(self.found))
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

    def _compute_exactly(self) -> None:
        """Let Convoi compute all batches in float64, and PyTorch too: they must agree."""
        exact = self._prepare(OURS, self.sides.ours, EXACT)
        self.exact = self._results(exact, self.batch)
        self.exact_small = [self._results(exact, batch) for batch in self.small_batches]
        self.found_small = [self._results(self.ours, batch) for batch in self.small_batches]
        for side in self.sides.peers:
            if side.peer is not PYTORCH:
                continue
            peer = self._prepare(side.peer.name, side.worker, EXACT)
            for batch, expected in zip(
                self.small_batches[:EXACT_BATCHES], self.exact_small, strict=False
            ):
                reason = difference(self._results(peer, batch), expected, EXACT_TOLERANCE)
                self._require(exact, reason, f"beside {peer.label}")

    def _sure(self, side: Side, setting: str) -> Contender:
        """Prepare a setting that must work, and check it on small batches, too."""
        contender = self._checked(side, setting)
        if self.trains:
            theirs = [self._results(contender, batch) for batch in self.small_batches]
            reason = inexactness(self.found_small, theirs, self.exact_small)
            self._require(self.ours, reason, f"beside {contender.label}")
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

    def _results(self, contender: Contender, batch: Path) -> Results:
        into = self.folder / "results.npz"
        contender.worker.results(contender.setting, batch, into)
        return read_arrays(into)

    def _checked(self, side: Side, setting: str) -> Contender:
        """Prepare a setting of a peer, and check it on the batch that is timed."""
        contender = self._prepare(side.peer.name, side.worker, setting)
        theirs = self._results(contender, self.batch)
        if self.trains:
            self._require(contender, self._kinked(theirs))
        else:
            reason = difference(self.found, theirs)
            self._require(self.ours, reason, f"beside {contender.label}")
        return contender

    def _kinked(self, found: Results) -> str | None:
        return inexactness_at_kinks(found, self.exact, self.task.learning_rate)

    @staticmethod
    def _require(side: Contender, reason: str | None, beside: str = "") -> None:
        """Raise if there is a reason to."""
        if reason is not None:
            words = f"{side.label} {beside}" if beside else side.label
            raise DisagreementError(f"wrong results of {words}. {reason}")


def _reason(report: str) -> str:
    """Return the line of a traceback that names the exception."""
    lines = [line for line in report.splitlines() if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return lines[-1] if lines else report.strip().splitlines()[-1]
