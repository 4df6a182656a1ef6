"""``convoi evaluate``: how good a model is on data."""

from __future__ import annotations

from typing import Any

from convoi.cli.figures import classification_figures, regression_figures
from convoi.cli.options import (
    ArrayLayout,
    AsJson,
    DataDir,
    Exactness,
    Layout,
    ModelFile,
    Precision,
    SkipUnreadable,
    Source,
    Threads,
    examples,
)
from convoi.cli.output import print_json, print_lines, print_table

EXAMPLES = examples(
    "convoi evaluate model.safetensors digits",
    "convoi evaluate photos.safetensors photos/ --json",
    "convoi evaluate model.safetensors GunPoint_TEST.ts",
)

MAX_MATRIX = 20
"""Largest number of classes whose confusion matrix is printed as text."""


def evaluate(
    model: ModelFile,
    source: Source,
    *,
    layout: ArrayLayout = Layout.auto,
    skip_unreadable: SkipUnreadable = False,
    data_dir: DataDir = None,
    threads: Threads = None,
    precision: Exactness = Precision.default,
    as_json: AsJson = False,
) -> None:
    """Measure a model on the test set of SOURCE, or on all of it if it has none.

    Images are brought to the size, and labels to the classes, that the model was trained with.
    """
    from convoi.cli.samples import classifies, load_model, open_labelled

    estimator = load_model(model, threads=threads, precision=precision.value)
    dataset = open_labelled(
        estimator, source, data_dir=data_dir, layout=layout, skip_unreadable=skip_unreadable
    )
    if classifies(estimator):
        figures = classification_figures(estimator, dataset)
    else:
        figures = regression_figures(estimator, dataset)
    if as_json:
        print_json({"model": str(model), "source": source, **figures})
    elif classifies(estimator):
        _print_classification(figures)
    else:
        _print_regression(figures)


def _print_classification(figures: dict[str, Any]) -> None:
    print_lines(f"Accuracy {figures['accuracy']:.4f} on {figures['samples']:,} samples", "")
    classes = figures["classes"]
    rows = [(c["label"], c["precision"], c["recall"], c["f1"], c["samples"]) for c in classes]
    print_table(("Class", "Precision", "Recall", "F1", "Samples"), _with_text_labels(rows))
    if len(classes) > MAX_MATRIX:
        print_lines("", f"The confusion matrix of {len(classes)} classes is in the --json output.")
        return
    print_lines("", "Confusion matrix: a row for each class, a column for each prediction")
    labels = [str(c["label"]) for c in classes]
    matrix = zip(labels, figures["confusion_matrix"], strict=True)
    print_table(("", *labels), [(label, *counts) for label, counts in matrix])


def _with_text_labels(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(str(label), *rest) for label, *rest in rows]


def _print_regression(figures: dict[str, Any]) -> None:
    print_lines(
        f"R2 {figures['r2']:.4f} on {figures['samples']:,} samples",
        f"Mean absolute error {figures['mean_absolute_error']:.4g}",
        f"Root mean squared error {figures['root_mean_squared_error']:.4g}",
    )
