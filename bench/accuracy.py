"""Time to accuracy: Fashion-MNIST with the same recipe on both sides.

Both start from the same parameters and take the same steps: the same samples in the same order,
moved and mirrored in the same way, the same learning rates, the same optimiser. So they differ by
rounding alone, and by how long they take.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.agreement import DisagreementError
from bench.peers import PYTORCH
from bench.process import ROOT, WorkerError
from bench.task import write_arrays
from convoi import Network
from convoi.data import load_dataset
from convoi.errors import ConvoiError
from convoi.graph.serialize import graph_to_dict
from convoi.nn import networks
from convoi.training import AdamW, Augment, Cosine
from convoi.training.loop import Method
from convoi.training.randomness import Order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bench.options import Options

BATCH = 128
LEARNING_RATE = 0.003
AUGMENT = Augment(shift=2, flip=True)
QUICK_SAMPLES = 2000
CHECKED_STEPS = 10
"""Steps over which the mean loss of both sides is compared."""
LOSS_TOLERANCE = 1e-3
"""How far those means may be apart, relatively."""
SIDES = ("Convoi", "Convoi, high precision", PYTORCH.name)


@dataclass(frozen=True)
class Recipe:
    """What a side is asked to do; arrays are in a file."""

    graph: dict[str, Any]
    arrays: str
    epochs: int
    seed: int
    batch_size: int
    learning_rate: float
    threads: int
    precision: str


@dataclass(frozen=True)
class AccuracyRun:
    """A run of one side."""

    side: str
    seed: int
    accuracy: float
    """On the test set, after the last epoch."""
    seconds: float
    """Of the training."""
    first_losses: float
    """Mean loss of the first steps."""

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return dict(vars(self))


def measure_accuracy(options: Options) -> Iterator[AccuracyRun]:
    """Train on each side with each seed, in turn.

    Raises
    ------
    WorkerError
        If the data set is not there, or a side ends.
    DisagreementError
        If the first steps of two sides differ.
    """
    try:
        data = load_dataset("fashion-mnist")
    except (ConvoiError, OSError) as error:
        raise WorkerError(f"'accuracy' needs Fashion-MNIST. {error}") from error
    if data.test is None:
        raise WorkerError("'accuracy' needs the test set of Fashion-MNIST.")
    samples = QUICK_SAMPLES if options.quick else None
    X, y = (np.asarray(a)[:samples] for a in (data.train.X, data.train.y))
    X_test, y_test = (np.asarray(a)[:samples] for a in (data.test.X, data.test.y))
    mean, deviation = float(X.mean()), float(X.std())
    arrays = {
        "X": _standardised(X, mean, deviation),
        "y": y.astype(np.int64),
        "X_test": _standardised(X_test, mean, deviation),
        "y_test": y_test.astype(np.int64),
    }
    sides = SIDES if not options.peers or PYTORCH.key in options.peers else SIDES[:2]
    for seed in range(options.seeds):
        network = Network(networks.two_conv(), (1, 28, 28), random_state=seed)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "run.npz")
            steps = planned_steps(len(X), options.epochs, seed)
            named = {f"parameter/{name}": array for name, array in network.parameters.items()}
            write_arrays(path, {**arrays, **steps, **named})
            runs = [_run(side, network, path, seed, options) for side in sides]
        for run in runs:
            check_beginning(run, runs[0])
            yield run


def _standardised(X: NDArray[Any], mean: float, deviation: float) -> NDArray[np.float32]:
    images = X.reshape(len(X), 1, 28, 28).astype(np.float32)
    return (images - np.float32(mean)) / np.float32(deviation)


def planned_steps(samples: int, epochs: int, seed: int) -> dict[str, NDArray[Any]]:
    """Return what :func:`convoi.training.fit` does in each step, for the other side.

    Returns
    -------
    dict of str to ndarray
        By step: "size" and "rate"; by sample in their order: "order", "shift" (two axes) and
        "flip".
    """
    order = Order(seed, np.arange(samples), BATCH)
    method = Method(epochs, AdamW(weight_decay=0.0), LEARNING_RATE, Cosine(), AUGMENT)
    rows, shifts, flips, rates = [], [], [], []
    for epoch in range(epochs):
        for step, batch in enumerate(order.batches(epoch)):
            rng = order.generator(epoch, step)
            rng.integers(2**63)  # the seed of dropout, which comes first
            drawn = AUGMENT.draw(rng, len(batch), (28, 28))
            rows.append(batch)
            shifts.append(drawn.shift)
            flips.append(drawn.flip[:, -1])
            rates.append(method.rate(epoch * order.steps + step, order.steps))
    return {
        "size": np.array([len(batch) for batch in rows]),
        "rate": np.array(rates),
        "order": np.concatenate(rows),
        "shift": np.concatenate(shifts),
        "flip": np.concatenate(flips),
    }


def _run(side: str, network: Network, path: Path, seed: int, options: Options) -> AccuracyRun:
    peer = side == PYTORCH.name
    recipe = Recipe(
        graph_to_dict(network.graph),
        str(path),
        options.epochs,
        seed,
        BATCH,
        LEARNING_RATE,
        options.threads,
        "high" if side == SIDES[1] else "default",
    )
    python = options.torch_python if peer else sys.executable
    module = "bench.accuracy_peer" if peer else "bench.accuracy_ours"
    environment = {**os.environ, **(PYTORCH.environment if peer else {})}
    done = subprocess.run(
        [python, "-m", module],
        cwd=ROOT,
        env=environment,
        input=json.dumps(asdict(recipe)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise WorkerError(done.stderr)
    return AccuracyRun(side, seed, **json.loads(done.stdout.splitlines()[-1]))


def check_beginning(run: AccuracyRun, ours: AccuracyRun) -> None:
    """Raise unless the first steps of a run are those of ours."""
    error = abs(run.first_losses - ours.first_losses) / ours.first_losses
    if not error <= LOSS_TOLERANCE:  # true for NaN, too
        raise DisagreementError(
            f"accuracy: the mean loss of the first {CHECKED_STEPS} steps is "
            f"{run.first_losses} with {run.side}, and {ours.first_losses} with {ours.side}."
        )


def accuracy_summary(runs: list[AccuracyRun]) -> list[str]:
    """Return mean accuracy, spread and time of each side."""
    lines = []
    by_side = {side: [run for run in runs if run.side == side] for side in SIDES}
    ours = statistics.median(run.seconds for run in by_side[SIDES[0]])
    for side, found in by_side.items():
        if not found:
            continue
        accuracies = [run.accuracy for run in found]
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        seconds = statistics.median(run.seconds for run in found)
        lines.append(
            f"{side}: accuracy {statistics.mean(accuracies):.4f} ± {spread:.4f}, "
            f"{seconds:.1f} s ({seconds / ours:.2f} times Convoi's)."
        )
    return lines
