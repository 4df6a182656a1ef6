"""Reports on estimators."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from convoi.data import SeriesDataset
from convoi.errors import DataError
from convoi.estimators.classification import Classification
from convoi.estimators.ensemble import first_member
from convoi.estimators.series import SeriesEstimator
from convoi.graph import resize
from convoi.inspection import report
from convoi.nn import Network

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from convoi.data import Dataset
    from convoi.estimators.classifier import ImageClassifier
    from convoi.estimators.regressor import ImageRegressor
    from convoi.estimators.series_classifier import SeriesClassifier
    from convoi.estimators.series_regressor import SeriesRegressor


def write_report(
    estimator: ImageClassifier | ImageRegressor | SeriesClassifier | SeriesRegressor,
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    title: str,
) -> int:
    """Write a report on an estimator and what it makes of a data set.

    Parameters
    ----------
    estimator : ImageClassifier, ImageRegressor, SeriesClassifier or SeriesRegressor
        Fitted.
    dataset : Dataset
        Samples with labels, all of which are read into memory; class codes are those of the
        estimator's labels. Of series of unequal lengths, the report is on those of the length that
        most have, and says so.
    path : str or PathLike
        The HTML file; an existing one is replaced.
    title : str
        The title of the report.

    Returns
    -------
    int
        The number of samples that the report is on.

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
    _labels(dataset)  # before the work
    options: dict[str, Any] = {}
    notes: list[str] = []
    if isinstance(estimator, SeriesEstimator):
        every, dataset = dataset, _of_one_length(dataset)
        length = dataset.sample_shape[-1]
        if len(dataset) < len(every):
            notes.append(
                f"The series have unequal lengths. These are the {len(dataset):,} of "
                f"{len(every):,} series that have {length:,} time steps, as most have."
            )
        X = dataset.source.take(np.arange(len(dataset)))
        samples = estimator.normalization_(X)
        options["predictions"] = _predicted(estimator, X)
        network = _for_length(estimator.network_, length)
        voters = []
        shown = "network"
        if estimator.members_ > 1:
            voters.append(f"an ensemble of {estimator.members_} networks")
            shown = "first"
            network = first_member(network)
            samples = estimator.normalization_.for_member(samples, 0, estimator.channels_)
        if getattr(estimator, "fixed_kernels_", None) is not None:
            voters = [*(voters or ["a network"]), "fixed kernels with half of the votes"]
        if voters:
            notes.append(
                f"Predictions and calibration are those of {' and '.join(voters)}; the layers, and "
                f"what they do, are those of the {shown}."
            )
    else:
        X = dataset.source.take(np.arange(len(dataset)))
        samples = estimator.pixel_format_.scaled(X, dataset.value_range)
        network = estimator.network_
        if not isinstance(estimator, Classification):
            options["predictions"] = _predicted(estimator, dataset)
    if isinstance(estimator, Classification):
        options["classes"] = estimator.classes_.tolist()
    report(
        network,
        samples,
        _labels(dataset),
        history=getattr(estimator, "history_", None),
        title=title,
        notes=notes,
        path=path,
        **options,
    )
    return len(dataset)


def _labels(dataset: Dataset) -> NDArray[Any]:
    if dataset.y is None:
        raise DataError(f"A report needs labels, and the data set {dataset.name!r} has none.")
    return dataset.y


def _predicted(estimator: Any, X: Any) -> Any:  # noqa: ANN401 - any estimator, and what it takes
    """Return logarithms of probabilities, which are logits; or values, ``(n, outputs)``."""
    if isinstance(estimator, Classification):
        return estimator.predict_log_proba(X)
    return estimator.predict(X).reshape(len(X), -1)


def _of_one_length(dataset: Dataset) -> Dataset:
    """Return the series of the most frequent length; of several such lengths, the longest.

    Raises
    ------
    DataError
        If the samples are no series.
    """
    if not dataset.is_series:
        raise DataError(
            f"The estimator takes series, and the data set {dataset.name!r} has samples of shape "
            f"{dataset.sample_shape}."
        )
    if not isinstance(dataset, SeriesDataset) or isinstance(dataset.X, np.ndarray):
        return dataset
    lengths, counts = np.unique(dataset.lengths, return_counts=True)
    length = lengths[::-1][counts[::-1].argmax()]
    chosen = dataset.subset(np.flatnonzero(dataset.lengths == length))
    return replace(chosen, X=np.stack(chosen.X))


def _for_length(network: Network, length: int) -> Network:
    """Return the network for series of a length, which is another only if it takes any."""
    if network.input_shape[-1] == length:
        return network
    return Network(
        resize(network.graph, (length,)),
        dtype=network.dtype,
        threads=network.threads,
        precision=network.precision,
        parameters=network.parameters,
    )
