"""What comparing a dense, a local, a tiled and a convolutional network has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from convoi.nn.records import Record
from convoi.nn.summary import in_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convoi.inspection.family import Kind

__all__ = ["Comparison", "CurvePoint", "LayerCosts", "Saving", "Variant"]


@dataclass(frozen=True)
class CurvePoint:
    """A point of a learning curve: the accuracy after training on so many samples."""

    samples: int
    accuracy: float


@dataclass(frozen=True)
class LayerCosts:
    """Costs of the layers that differ between the networks, summed; for one sample."""

    parameters: int
    connections: int
    multiply_adds: int


@dataclass(frozen=True)
class Variant:
    """One member of the family, with figures of the whole network unless they say otherwise.

    Attributes
    ----------
    kind : {"dense", "local", "tiled", "convolutional"}
        What stands in place of the convolutions.
    accuracy : float
        On the test samples, after training on all training samples.
    curve : tuple of CurvePoint
        The same after training on parts of them, with as many steps.
    samples_needed : float or None
        Training samples to reach the comparison's target accuracy, between the points of the
        curve; None if it was not reached. The first point of the curve is the least.
    unchanged : float
        Part of the predictions on the test samples that stay the same if these are shifted by one
        position along each axis.
    parameters, connections, multiply_adds, weight_bytes, activation_bytes : int
        As in :class:`~convoi.nn.NetworkSummary`.
    layers : LayerCosts
        Costs of the exchanged layers alone.
    prediction_bytes, training_bytes : int
        Planned memory for a batch.
    prediction_seconds : float
        Measured time to predict a sample, on one thread.
    training_seconds : float
        Measured time of the training on all samples, compilation left out.
    """

    kind: Kind
    accuracy: float
    curve: tuple[CurvePoint, ...]
    samples_needed: float | None
    unchanged: float
    parameters: int
    connections: int
    multiply_adds: int
    weight_bytes: int
    activation_bytes: int
    layers: LayerCosts
    prediction_bytes: int
    training_bytes: int
    prediction_seconds: float
    training_seconds: float


@dataclass(frozen=True)
class Saving:
    """What one idea saves: a figure without it, with it, and their ratio.

    Attributes
    ----------
    idea : str
        "sparse interactions", "parameter sharing" or "equivariance and pooling".
    figure : str
        Which cost it is; those of layers are of the exchanged layers alone.
    without, with_idea : Kind
        The members that are compared.
    before, after : float
        The figure without the idea and with it.
    """

    idea: str
    figure: str
    without: Kind
    with_idea: Kind
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """How many times less it costs."""
        return self.before / self.after

    def __str__(self) -> str:
        saved = self.ratio >= 1
        times = f"{self.ratio if saved else 1 / self.ratio:.1f} times"
        return (
            f"{self.idea.capitalize()} ({self.without} to {self.with_idea}): "
            f"{self.figure} {self.before:,.0f} to {self.after:,.0f}, {times} "
            f"{'fewer' if saved else 'more'}"
        )


@dataclass(frozen=True)
class Comparison(Record):
    """The members of the family side by side; iterating gives them.

    Attributes
    ----------
    variants : tuple of Variant
        A record of each member.
    savings : tuple of Saving
        What each idea saves, from the costs and curves of the actual networks.
    target_accuracy : float
        The accuracy that `samples_needed` refers to: the lowest that any member reached with all
        samples.
    training_samples, test_samples : int
        Numbers of samples.
    steps : int
        Steps of each training, also of those on parts of the samples.
    batch_size : int
        Samples of a step.
    """

    variants: tuple[Variant, ...]
    savings: tuple[Saving, ...]
    target_accuracy: float
    training_samples: int
    test_samples: int
    steps: int
    batch_size: int

    def __iter__(self) -> Iterator[Variant]:
        return iter(self.variants)

    def __getitem__(self, kind: Kind) -> Variant:
        """Return the member of a kind."""
        for variant in self.variants:
            if variant.kind == kind:
                return variant
        raise KeyError(kind)

    def as_dict(self) -> dict[str, Any]:
        """Return the record as numbers, texts, and lists and dictionaries of them."""
        savings = [{**asdict(saving), "ratio": saving.ratio} for saving in self.savings]
        return {**super().as_dict(), "savings": savings}

    def headers(self) -> tuple[str, ...]:
        """Return the headers of the table: a column for each member."""
        return ("", *(variant.kind for variant in self.variants))

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of the table: a figure each."""
        target = f"Samples for {100 * self.target_accuracy:.1f}%"
        rows: list[list[str]] = [
            ["Accuracy", *(f"{v.accuracy:.4f}" for v in self)],
            *(
                [f"  on {v.samples:,} samples", *(f"{w.curve[i].accuracy:.4f}" for w in self)]
                for i, v in enumerate(self.variants[0].curve[:-1])
            ),
            [
                target,
                *("" if v.samples_needed is None else f"{v.samples_needed:,.0f}" for v in self),
            ],
            ["Unchanged by a shift", *(f"{v.unchanged:.4f}" for v in self)],
            ["Parameters", *(f"{v.parameters:,}" for v in self)],
            ["Connections", *(f"{v.connections:,}" for v in self)],
            ["Multiply-adds", *(f"{v.multiply_adds:,}" for v in self)],
            ["Weights", *(in_bytes(v.weight_bytes) for v in self)],
            ["Memory to predict", *(in_bytes(v.prediction_bytes) for v in self)],
            ["Memory to train", *(in_bytes(v.training_bytes) for v in self)],
            ["Predicting a sample", *(f"{1e6 * v.prediction_seconds:.1f} µs" for v in self)],
            ["Training", *(f"{v.training_seconds:.2f} s" for v in self)],
        ]
        return [tuple(row) for row in rows]

    def notes(self) -> tuple[str, ...]:
        """Return the lines below the table."""
        return (
            (
                f"{self.training_samples:,} training and {self.test_samples:,} test samples; "
                f"{self.steps:,} steps of {self.batch_size} samples for each training"
            ),
            *map(str, self.savings),
        )
