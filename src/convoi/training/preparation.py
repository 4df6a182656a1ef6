"""The steps from ``fit``'s parameters to what a run is made of."""

from __future__ import annotations

import hashlib
from math import prod
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from convoi.checks import check_integer, check_real, refusal
from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.nn.network import Network
from convoi.nn.precision import check_precision
from convoi.nn.setting import Setting
from convoi.nn.unequal import UnequalSeries, padded_length
from convoi.ops import BatchNorm
from convoi.training.augment import as_augment
from convoi.training.callbacks import Callback
from convoi.training.checkpoint import load_snapshot
from convoi.training.labelled import LabelledSamples
from convoi.training.loop import Method
from convoi.training.randomness import given_seed, new_seed, split_rows
from convoi.training.unequal import UnequalAugment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convoi.compiler.pipeline import Precision
    from convoi.training.augment import Augment
    from convoi.training.checkpoint import Checkpoint
    from convoi.training.early_stopping import EarlyStopping
    from convoi.training.objective import Objective
    from convoi.training.optimizers import Optimizer
    from convoi.training.randomness import Order, RandomState
    from convoi.training.schedules import Schedule
    from convoi.training.state import Snapshot

OWNER = "fit"
"""Whose parameters the messages speak of."""


def check_network(network: object) -> None:
    """Raise unless it is a network that can be trained."""
    if not isinstance(network, Network):
        expectation = "a Network, such as convoi.Network(layers, input_shape=(1, 28, 28))"
        raise ArgumentTypeError(refusal("network", OWNER, expectation, network))
    if not any(spec.kind.trainable for spec in network.parameter_specs.values()):
        expectation = "a network with parameters to train: add a layer with weights"
        raise ArgumentError(refusal("network", OWNER, expectation, network))


def checked_method(
    *,
    epochs: int,
    optimizer: Optimizer,
    learning_rate: float | None,
    schedule: Schedule,
    augment: Augment | UnequalAugment | None,
) -> Method:
    """Return the method, the optimiser's learning rate standing in for None."""
    rate = optimizer.default_learning_rate if learning_rate is None else learning_rate
    return Method(
        epochs=check_integer(epochs, "epochs", OWNER, minimum=1),
        optimizer=optimizer,
        learning_rate=check_real(rate, "learning_rate", OWNER, minimum=0, exclude_minimum=True),
        schedule=schedule,
        augment=augment,
    )


def checked_setting(network: Network, threads: int | None, precision: Precision | None) -> Setting:
    """Return how to compute; what is not given is as the network does it."""
    if threads is not None:
        threads = check_integer(threads, "threads", OWNER, minimum=1)
    return Setting(
        network.dtype,
        network.threads if threads is None else threads,
        network.precision if precision is None else check_precision(precision, OWNER),
    )


def check_callbacks(callbacks: Sequence[Callback]) -> None:
    """Raise unless all of them are callbacks."""
    if not isinstance(callbacks, (list, tuple)) or not all(
        isinstance(callback, Callback) for callback in callbacks
    ):
        expectation = "a list of instances of classes derived from convoi.training.Callback"
        raise ArgumentTypeError(refusal("callbacks", OWNER, expectation, callbacks))


def snapshot_to_resume(saved: Checkpoint | None, *, resume: bool) -> Snapshot | None:
    """Return what the checkpoint holds, if the run is to continue from one and there is one."""
    if saved is None:
        if resume:
            raise ArgumentError(
                "The 'resume' parameter of fit needs a checkpoint to resume from. "
                "Got checkpoint=None instead. Give its path."
            )
        return None
    return load_snapshot(saved.file) if resume and saved.file.exists() else None


def seed_of_run(random_state: RandomState, snapshot: Snapshot | None) -> int:
    """Return the seed of the run: the one given, or the checkpoint's, or a new one."""
    seed = given_seed(random_state, OWNER)
    if seed is not None:
        return seed
    return new_seed() if snapshot is None else snapshot.state.seed


def divide(
    network: Network,
    objective: Objective,
    given: LabelledSamples,
    validation_data: object,
    seed: int,
) -> tuple[LabelledSamples, LabelledSamples | None]:
    """Return what to train on, and what to validate on."""
    name = "validation_data"
    if validation_data is None:
        return given, None
    if isinstance(validation_data, (tuple, list)) and len(validation_data) in {2, 3}:
        X, y, *weight = validation_data
        validation = LabelledSamples.of(
            network,
            objective,
            X,
            y,
            weight[0] if weight else None,
            owner=OWNER,
            within=f"{name}: ",
        )
        return given, validation
    expectation = "a number between 0 and 1, (X, y), (X, y, sample_weight) or None"
    if not isinstance(validation_data, Real):
        raise ArgumentTypeError(refusal(name, OWNER, expectation, validation_data))
    fraction = float(validation_data)
    if not 0 < fraction < 1:
        raise ArgumentError(refusal(name, OWNER, expectation, validation_data))
    classes = given.y if objective.classifies and given.y.ndim == 1 else None
    training, held_out = split_rows(fraction, given.samples.count, classes, seed, OWNER)
    return given.only(training, OWNER), given.only(held_out, OWNER)


def checked_augment(
    augment: Augment | str | None, network: Network, X: object
) -> Augment | UnequalAugment | None:
    """Return the augmentation, after checks against the samples' axes and the targets."""
    found: Augment | UnequalAugment | None
    if isinstance(X, UnequalSeries) and augment is not None:
        as_augment(augment, (int(X.lengths.min()),), OWNER)
        found = UnequalAugment(augment)
    else:
        found = as_augment(augment, network.input_shape[1:], OWNER)
    if found is not None and found.moves and len(network.output_shape) > 1:
        expectation = "None where there is a target for each position"
        raise ArgumentError(
            f"{refusal('augment', OWNER, expectation, augment)} It would move the samples, and "
            "leave the targets where they are."
        )
    return found


def padded_lengths(data: LabelledSamples) -> NDArray[np.int64] | None:
    """Return what each series of unequal length is padded to; None for samples of one shape."""
    if data.lengths is None:
        return None
    return np.array([padded_length(int(length)) for length in data.lengths])


def check_batches(network: Network, order: Order) -> None:
    """Raise if a batch would give batch normalisation one value for each channel only."""
    if order.smallest > 1:
        return
    for node in network.graph.nodes:
        positions = prod(network.graph.shape(node.name)[1:])
        if isinstance(node.op, BatchNorm) and positions == 1:
            raise ArgumentError(
                f"The batch normalisation {node.name!r} has one value for each sample and "
                f"channel, so each batch needs two samples at least. {len(order.rows)} samples "
                f"in batches of up to {order.batch_size} leave a batch of 1. Choose another "
                "'batch_size'."
            )


def monitored_figure(
    stopping: EarlyStopping | None, objective: Objective, *, validated: bool
) -> str:
    """Return the figure by which epochs are compared."""
    names = ["loss", objective.metric]
    if validated:
        names += [f"validation_{name}" for name in names]
    if stopping is None or stopping.monitor is None:
        return "validation_loss" if validated else "loss"
    if stopping.monitor not in names:
        expectation = f"one of the run's figures, {', '.join(map(repr, names))}"
        raise ArgumentError(refusal("monitor", "EarlyStopping", expectation, stopping.monitor))
    return stopping.monitor


def digest(network: Network) -> str:
    """Return a text that another graph or dtype would change."""
    return f"{network!r} ({hashlib.sha256(repr(network.graph).encode()).hexdigest()[:16]})"
