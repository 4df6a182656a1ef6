"""Loading an estimator whose kind the file knows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from convoi.errors import ModelFileError
from convoi.estimators.classifier import ImageClassifier
from convoi.estimators.features import MiniRocketFeatures, RocketFeatures
from convoi.estimators.features_classifier import (
    FeaturesClassifier,
    MiniRocketClassifier,
    RocketClassifier,
)
from convoi.estimators.network_features import NetworkFeatures
from convoi.estimators.regressor import ImageRegressor
from convoi.estimators.series_classifier import SeriesClassifier
from convoi.estimators.series_regressor import SeriesRegressor
from convoi.nn.tensor_file import extra_of, read_metadata

if TYPE_CHECKING:
    from typing import TypeAlias

    from convoi.compiler.pipeline import Precision

    NetworkModel: TypeAlias = ImageClassifier | ImageRegressor | SeriesClassifier | SeriesRegressor
    FeaturesModel: TypeAlias = MiniRocketClassifier | RocketClassifier | FeaturesClassifier
    Transformer: TypeAlias = MiniRocketFeatures | RocketFeatures | NetworkFeatures

_CLASSES = (
    ImageClassifier,
    ImageRegressor,
    SeriesClassifier,
    SeriesRegressor,
    MiniRocketClassifier,
    RocketClassifier,
    FeaturesClassifier,
    MiniRocketFeatures,
    RocketFeatures,
    NetworkFeatures,
)


def load_estimator(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    precision: Precision = "default",
) -> NetworkModel | FeaturesModel | Transformer:
    """Read an estimator from a file that its ``save`` or ``convoi train`` wrote.

    Parameters
    ----------
    path : str or PathLike
        The file. Reading it runs no code from it.
    threads, precision
        Parameters of the estimator; the others have their defaults.

    Returns
    -------
    estimator
        Of the class that the file names, fitted.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is damaged, or holds no estimator.
    """
    metadata = read_metadata(path)
    try:
        kind = extra_of(metadata).get("estimator")
    except ModelFileError as error:
        message = f"The model file {os.fspath(path)!r} cannot be used. {error}"
        raise ModelFileError(message) from error
    for cls in _CLASSES:
        if cls.__name__ == kind:
            return cls.load(path, threads=threads, precision=precision)
    raise ModelFileError(
        f"The model file {os.fspath(path)!r} holds a network, but not what it takes and what "
        "its outputs mean. Load it with convoi.load."
    )
