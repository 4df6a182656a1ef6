"""Training a dense, a local, a tiled and a convolutional network on the same data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi import nn
from convoi.checks import check_choice, check_integer, check_real, refusal
from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.inspection.compared_data import OWNER, ComparedData
from convoi.inspection.comparison import Comparison, CurvePoint, LayerCosts, Saving, Variant
from convoi.inspection.equivariance import unchanged_predictions
from convoi.inspection.family import KINDS, Kind, exchanged, lenet_like, member
from convoi.training import fit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from convoi.graph import Graph
    from convoi.nn.summary import NetworkSummary
    from convoi.training import History

__all__ = ["compare"]

MAX_PARAMETERS = 40_000_000
"""Most parameters of a member: training holds about ten times as many numbers, 1.6 GB."""

_SAVINGS: tuple[tuple[str, Kind, Kind, str], ...] = (
    ("sparse interactions", "dense", "local", "connections"),
    ("sparse interactions", "dense", "local", "parameters"),
    ("parameter sharing", "local", "tiled", "parameters"),
    ("parameter sharing", "local", "convolutional", "parameters"),
    ("equivariance and pooling", "local", "convolutional", "samples"),
    ("equivariance and pooling", "dense", "convolutional", "samples"),
)
"""The ideas, the members with and without them, and what they save."""


def compare(
    X: ArrayLike,
    y: ArrayLike,
    *,
    layers: nn.Layer | Callable[[int], nn.Layer] | None = None,
    kinds: Sequence[Kind] = KINDS,
    tile: int = 2,
    test_data: tuple[ArrayLike, ArrayLike] | None = None,
    margin: int = 0,
    fractions: Sequence[float] = (0.1, 0.25, 0.5, 1.0),
    epochs: int = 30,
    batch_size: int = 64,
    learning_rate: float = 0.01,
    random_state: int = 0,
    threads: int | None = None,
    report: Callable[[str], None] | None = None,
) -> Comparison:
    """Train the dense, local, tiled and convolutional versions of one topology on data.

    All have outputs of the same shapes at every layer, and the same budget: optimiser (AdamW with
    a cosine schedule), learning rate, batches and number of steps. The learning curves come from
    trainings on parts of the samples with as many steps.

    Parameters
    ----------
    X : array-like of shape (n, channels, *spatial)
        Samples; they are standardised channel by channel.
    y : array-like of shape (n,)
        Their classes, numbers or texts.
    layers : Layer or callable, optional
        The topology, or a function from the number of classes to it: a tree of layers with
        convolutions, which the kinds replace. The default is like LeNet-5: two convolutions,
        each pooled by 2, and a dense layer; with 8 and 16 filters of size 5, and for inputs with
        fewer than 16 positions along an axis with 16 and 32 filters of size 3.
    kinds : sequence of {"dense", "local", "tiled", "convolutional"}
        The members to train.
    tile : int
        Positions along each axis after which the tiled member repeats its weights.
    test_data : tuple (X, y), optional
        Samples to measure accuracies on. The default is to set a quarter of the samples aside.
    margin : int
        How far samples are out of place: each gets so many zeros on all sides, and is moved at
        random by at most as many positions along each axis. 0 leaves them as they are. Objects
        that a data set has centred are all at one place, which hides what equivariance is for.
    fractions : sequence of float
        Parts of the training samples that the learning curve has points for, rising to 1.
    epochs : int
        How often each sample is used when all are.
    batch_size : int
        Samples of a step.
    learning_rate : float
        The learning rate at the start.
    random_state : int
        Where initial weights, the choice of samples and their order come from.
    threads : int, optional
        Number of threads.
    report : callable, optional
        Is called with a line of text before every training.

    Returns
    -------
    Comparison
        Accuracies, learning curves, costs, memory and times of every member, and what each idea
        saves; it prints as a table.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument has a type or value that it may not have, or a member would have more than
        40 million parameters.
    ShapeError
        If samples have no spatial axes, or the topology cannot take them.
    DataError
        If there are fewer than two classes, or too few samples.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from convoi import inspection
    >>> X, y = load_digits().images[:300, None], load_digits().target[:300]
    >>> found = inspection.compare(X, y, kinds=["local", "convolutional"], epochs=2, fractions=[1])
    >>> [saving.figure for saving in found.savings]
    ['parameters', 'samples']
    >>> found["local"].layers.parameters, found["convolutional"].layers.parameters
    (84480, 4800)
    """
    chosen = _check_kinds(kinds)
    parts = _check_fractions(fractions)
    room = check_integer(margin, "margin", OWNER, minimum=0)
    data = ComparedData.of(X, y, test_data, room, _random_state(random_state))
    topology = _topology(layers, data)
    size = check_integer(tile, "tile", OWNER, minimum=1)
    paths = exchanged(topology)
    if not paths:
        raise ArgumentError(
            "The 'layers' parameter of compare must hold a Conv, in Sequential, Residual or "
            f"Parallel, that the kinds replace. Got {topology!r} instead."
        )
    budget = _Budget(
        check_integer(epochs, "epochs", OWNER, minimum=1),
        min(check_integer(batch_size, "batch_size", OWNER, minimum=1), len(data.y)),
        check_real(learning_rate, "learning_rate", OWNER, minimum=0, exclude_minimum=True),
        random_state,
        threads,
        report,
    )
    trees = {kind: member(topology, kind, size) for kind in chosen}
    for kind, tree in trees.items():
        _check_size(kind, nn.trace(tree, data.X.shape[1:]))
    trials = [_trial(kind, tree, data, parts, budget) for kind, tree in trees.items()]
    target = min(trial.curve[-1].accuracy for trial in trials)
    variants = tuple(_variant(trial, target, paths) for trial in trials)
    return Comparison(
        variants,
        _savings(variants),
        target,
        len(data.y),
        len(data.y_test),
        budget.epochs * budget.steps(len(data.y)),
        budget.batch_size,
    )


@dataclass(frozen=True)
class _Budget:
    """What every training may use."""

    epochs: int
    batch_size: int
    learning_rate: float
    random_state: int
    threads: int | None
    report: Callable[[str], None] | None

    def steps(self, samples: int) -> int:
        """Return the steps of an epoch."""
        return math.ceil(samples / self.batch_size)

    def train(self, network: nn.Network, X: NDArray[Any], y: NDArray[Any], steps: int) -> History:
        """Train for so many steps, or the least number of epochs that has as many."""
        return fit(
            network,
            X,
            y,
            epochs=math.ceil(steps / self.steps(len(y))),
            batch_size=min(self.batch_size, len(y)),
            learning_rate=self.learning_rate,
            random_state=self.random_state,
            threads=self.threads,
            verbose=False,
        )


@dataclass(frozen=True)
class _Trial:
    """A member after its trainings."""

    kind: Kind
    summary: NetworkSummary
    curve: tuple[CurvePoint, ...]
    unchanged: float
    seconds: float


def _trial(
    kind: Kind,
    tree: nn.Layer,
    data: ComparedData,
    fractions: tuple[float, ...],
    budget: _Budget,
) -> _Trial:
    curve = []
    steps = budget.epochs * budget.steps(len(data.y))
    for fraction in fractions:
        rows = np.sort(data.order[: max(1, round(fraction * len(data.y)))])
        if budget.report is not None:
            budget.report(f"{kind}: training on {len(rows):,} samples")
        network = nn.Network(
            tree, data.X.shape[1:], random_state=budget.random_state, threads=budget.threads
        )
        history = budget.train(network, data.X[rows], data.y[rows], steps)
        hits = network(data.X_test).argmax(axis=1) == data.y_test
        curve.append(CurvePoint(len(rows), float(hits.mean())))
    one = (1,) * (data.X.ndim - 2)
    return _Trial(
        kind,
        network.summary(show=False, batch_size=budget.batch_size, measure=True),
        tuple(curve),
        unchanged_predictions(network, data.X_test, one),
        sum(record.seconds for record in history.epochs),
    )


def _variant(trial: _Trial, target: float, paths: list[str]) -> Variant:
    summary = trial.summary
    own = [
        layer
        for layer in summary
        if any(
            layer.name == path or layer.name.startswith(f"{path}.") or not path for path in paths
        )
    ]
    return Variant(
        trial.kind,
        trial.curve[-1].accuracy,
        trial.curve,
        samples_needed(trial.curve, target),
        trial.unchanged,
        summary.parameters,
        summary.connections,
        summary.multiply_adds,
        summary.weight_bytes,
        summary.activation_bytes,
        LayerCosts(
            sum(layer.parameters for layer in own),
            sum(layer.connections for layer in own),
            sum(layer.multiply_adds for layer in own),
        ),
        summary.prediction_memory.total_bytes,
        summary.training_memory.total_bytes,
        summary.seconds or 0.0,
        trial.seconds,
    )


def samples_needed(curve: Sequence[CurvePoint], target: float) -> float | None:
    """Return the samples at which a learning curve first reaches an accuracy.

    Between two points the accuracy is taken to grow with the logarithm of the samples.
    """
    before: CurvePoint | None = None
    for point in curve:
        if point.accuracy >= target:
            if before is None or point.accuracy == before.accuracy:
                return float(point.samples)
            part = (target - before.accuracy) / (point.accuracy - before.accuracy)
            return float(before.samples * (point.samples / before.samples) ** part)
        before = point
    return None


def _savings(variants: tuple[Variant, ...]) -> tuple[Saving, ...]:
    known = {variant.kind: variant for variant in variants}
    found = []
    for idea, without, with_idea, figure in _SAVINGS:
        if without not in known or with_idea not in known:
            continue
        before, after = (_figure(known[kind], figure) for kind in (without, with_idea))
        if before and after:
            found.append(Saving(idea, figure, without, with_idea, before, after))
    return tuple(found)


def _figure(variant: Variant, figure: str) -> float | None:
    if figure == "samples":
        return variant.samples_needed
    value: int = getattr(variant.layers, figure)
    return value


# Arguments ------------------------------------------------------------------------------------


def _check_kinds(kinds: object) -> tuple[Kind, ...]:
    if isinstance(kinds, str) or not isinstance(kinds, Sequence) or not kinds:
        expectation = f"a sequence of some of {', '.join(map(repr, KINDS))}"
        raise ArgumentTypeError(refusal("kinds", OWNER, expectation, kinds))
    checked = tuple(check_choice(kind, "kinds", OWNER, KINDS) for kind in kinds)
    return tuple(dict.fromkeys(checked))


def _check_fractions(fractions: object) -> tuple[float, ...]:
    expectation = "a rising sequence of numbers above 0, of which the last is 1"
    if isinstance(fractions, str) or not isinstance(fractions, Sequence):
        raise ArgumentTypeError(refusal("fractions", OWNER, expectation, fractions))
    checked = tuple(
        check_real(f, "fractions", OWNER, minimum=0, maximum=1, exclude_minimum=True)
        for f in fractions
    )
    if not checked or checked[-1] != 1 or list(checked) != sorted(set(checked)):
        raise ArgumentError(refusal("fractions", OWNER, expectation, fractions))
    return checked


def _random_state(value: object) -> np.random.Generator:
    return np.random.default_rng(check_integer(value, "random_state", OWNER, minimum=0))


def _topology(layers: object, data: ComparedData) -> nn.Layer:
    if layers is None:
        return lenet_like(data.X.shape[1:], data.classes)
    if isinstance(layers, nn.Layer):
        return layers
    made = layers(data.classes) if callable(layers) else None
    if not isinstance(made, nn.Layer):
        expectation = "a layer, or a function from the number of classes to one"
        raise ArgumentTypeError(refusal("layers", OWNER, expectation, layers))
    return made


def _check_size(kind: Kind, graph: Graph) -> None:
    count = sum(math.prod(spec.shape) for spec in graph.parameters.values())
    if count > MAX_PARAMETERS:
        raise ArgumentError(
            f"The {kind} member would have {count:,} parameters, and compare trains members of "
            f"at most {MAX_PARAMETERS:,}. Use smaller images or layers, or leave the member out "
            "with kinds."
        )
