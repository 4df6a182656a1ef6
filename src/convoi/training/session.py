"""A run of training: from what the user gives to a run, and from a run to its history."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

from convoi.checks import check_flag, check_integer
from convoi.nn.atomic_file import remove_remains
from convoi.nn.losses import loss_operation
from convoi.training.augment import Augment
from convoi.training.callbacks import TrainingState
from convoi.training.checkpoint import as_checkpoint, require_same_run
from convoi.training.early_stopping import as_early_stopping
from convoi.training.evaluation import Evaluator
from convoi.training.history import History
from convoi.training.interrupts import DeferredInterrupt
from convoi.training.labelled import LabelledSamples
from convoi.training.loop import Run, Watch
from convoi.training.objective import Objective
from convoi.training.optimizers import as_optimizer
from convoi.training.preparation import (
    OWNER,
    check_batches,
    check_callbacks,
    check_network,
    checked_augment,
    checked_method,
    checked_setting,
    digest,
    divide,
    monitored_figure,
    padded_lengths,
    seed_of_run,
    snapshot_to_resume,
)
from convoi.training.programs import SEPARATE, Programs
from convoi.training.progress import progress_report
from convoi.training.randomness import Order
from convoi.training.schedules import as_schedule
from convoi.training.state import RunState
from convoi.training.unequal import UnequalTraining
from convoi.training.weights import class_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from convoi.compiler import TrainingProgram
    from convoi.compiler.pipeline import Precision
    from convoi.graph import Graph
    from convoi.nn.losses import LossLike
    from convoi.nn.network import Network
    from convoi.nn.unequal import UnequalSeries
    from convoi.training.callbacks import Callback
    from convoi.training.checkpoint import Checkpoint
    from convoi.training.early_stopping import EarlyStopping
    from convoi.training.loop import Method
    from convoi.training.metrics import Metrics
    from convoi.training.optimizers import Optimizer
    from convoi.training.progress import Verbose
    from convoi.training.randomness import RandomState
    from convoi.training.samples import SampleSource
    from convoi.training.schedules import Schedule

__all__ = ["Request", "ValidationData", "train"]

ValidationData: TypeAlias = (
    "float | tuple[ArrayLike | SampleSource | UnequalSeries, ArrayLike] "
    "| tuple[ArrayLike | SampleSource | UnequalSeries, ArrayLike, ArrayLike]"
)


@dataclass(frozen=True, eq=False)
class Request:
    """What the user asks of a run: the parameters of :func:`convoi.training.fit`, unchecked.

    Attributes
    ----------
    split : (train, test) or None
        Rows to train on and to validate on, in place of all rows and ``validation_data``.
    """

    epochs: int
    batch_size: int = 128
    optimizer: Optimizer | str = "adamw"
    learning_rate: float | None = None
    schedule: Schedule | str = "cosine"
    loss: LossLike = "cross_entropy"
    augment: Augment | str | None = None
    validation_data: ValidationData | None = None
    sample_weight: ArrayLike | None = None
    class_weight: Mapping[int, float] | Sequence[float] | str | None = None
    callbacks: Sequence[Callback] = ()
    early_stopping: EarlyStopping | bool | None = None
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None
    resume: bool = False
    random_state: RandomState = None
    threads: int | None = None
    precision: Precision | None = None
    verbose: Verbose = "auto"
    split: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None


def train(  # noqa: PLR0917 - a run, and what it shares
    network: Network,
    X: ArrayLike | SampleSource | UnequalSeries,
    y: ArrayLike,
    request: Request,
    programs: Programs = SEPARATE,
    interrupt: DeferredInterrupt | None = None,
) -> History:
    """Train a network as asked; see :func:`convoi.training.fit`.

    Programs come from ``programs``, which other runs may share. ``interrupt`` is what Ctrl-C is
    noticed by; None: the run's own.
    """
    check_network(network)
    objective = Objective.of(network, loss_operation(request.loss, OWNER), OWNER)
    method = checked_method(
        epochs=request.epochs,
        optimizer=as_optimizer(request.optimizer, OWNER),
        learning_rate=request.learning_rate,
        schedule=as_schedule(request.schedule, OWNER),
        augment=checked_augment(request.augment, network, X),
    )
    size = check_integer(request.batch_size, "batch_size", OWNER, minimum=1)
    setting = checked_setting(network, request.threads, request.precision)
    stopping = as_early_stopping(request.early_stopping, OWNER)
    saved = as_checkpoint(request.checkpoint, OWNER)
    snapshot = snapshot_to_resume(saved, resume=check_flag(request.resume, "resume", OWNER))
    seed = seed_of_run(request.random_state, snapshot)
    check_callbacks(request.callbacks)

    data, validation = _samples(network, objective, X, y, request, seed)
    evaluator = None
    if validation is not None:
        evaluator = Evaluator.of(network, objective, validation, size, setting, programs=programs)
    order = Order(seed, data.rows, size, padded_lengths(data))
    check_batches(network, order)
    monitor = monitored_figure(stopping, objective, validated=validation is not None)

    def build(graph: Graph) -> TrainingProgram:
        return programs.training(
            graph,
            objective.loss,
            method.optimizer.update_rule(),
            setting,
            augment=isinstance(method.augment, Augment),
            masked=data.lengths is not None,
        )

    unequal = data.lengths is not None
    program = UnequalTraining(network.graph, build) if unequal else build(network.graph)
    metrics = data.metrics(objective)
    settings = {
        "network": digest(network),
        "random_state": str(seed),
        "data": data.fingerprint(),
        "validation_data": "none" if validation is None else validation.fingerprint(),
        "batch_size": str(size),
        "precision": setting.precision,
        "early_stopping": repr(stopping),
        "loss": repr(objective.loss),
        **{field.name: repr(getattr(method, field.name)) for field in fields(method)},
    }
    if saved is not None:
        remove_remains(saved.file)
    if saved is not None and snapshot is not None:
        require_same_run(saved.file, snapshot.settings, settings)
        program.load(snapshot.parameters, snapshot.slots)
        state = snapshot.state
    else:
        program.load(network.parameters)
        state = RunState(seed, metrics.zeros())

    with progress_report(request.verbose, OWNER) as progress, ExitStack() as stack:
        everyone = (*progress, *request.callbacks)
        poll = (interrupt or stack.enter_context(DeferredInterrupt())).poll
        watch = Watch(metrics, evaluator, monitor, stopping, saved, everyone, poll)
        view = _view(network, state, method, order, metrics)
        Run(network, program, data, order, method, watch, settings, state, view).train()
    if stopping is not None and stopping.restore_best and state.best is not None:
        network.parameters = state.best.parameters
    else:
        network.parameters = program.parameters()
    return History(tuple(state.records), monitor, state.reason or "epochs")


def _samples(  # noqa: PLR0917 - what the samples depend on
    network: Network,
    objective: Objective,
    X: ArrayLike | SampleSource | UnequalSeries,
    y: ArrayLike,
    request: Request,
    seed: int,
) -> tuple[LabelledSamples, LabelledSamples | None]:
    """Return what to train on, and what to validate on."""
    given = LabelledSamples.of(network, objective, X, y, request.sample_weight, owner=OWNER)
    parts: tuple[LabelledSamples, LabelledSamples | None]
    if request.split is not None:
        rows, held_out = request.split
        parts = given.only(rows, OWNER), given.only(held_out, OWNER)
        counted = given.y[rows]
    else:
        parts = divide(network, objective, given, request.validation_data, seed)
        counted = given.y
    data, validation = parts
    weights = class_weights(request.class_weight, counted, objective, OWNER)
    if validation is not None:
        validation = validation.with_class_weights(weights)
    return data.with_class_weights(weights), validation


def _view(
    network: Network, state: RunState, method: Method, order: Order, metrics: Metrics
) -> TrainingState:
    """Return what callbacks see at the start."""
    done = order.batches(state.epoch)[: state.step]
    return TrainingState(
        network=network,
        epochs=method.epochs,
        steps_per_epoch=order.steps,
        samples_per_epoch=len(order.rows),
        epoch=state.epoch,
        step=state.step,
        samples=sum(map(len, done)),
        measure=lambda: metrics.result(state.sums),
        records=list(state.records),
    )
