"""Training on data that arrive bit by bit."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.compiler import TrainingProgram
from convoi.errors import DivergenceError
from convoi.nn import UnequalSeries
from convoi.training import EpochRecord
from convoi.training.metrics import Metrics
from convoi.training.objective import Objective
from convoi.training.randomness import Order, new_seed
from convoi.training.samples import Batch
from convoi.training.stepping import RunStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from convoi.compiler.pipeline import Precision
    from convoi.estimators.training_set import TrainingSet
    from convoi.nn import Network
    from convoi.ops import Loss
    from convoi.training import Augment, Optimizer


@dataclass(frozen=True)
class Pass:
    """How some samples are used, each once."""

    optimizer: Optimizer
    learning_rate: float
    batch_size: int
    augment: Augment | None
    seed: int | None


@dataclass(eq=False)
class Incremental:
    """A network with the state of its optimiser, which outlives the samples.

    Attributes
    ----------
    network : Network
        It has the new parameters after each call.
    loss : Loss
        What is minimised.
    threads : int or None
        As of a program.
    precision : {'default', 'high'}
        As of a program.
    steps : int
        Number of steps so far.
    slots : mapping or None
        What the optimiser remembers; None at first.
    """

    network: Network
    loss: Loss
    threads: int | None = None
    precision: Precision = "default"
    steps: int = 0
    slots: Mapping[str, Mapping[str, NDArray[Any]]] | None = None
    _program: TrainingProgram | None = field(default=None, repr=False)
    _kind: object = field(default=None, repr=False)

    def train(self, data: TrainingSet, settings: Pass, owner: str) -> EpochRecord:
        """Take a step for each batch of the samples, in random order.

        Raises
        ------
        DivergenceError
            If the loss or a parameter becomes NaN or infinite; the network is then unchanged.
        """
        began = time.monotonic()
        program = self._ready(settings)
        objective = Objective.of(self.network, self.loss, owner)
        targets = objective.targets(data.y, len(data), owner)
        rows = np.arange(len(data))
        metrics = Metrics.of(objective, targets, rows, data.weight)
        sums = metrics.zeros()
        # Each call is an epoch of its own: the number of steps so far sets it apart.
        seed = new_seed() if settings.seed is None else settings.seed
        order = Order(seed + self.steps, rows, settings.batch_size)
        steps = self.steps
        for number, chosen in enumerate(order.batches(0)):
            rng = order.generator(0, number)
            array, indices = _located(data, chosen)
            transforms = None
            if settings.augment is not None:
                transforms = settings.augment.draw(rng, len(chosen), tuple(array.shape[2:]))
            weight = data.weight[chosen]
            steps += 1
            step = RunStep.of(
                program,
                objective,
                Batch(chosen, array, indices),
                objective.batch_targets(targets, chosen),
                weight,
                weight,
                settings.optimizer.step_settings(steps, settings.learning_rate),
                int(rng.integers(2**63)),
                transforms,
            )
            step.take(program)
            step.count(metrics, sums)
        figures = metrics.result(sums)
        self._keep(program, steps, figures["loss"], owner)
        return EpochRecord(1, figures, settings.learning_rate, time.monotonic() - began)

    def _ready(self, settings: Pass) -> TrainingProgram:
        """Return the program, compiled if need be, with the parameters and the state of before."""
        kind = (settings.optimizer.update_rule(), settings.augment is not None)
        if self._program is None or self._kind != kind:
            if self._kind is not None and self._kind != kind:
                self.slots = None  # those of another optimiser
            self._program = TrainingProgram(
                self.network.graph,
                self.loss,
                settings.optimizer.update_rule(),
                augment=settings.augment is not None,
                dtype=self.network.dtype.name,
                threads=self.threads,
                precision=self.precision,
            )
            self._kind = kind
        slots = None if self.slots is None else {n: dict(a) for n, a in self.slots.items()}
        self._program.load(self.network.parameters, slots)
        return self._program

    def _keep(self, program: TrainingProgram, steps: int, loss: float, owner: str) -> None:
        parameters = program.parameters()
        if not math.isfinite(loss) or not all(np.isfinite(p).all() for p in parameters.values()):
            raise DivergenceError(
                f"The training diverged in partial_fit of {owner}: the loss or a parameter has "
                "become NaN or infinite. Lower the 'learning_rate' parameter."
            )
        self.network.parameters = parameters
        self.steps, self.slots = steps, program.slots()

    def __getstate__(self) -> dict[str, Any]:
        state = {part.name: getattr(self, part.name) for part in fields(self)}
        return {**state, "_program": None}  # machine code is of this process


def _located(data: TrainingSet, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return an array that holds these samples, and where."""
    if isinstance(data.X, np.ndarray):
        return data.X, rows
    if isinstance(data.X, UnequalSeries):
        raise TypeError(data.X)
    return data.X.take(rows), np.arange(len(rows))
