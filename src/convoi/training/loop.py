"""The loop over epochs and steps."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from convoi.errors import DivergenceError
from convoi.training.checkpoint import save_snapshot
from convoi.training.early_stopping import Best
from convoi.training.history import EpochRecord
from convoi.training.samples import InMemory, read_batches
from convoi.training.state import Snapshot
from convoi.training.stepping import RunStep
from convoi.training.unequal import UnequalAugment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from convoi.compiler import TrainingProgram
    from convoi.nn.network import Network
    from convoi.ops import Array
    from convoi.training.augment import Augment
    from convoi.training.callbacks import Callback, TrainingState
    from convoi.training.checkpoint import Checkpoint
    from convoi.training.early_stopping import EarlyStopping
    from convoi.training.evaluation import Evaluator
    from convoi.training.labelled import LabelledSamples
    from convoi.training.metrics import Metrics
    from convoi.training.optimizers import Optimizer
    from convoi.training.randomness import Order
    from convoi.training.samples import Batch
    from convoi.training.schedules import Schedule
    from convoi.training.state import RunState
    from convoi.training.unequal import UnequalTraining

__all__ = ["Method", "Run", "Watch"]

MOST_AHEAD = 32
"""The most steps that are prepared at once, where caches still hold what that takes."""
BYTES_AHEAD = 1 << 23
"""The most memory for their predictions."""


@dataclass(frozen=True, eq=False)
class Method:
    """How a network is trained."""

    epochs: int
    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule
    augment: Augment | UnequalAugment | None

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of a step, counted from 0 over the whole run."""
        return self.schedule.learning_rate(step, self.epochs * steps_per_epoch, self.learning_rate)


@dataclass(frozen=True, eq=False)
class Watch:
    """What looks at a run as it goes."""

    metrics: Metrics
    evaluator: Evaluator | None
    monitor: str
    early_stopping: EarlyStopping | None
    checkpoint: Checkpoint | None
    callbacks: Sequence[Callback]
    poll: Callable[[], None]
    """Raises KeyboardInterrupt after Ctrl-C."""


