"""``convoi train --model minirocket``: linear classifiers of features of series."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from convoi.cli.options import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.data import DatasetSplits


def train_features(
    splits: DatasetSplits,
    kind: Kind,
    refused: Sequence[str],
    *,
    seed: int,
    threads: int | None,
    output: Path,
) -> dict[str, Any]:
    """Train a classifier of features, write it to a file, and return its figures.

    Parameters
    ----------
    splits : DatasetSplits
        Series.
    kind : Kind
        Whose features.
    refused : sequence of str
        Options that were given, and are for networks.
    seed, threads
        Parameters of the classifier.
    output : Path
        The model file.

    Raises
    ------
    typer.BadParameter
        If the samples are no series with classes, or an option is for networks.
    """
    from convoi.cli.figures import classification_figures
    from convoi.cli.samples import model_input
    from convoi.estimators import MiniRocketClassifier, RocketClassifier

    train, test = splits.train, splits.test
    if refused:
        raise typer.BadParameter(
            f"A model of {kind.value} has no {refused[0]}, which is for networks.",
            param_hint=refused[0],
        )
    if not train.is_series or train.labels is None or train.classes is None:
        held = "values" if train.is_series else f"samples of shape {train.sample_shape}"
        raise typer.BadParameter(
            f"{kind.value} takes series with classes. The source holds {held}.",
            param_hint="--model",
        )
    cls = MiniRocketClassifier if kind is Kind.minirocket else RocketClassifier
    classifier = cls(random_state=seed, threads=threads)
    began = time.monotonic()
    classifier.fit(model_input(train), train.labels)
    seconds = time.monotonic() - began
    classifier.save(output)
    measured = None
    if test is not None:
        labels = classifier.classes_.tolist()
        figures = classification_figures(classifier, test.with_classes(labels))
        measured = {"samples": figures["samples"], "accuracy": figures["accuracy"]}
    return {
        "task": "classification",
        "samples": len(train),
        "sample_shape": train.sample_shape,
        "classes": train.classes,
        "features": classifier.pipeline_[1].n_features_in_,
        "test": measured,
        "seconds": seconds,
    }


def described_features(report: dict[str, Any]) -> list[str]:
    """Return the figures as lines of text."""
    shape = "x".join(map(str, report["sample_shape"]))
    lines = [
        (
            f"Trained on {report['samples']:,} samples of {shape}, "
            f"{len(report['classes'])} classes: "
            f"{report['features']:,} features in {report['seconds']:.1f} s"
        )
    ]
    test = report["test"]
    if test is None:
        lines.append("The source has no test set: nothing was measured on unseen samples.")
    else:
        lines.append(f"Test accuracy {test['accuracy']:.4f} on {test['samples']:,} samples")
    return [*lines, f"Model written to {report['model']}"]
