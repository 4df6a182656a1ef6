"""Reports on estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from convoi.errors import DataError
from convoi.inspection import report

if TYPE_CHECKING:
    import os

    from convoi.data import Dataset
    from convoi.estimators.classifier import ImageClassifier
    from convoi.estimators.regressor import ImageRegressor


def write_report(
    estimator: ImageClassifier | ImageRegressor,
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    title: str,
) -> None:
    """Write a report on an estimator and what it makes of a data set.

    Parameters
    ----------
    estimator : ImageClassifier or ImageRegressor
        Fitted.
    dataset : Dataset
        Samples with labels, all of which are read into memory; class codes are those of the
        estimator's labels.
    path : str or PathLike
        The HTML file; an existing one is replaced.
    title : str
        The title of the report.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    DataError
        If the samples have no labels, or do not fit the estimator.
    MissingDependencyError
        If matplotlib or Jinja2 is missing.
    OSError
        If the file cannot be written.
    """
    check_is_fitted(estimator, "network_")
    if dataset.y is None:
        raise DataError(f"A report needs labels, and the data set {dataset.name!r} has none.")
    samples = dataset.source.take(np.arange(len(dataset)))
    classes = getattr(estimator, "classes_", None)
    options: dict[str, Any] = {}
    if classes is None:
        options["predictions"] = estimator.predict(dataset).reshape(len(dataset), -1)
    else:
        options["classes"] = classes.tolist()
    report(
        estimator.network_,
        estimator.pixel_format_.scaled(samples, dataset.value_range),
        dataset.y,
        history=getattr(estimator, "history_", None),
        title=title,
        path=path,
        **options,
    )