@dataclass(frozen=True, eq=False)
class Run:
    """A training run: the fixed parts, and the state that changes."""

    network: Network
    program: TrainingProgram | UnequalTraining
    data: LabelledSamples
    order: Order
    method: Method
    watch: Watch
    settings: Mapping[str, str]
    state: RunState
    view: TrainingState
    """The state as callbacks see it."""
    taken: list[RunStep] = field(default_factory=list)
    """Steps whose figures have not been counted."""

    def train(self) -> None:
        """Run until the state has a reason to end.

        On KeyboardInterrupt between two steps, the network gets the parameters that were reached
        and a checkpoint is written.
        """
        try:
            self._call(lambda callback: callback.on_train_begin(self.view))
            while self.state.reason is None:
                self._train_epoch()
                self._complete_epoch()
            self._call(lambda callback: callback.on_train_end(self.view))
        except KeyboardInterrupt:
            if self.state.whole:
                self.network.parameters = self.program.parameters()
                self._save()
            raise

    def _train_epoch(self) -> None:
        """Take the steps of an epoch that are still to be taken, some of them prepared at once."""
        state, began = self.state, time.monotonic() - self.state.seconds
        batches = read_batches(self.data.samples, self.order.batches(state.epoch)[state.step :])
        ahead = self._ahead()
        try:
            while group := list(islice(batches, ahead)):
                steps = [self._prepared(batch, n) for n, batch in enumerate(group, state.step)]
                for step in steps:
                    self.watch.poll()
                    self._take(step)
                    state.seconds = time.monotonic() - began
                    self._call(lambda callback: callback.on_batch_end(self.view))
                    if self.view.stop_requested:
                        return
                self._count()
        finally:
            batches.close()

    def _ahead(self) -> int:
        """Return how many steps are prepared at once: few megabytes hold their predictions."""
        if not isinstance(self.data.samples, InMemory):
            return 1
        objective = self.watch.metrics.objective
        elements = self.order.batch_size * prod(objective.prediction_shape)
        return max(1, min(MOST_AHEAD, BYTES_AHEAD // (elements * objective.dtype.itemsize)))

    def _prepared(self, batch: Batch, number: int) -> RunStep:
        """Return a step of the epoch, counted from 0."""
        state, data, method = self.state, self.data, self.method
        objective = self.watch.metrics.objective
        seed, transforms = 0, None
        if method.augment is not None or self.program.is_random:
            rng = self.order.generator(state.epoch, number)
            seed = int(rng.integers(2**63))
            if isinstance(method.augment, UnequalAugment):
                batch = method.augment(batch, rng)
            elif method.augment is not None:
                spatial = tuple(batch.array.shape[2:])
                transforms = method.augment.draw(rng, len(batch.rows), spatial)
        steps = self.order.steps
        in_run = state.epoch * steps + number
        rate = method.rate(in_run, steps)
        return RunStep.of(
            self.program,
            objective,
            batch,
            data.batch_targets(objective, batch),
            data.weight[batch.rows],
            data.loss_weight[batch.rows],
            method.optimizer.step_settings(in_run + 1, rate),
            seed,
            transforms,
        )

    def _take(self, step: RunStep) -> None:
        """Take a step; its figures are counted later."""
        state, view = self.state, self.view
        state.whole = False
        step.take(self.program)
        self.taken.append(step)
        state.step += 1
        state.whole = True
        view.step, view.learning_rate = state.step, step.settings.learning_rate
        view.samples += len(step.prepared)
        view.measure = self._figures

    def _count(self) -> None:
        """Add the figures of the steps that have been taken since the last time to the sums."""
        state = self.state
        first = state.step - len(self.taken) + 1
        state.whole = False
        for number, step in enumerate(self.taken, first):
            loss = step.count(self.watch.metrics, state.sums)
            if not math.isfinite(loss):
                raise self._diverged(f"the loss became {loss} in step {number}")
        self.taken.clear()
        state.whole = True

    def _figures(self) -> Mapping[str, float]:
        """Return the figures of the epoch so far."""
        self._count()
        return self.watch.metrics.result(self.state.sums)

    def _complete_epoch(self) -> None:
        """Validate, record, look whether to end, tell the callbacks, save."""
        state, began = self.state, time.monotonic() - self.state.seconds
        parameters = self.program.parameters()
        for name, array in parameters.items():
            if not np.isfinite(array).all():
                raise self._diverged(f"the parameter {name!r} has become NaN or infinite")
        figures = dict(self._figures())
        if self.watch.evaluator is not None:
            validation = self.watch.evaluator.measure(parameters, self.watch.poll)
            figures |= {f"validation_{name}": value for name, value in validation.items()}
        record = EpochRecord(
            epoch=state.epoch + 1,
            metrics=figures,
            learning_rate=self.method.rate(
                state.epoch * self.order.steps + state.step - 1, self.order.steps
            ),
            seconds=time.monotonic() - began,
        )
        self.network.parameters = parameters
        self._advance(record, parameters)
        self._call(lambda callback: callback.on_epoch_end(self.view))
        if self.view.stop_requested and state.reason is None:
            state.reason = "callback"
        if state.reason or self._is_due():
            self._save()

    def _advance(self, record: EpochRecord, parameters: Mapping[str, Array]) -> None:
        """Add a complete epoch to the state."""
        state, settings = self.state, self.watch.early_stopping
        best = state.best
        if settings is not None:
            value = record.metrics[self.watch.monitor]
            if best is None or best.is_beaten_by(value, self.watch.monitor, settings.min_delta):
                kept = parameters if settings.restore_best else {}
                best = Best(epoch=record.epoch, value=value, parameters=kept)

        state.whole = False
        state.records.append(record)
        state.best = best
        state.epoch += 1
        state.step, state.seconds = 0, 0.0
        state.sums = self.watch.metrics.zeros()
        if state.epoch >= self.method.epochs:
            state.reason = "epochs"
        elif settings and best and state.epoch - best.epoch >= settings.patience:
            state.reason = "early_stopping"
        state.whole = True
        view = self.view
        view.epoch, view.step, view.samples = state.epoch, 0, 0
        view.measure = lambda: record.metrics
        view.records = list(state.records)

    def _call(self, method: Callable[[Callback], None]) -> None:
        for callback in self.watch.callbacks:
            method(callback)

    def _is_due(self) -> bool:
        saved = self.watch.checkpoint
        return saved is not None and self.state.epoch % saved.every == 0

    def _save(self) -> None:
        if self.watch.checkpoint is None:
            return
        self._count()
        snapshot = Snapshot(
            settings=self.settings,
            state=self.state,
            parameters=self.program.parameters(),
            slots=self.program.slots(),
        )
        save_snapshot(self.watch.checkpoint.file, snapshot)

    def _diverged(self, what: str) -> DivergenceError:
        rate = self.method.learning_rate
        return DivergenceError(
            f"The training diverged: {what} of epoch {self.state.epoch + 1}. Lower the "
            f"'learning_rate' parameter of fit (it is {rate:g}; try {rate / 10:g}), limit "
            "gradients with the optimizer's clip_norm=1.0, or bring X to a smaller scale."
        )
