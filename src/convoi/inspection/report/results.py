"""Sections on data, training and predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.inspection.calibration import calibration
from convoi.inspection.plots import plot_calibration
from convoi.inspection.report.document import (
    NOTHING,
    Block,
    Cell,
    Figure,
    Gallery,
    Heading,
    Section,
    Table,
    Text,
)
from convoi.inspection.report.drawing import chart, curves, sample_picture, theme

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.inspection.report.subject import Subject

__all__ = ["calibration_section", "data_section", "results_section", "training_section"]

_MOST_CLASSES = 20
"""Largest number of classes whose confusion matrix is a table."""
_MOST_ROWS = 50
"""Largest number of classes that tables list."""
_EXAMPLES = 12


def data_section(subject: Subject) -> Section:
    """Return what the samples look like, and how many of each class there are."""
    shape = "x".join(map(str, subject.network.input_shape))
    blocks: list[Block] = [Text(f"{len(subject.X):,} samples of shape {shape}.")]
    if subject.labels is not None:
        counts = np.bincount(subject.y, minlength=len(subject.labels))
        shown = [int((subject.y == code).argmax()) for code in np.flatnonzero(counts)]
        order = np.arange(len(counts))
        caption = "Samples of each class"
        if len(order) > _MOST_ROWS:
            order = np.argsort(-counts, kind="stable")[:_MOST_ROWS]
            caption = f"The {_MOST_ROWS} largest of {len(counts)} classes"
        rows = tuple((subject.labels[code], f"{counts[code]:,}") for code in order)
        table = Table(caption, ("Class", "Samples"), rows)
    else:
        shown, table = list(range(len(subject.X))), None
    if subject.drawable:
        blocks.append(Gallery(tuple(_example(subject, i) for i in shown[:_MOST_CLASSES])))
    if table is not None:
        blocks.append(table)
    return Section("data", "Data", tuple(blocks))


def _example(subject: Subject, sample: int) -> Figure:
    if subject.labels is None:
        name = f"value {_numbers(np.atleast_1d(subject.y[sample]))}"
    else:
        name = subject.label(int(subject.y[sample]))
    alt = f"Sample {sample}: {name}"
    return Figure(sample_picture(subject, subject.X[sample], alt), name)


def training_section(subject: Subject) -> Section:
    """Return the curves of training."""
    history = subject.history
    if history is None or not len(history):
        text = "The model does not say how it was trained: no figures of its epochs are kept."
        return Section("training", "Training", (Text(text),))
    last = history.epochs[-1]
    names = {"epochs": "all epochs were done", "early_stopping": "the figure no longer improved",
             "callback": "a callback ended it"}  # fmt: skip
    blocks: list[Block] = [
        Text(
            f"{last.epoch:,} epochs; the training ended because {names[history.reason]}. The best "
            f"{_words(history.monitor)} was {_number(history.best.metrics[history.monitor])}, in "
            f"epoch {history.best.epoch}."
        )
    ]
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an optional package

    numbers = [record.epoch for record in history.epochs]
    plain = [name for name in last.metrics if not name.startswith("validation_")]
    for name in plain:
        with theme():
            figure = curves(6.4, 3.2)
            ax = figure.subplots()
            for key, label in ((name, "training"), (f"validation_{name}", "validation")):
                if key in last.metrics:
                    values = [record.metrics.get(key, np.nan) for record in history.epochs]
                    ax.plot(numbers, values, label=label, marker="o" if len(numbers) < 3 else "")
            ax.set(xlabel="Epoch", ylabel=_words(name).capitalize())
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.legend()
            first = history.epochs[0].metrics[name]
            alt = (
                f"Curve of the {_words(name)} over {len(numbers)} epochs: "
                f"{_number(first)} in the first, {_number(last.metrics[name])} in the last"
            )
            if f"validation_{name}" in last.metrics:
                alt += f"; in validation {_number(last.metrics[f'validation_{name}'])} at the end"
            picture = chart(figure, alt)
        blocks.append(Figure(picture, f"{_words(name).capitalize()} over the epochs"))
    return Section("training", "Training", tuple(blocks))


def results_section(subject: Subject) -> Section:
    """Return how good the predictions are, and the worst of them."""
    blocks = _values(subject) if subject.labels is None else _classes(subject)
    return Section("predictions", "Predictions", tuple(blocks))


def _classes(subject: Subject) -> list[Block]:
    labels = subject.labels or ()
    right = subject.predicted == subject.y
    matrix = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(matrix, (subject.y, subject.predicted), 1)
    blocks: list[Block] = [
        Text(f"{right.sum():,} of {len(right):,} samples are recognised: {right.mean():.2%}."),
        _figures_of_classes(labels, matrix),
        Heading("Confusion"),
    ]
    blocks.append(
        _confusion_table(labels, matrix) if len(labels) <= _MOST_CLASSES else Text(
            f"The {len(labels)} classes are too many for a table of all pairs; these are confused "
            "most often."
        )
    )  # fmt: skip
    pairs = _confused(labels, matrix)
    if pairs is not None:
        blocks.append(pairs)
    wrong = np.flatnonzero(~right)
    if len(wrong) and subject.drawable:
        worst = wrong[np.argsort(-subject.confidence[wrong], kind="stable")][:_EXAMPLES]
        blocks.append(Heading("Errors"))
        blocks.append(Text("The wrong predictions that the network is surest of."))
        blocks.append(Gallery(tuple(_error(subject, int(i)) for i in worst)))
    return blocks


def _figures_of_classes(labels: tuple[str, ...], matrix: NDArray[Any]) -> Table:
    right, true, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    order, caption = np.arange(len(labels)), "How well each class is recognised"
    if len(labels) > _MOST_ROWS:
        order = np.argsort(right / np.maximum(true, 1) + (true == 0), kind="stable")[:_MOST_ROWS]
        caption = f"The {_MOST_ROWS} of {len(labels)} classes that are recognised least"
    rows = []
    for code in order:
        precision = f"{right[code] / predicted[code]:.3f}" if predicted[code] else NOTHING
        recall = f"{right[code] / true[code]:.3f}" if true[code] else NOTHING
        rows.append((labels[code], precision, recall, f"{true[code]:,}"))
    header = ("Class", "Precision", "Recall", "Samples")
    return Table(caption, header, tuple(rows))


def _confusion_table(labels: tuple[str, ...], matrix: NDArray[Any]) -> Table:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    rows: tuple[tuple[str | Cell, ...], ...] = tuple(
        (
            label,
            *(
                Cell(f"{count:,}" if count else "·", float(share), wrong=row != column)
                for column, (count, share) in enumerate(zip(counts, parts, strict=True))
            ),
        )
        for row, (label, counts, parts) in enumerate(zip(labels, matrix, shares, strict=True))
    )
    caption = "A row for each class, a column for each prediction"
    return Table(caption, ("Class", *labels), rows)


def _confused(labels: tuple[str, ...], matrix: NDArray[Any]) -> Table | None:
    wrong = matrix - np.diag(np.diag(matrix))
    best = np.argsort(-wrong, axis=None, kind="stable")[:8]
    rows = []
    for flat in best.tolist():
        row, column = divmod(flat, len(labels))
        if wrong[row, column]:
            rows.append((labels[row], labels[column], f"{wrong[row, column]:,}"))
    if not rows:
        return None
    return Table("Confused most often", ("Class", "Predicted", "Samples"), tuple(rows), texts=2)


def _error(subject: Subject, sample: int) -> Figure:
    true, predicted = (subject.label(int(k[sample])) for k in (subject.y, subject.predicted))
    sure = f"{subject.confidence[sample]:.1%}"
    alt = f"Sample {sample}: is {true}, predicted {predicted} with {sure}"
    caption = f"{true}, predicted {predicted} ({sure})"
    return Figure(sample_picture(subject, subject.X[sample], alt), caption)


def _values(subject: Subject) -> list[Block]:
    truth = subject.y.reshape(len(subject.y), -1).astype(np.float64)
    found = subject.predictions.reshape(truth.shape)
    rows = []
    for output in range(truth.shape[1]):
        t, p = truth[:, output], found[:, output]
        error, spread = p - t, ((t - t.mean()) ** 2).sum()
        r2 = f"{1 - (error**2).sum() / spread:.4f}" if spread else NOTHING
        rows.append((f"Output {output}", r2, _number(np.abs(error).mean()),
                     _number(np.sqrt((error**2).mean()))))  # fmt: skip
    header = ("Output", "R2", "Mean absolute error", "Root mean squared error")
    blocks: list[Block] = [Table("How far predictions are from values", header, tuple(rows))]
    with theme():
        figure = curves(4.8, 4.4)
        ax = figure.subplots()
        ends = (min(truth.min(), found.min()), max(truth.max(), found.max()))
        ax.plot(ends, ends, "--", color="C1", linewidth=1)
        chosen = np.linspace(0, len(truth) - 1, min(len(truth), 500)).astype(int)
        for output in range(truth.shape[1]):
            ax.plot(truth[chosen, output], found[chosen, output], ".", markersize=4)
        ax.set(xlabel="Value", ylabel="Prediction")
        alt = "Predictions over values, with a dashed line where both are equal: " + "; ".join(
            f"{name} has an R2 of {r2}" for name, r2, *_ in rows
        )
        blocks.append(Figure(chart(figure, alt), "Predictions over values"))
    if subject.drawable:
        worst = np.argsort(-np.abs(found - truth).max(axis=1), kind="stable")[:_EXAMPLES]
        blocks.append(Heading("Errors"))
        blocks.append(Text("The predictions that are farthest from their values."))
        blocks.append(
            Gallery(tuple(_miss(subject, int(i), truth[i], found[i]) for i in worst))
        )  # fmt: skip
    return blocks


def _miss(subject: Subject, sample: int, truth: NDArray[Any], found: NDArray[Any]) -> Figure:
    caption = f"{_numbers(truth)}, predicted {_numbers(found)}"
    return Figure(
        sample_picture(subject, subject.X[sample], f"Sample {sample}: {caption}"), caption
    )


def calibration_section(subject: Subject) -> Section:
    """Return whether the probabilities of a classifier mean what they say."""
    found = calibration(subject.probabilities, subject.y)
    confidence, accuracy = subject.confidence.mean(), (subject.predicted == subject.y).mean()
    text = (
        f"The expected calibration error is {found.expected_error:.4f}: so far is the share of "
        "right predictions from their probability, on average over the predictions. The mean "
        f"confidence is {confidence:.2%} and the accuracy {accuracy:.2%}: the network is "
        f"{'surer than' if confidence > accuracy else 'not surer than'} it is right."
    )
    with theme():
        filled = np.flatnonzero(found.count)
        words = "; ".join(
            f"{found.count[b]:,} predictions with a confidence of {found.confidence[b]:.0%} are "
            f"right in {found.accuracy[b]:.0%}"
            for b in filled
        )
        picture = chart(plot_calibration(found), f"Reliability diagram: {words}")
    return Section(
        "calibration",
        "Calibration",
        (Text(text), Figure(picture, "Accuracy in bins of confidence; ideal is the diagonal")),
    )


def _words(metric: str) -> str:
    name = metric.removeprefix("validation_")
    words = {"r2": "R2"}.get(name, name.replace("_", " "))
    return f"validation {words}" if name != metric else words


def _numbers(values: NDArray[Any]) -> str:
    return ", ".join(map(_number, values))


def _number(value: float) -> str:
    return f"{value:.4g}"
