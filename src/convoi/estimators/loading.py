"""Loading an estimator whose kind the file knows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from convoi.errors import ModelFileError
from convoi.estimators.classifier import ImageClassifier
from convoi.estimators.persistence import kind_of
from convoi.estimators.regressor import ImageRegressor
from convoi.estimators.series_classifier import SeriesClassifier
from convoi.estimators.series_regressor import SeriesRegressor
from convoi.nn.model_file import read_model

if TYPE_CHECKING:
    from convoi.compiler.pipeline import Precision


def load_estimator(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    precision: Precision = "default",
) -> ImageClassifier | ImageRegressor | SeriesClassifier | SeriesRegressor:
    """Read an estimator from a file that its ``save`` or ``convoi train`` wrote.

    Parameters
    ----------
    path : str or PathLike
        The file. Reading it runs no code from it.
    threads, precision
        Parameters of the estimator; the others have their defaults.

    Returns
    -------
    ImageClassifier, ImageRegressor, SeriesClassifier or SeriesRegressor
        Fitted.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is damaged, or holds no estimator.
    """
    model = read_model(path)
    try:
        kind = kind_of(model.extra)
    except ModelFileError as error:
        raise ModelFileError(
            f"The model file {os.fspath(path)!r} holds a network, but not what it takes and what "
            "its outputs mean. Load it with convoi.load."
        ) from error
    classes = (ImageClassifier, ImageRegressor, SeriesClassifier, SeriesRegressor)
    cls = next(cls for cls in classes if cls.kind == kind)
    return cls.load(path, threads=threads, precision=precision)
