"""Reports on networks: what is in them, and how they become one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import describe, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.inspection.arguments import check_network, samples_of, some_samples
from convoi.inspection.pictures import require_plots
from convoi.inspection.report.attention import attention_section
from convoi.inspection.report.document import Document, Section
from convoi.inspection.report.layers import (
    architecture_section,
    kernels_section,
    maps_section,
    units_section,
)
from convoi.inspection.report.results import (
    calibration_section,
    data_section,
    results_section,
    training_section,
)
from convoi.inspection.report.shifts import equivariance_section
from convoi.inspection.report.subject import Subject
from convoi.nn.atomic_file import write_atomically
from convoi.training import History
from convoi.version import __version__

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from convoi.nn import Network

__all__ = ["report"]

_OWNER = "report"


def report(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    classes: Sequence[object] | None = None,
    predictions: ArrayLike | None = None,
    history: History | None = None,
    title: str = "Report on a network",
    notes: Sequence[str] = (),
    path: str | os.PathLike[str] | None = None,
) -> str:
    """Look at a network and its predictions, and write what is found as one HTML file.

    The file holds everything that it shows and loads nothing: data sample, architecture with costs
    and receptive fields, training curves, predictions with examples of errors, kernels, feature
    maps, what units look at, where predictions come from, how they bear shifts of the input, and
    calibration. It follows the reader's light or dark colour scheme.

    Parameters
    ----------
    network : Network
        The network, with outputs of shape ``(outputs,)``.
    X : array-like of shape (n, *input_shape)
        Samples that it was not trained on. All are predicted; those that are searched and shown
        are chosen among them.
    y : array-like
        With `classes` the numbers of the classes, ``(n,)``; else values, ``(n,)`` or
        ``(n, outputs)``.
    classes : sequence, optional
        What the classes are called, in the order of the outputs. By default numbers, where y are
        integers; where y are floats they are values.
    predictions : array-like of shape (n, outputs), optional
        What is predicted, if that is not the network's outputs: values in the terms of y; or
        logits, if the network is a part of what predicts.
    history : History, optional
        How the network was trained, as :func:`convoi.training.fit` returns it.
    title : str
        The title of the report.
    notes : sequence of str
        Paragraphs below the title, such as how the samples were chosen.
    path : str or PathLike, optional
        The file to write; an existing one is replaced.

    Returns
    -------
    str
        The HTML.

    Raises
    ------
    ArgumentError, ArgumentTypeError, ShapeError, DataError
        If an argument has a type, a value or a shape that it may not have.
    MissingDependencyError
        If matplotlib or Jinja2 is missing: ``pip install 'convoi[plot]'``.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import Network, inspection, nn
    >>> layers = nn.Sequential(nn.Conv(4, 3), nn.ReLU(), nn.GlobalAveragePool(), nn.Dense(2))
    >>> network = Network(layers, (1, 8, 8), random_state=0)
    >>> X = np.random.default_rng(0).normal(size=(6, 1, 8, 8))
    >>> html = inspection.report(network, X, [0, 1, 0, 1, 0, 1], classes=["disc", "ring"])
    >>> html[:15], "ring" in html
    ('<!DOCTYPE html>', True)
    """
    require_plots("A report")
    check_network(network, _OWNER)
    if history is not None and not isinstance(history, History):
        raise ArgumentTypeError(refusal("history", _OWNER, "a History or None", history))
    subject = _subject(network, X, y, classes, predictions, history)
    from convoi.inspection.report.rendering import rendered  # noqa: PLC0415 - needs Jinja2

    html = rendered(_document(subject, str(title), tuple(map(str, notes))))
    if path is not None:
        write_atomically(path, html.encode())
    return html


def _subject(  # noqa: PLR0917 - the arguments of report
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    classes: Sequence[object] | None,
    predictions: ArrayLike | None,
    history: History | None,
) -> Subject:
    samples = some_samples(samples_of(network, X), _OWNER)
    if len(network.output_shape) != 1:
        raise ShapeError(
            f"A {_OWNER} needs outputs of shape (outputs,). The network has outputs of shape "
            f"{network.output_shape}."
        )
    (outputs,) = network.output_shape
    truth = np.asarray(y)
    if len(np.atleast_1d(truth)) != len(samples) or truth.dtype.kind not in "biuf":
        raise ShapeError(
            f"The 'y' parameter of {_OWNER} must hold a number for each of the {len(samples)} "
            f"samples. Got {describe(y)} instead."
        )
    classifies = classes is not None or truth.dtype.kind in "biu"
    labels = _labels(classes, outputs) if classifies else None
    if labels is not None:
        truth = _codes(truth, len(labels))
    elif not np.isfinite(truth).all():
        raise DataError(f"The 'y' parameter of {_OWNER} has NaN or infinite values. Remove them.")
    found = network(samples) if predictions is None else np.asarray(predictions)
    if found.reshape(len(found), -1).shape != (len(samples), outputs):
        raise ShapeError(
            f"The 'predictions' parameter of {_OWNER} must have the shape "
            f"({len(samples)}, {outputs}). Got {found.shape} instead."
        )
    if not np.isfinite(found).all():
        raise DataError(
            "The network's outputs are NaN or infinite for some samples. Look for such values in "
            "X and in network.parameters."
        )
    return Subject(network, samples, truth, labels, found, history)


def _labels(classes: Sequence[object] | None, outputs: int) -> tuple[str, ...]:
    names = tuple(map(str, range(outputs) if classes is None else classes))
    if len(names) != outputs:
        raise ArgumentError(
            f"The 'classes' parameter of {_OWNER} must name the {outputs} outputs of the network. "
            f"Got {len(names)} names instead."
        )
    return names


def _codes(y: NDArray[Any], classes: int) -> NDArray[np.int64]:
    if y.ndim != 1 or y.dtype.kind not in "biu" or not 0 <= y.min() <= y.max() < classes:
        raise ArgumentError(
            f"The 'y' parameter of {_OWNER} must hold class numbers, integers of shape (n,) from 0 "
            f"to {classes - 1}. Got {describe(y)} instead."
        )
    return y.astype(np.int64)


def _document(subject: Subject, title: str, notes: tuple[str, ...]) -> Document:
    sections: list[Section] = [
        data_section(subject),
        architecture_section(subject),
        training_section(subject),
        results_section(subject),
    ]
    if subject.drawable:
        sections += [
            kernels_section(subject),
            maps_section(subject),
            units_section(subject),
            attention_section(subject),
        ]
    sections.append(equivariance_section(subject))
    if subject.labels is not None:
        sections.append(calibration_section(subject))
    return Document(title, _summary(subject), tuple(sections), notes)


def _summary(subject: Subject) -> tuple[tuple[str, str], ...]:
    size = sum(array.size for array in subject.network.parameters.values())
    figures = [("Samples", f"{len(subject.X):,}"), ("Parameters", f"{size:,}")]
    if subject.labels is not None:
        accuracy = (subject.predicted == subject.y).mean()
        figures.insert(0, ("Accuracy", f"{accuracy:.2%}"))
        figures.append(("Classes", f"{len(subject.labels):,}"))
    figures.append(("Convoi", __version__))
    return tuple(figures)
