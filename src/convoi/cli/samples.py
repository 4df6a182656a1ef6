"""Data for a model that exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from convoi.errors import DataError, ModelFileError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypeAlias

    from typing_extensions import TypeIs

    from convoi.cli.options import Layout
    from convoi.data import Dataset
    from convoi.estimators import (
        FeaturesClassifier,
        ImageClassifier,
        ImageRegressor,
        MiniRocketClassifier,
        RocketClassifier,
        SeriesClassifier,
        SeriesRegressor,
    )

    FeaturesModel: TypeAlias = MiniRocketClassifier | RocketClassifier | FeaturesClassifier
    ImageModel: TypeAlias = ImageClassifier | ImageRegressor
    NetworkModel: TypeAlias = ImageModel | SeriesClassifier | SeriesRegressor
    SeriesModel: TypeAlias = SeriesClassifier | SeriesRegressor | FeaturesModel
    Classifier: TypeAlias = ImageClassifier | SeriesClassifier | FeaturesModel
    Regressor: TypeAlias = ImageRegressor | SeriesRegressor
    Model: TypeAlias = ImageModel | SeriesModel


def load_model(
    path: Path, *, threads: int | None = None, precision: Literal["default", "high"] = "default"
) -> Model:
    """Return the model of a file, which predicts something.

    Raises
    ------
    ModelFileError
        If the file holds no model, or a transformer.
    """
    from convoi.estimators import load_estimator

    model = load_estimator(path, threads=threads, precision=precision)
    if hasattr(model, "transform"):
        raise ModelFileError(
            f"The model file {str(path)!r} holds {type(model).__name__}, which predicts nothing. "
            "Give a classifier of its features, or use it in Python."
        )
    return model


def load_network_model(
    path: Path,
    command: str,
    *,
    threads: int | None = None,
    precision: Literal["default", "high"] = "default",
) -> NetworkModel:
    """Return the model of a file that has a network, which the command is about.

    Raises
    ------
    ModelFileError
        If it has none.
    """
    model = load_model(path, threads=threads, precision=precision)
    if uses_features(model):
        raise ModelFileError(
            f"The model file {str(path)!r} holds {type(model).__name__}, and 'convoi {command}' "
            "shows networks. 'convoi evaluate' measures it."
        )
    return model


def open_for_model(
    model: Model,
    source: str,
    **options: Any,  # noqa: ANN401 - open_source's
) -> Dataset:
    """Return the test set of a source, or all of it, with samples as the model takes them."""
    from convoi.data import open_source

    if takes_series(model):
        dataset = open_source(source, **options).held_out
        if not dataset.is_series:
            raise DataError(
                f"The model takes series, and {source!r} holds samples of shape "
                f"{dataset.sample_shape}. Of an array, --layout tells which axes are channels."
            )
        return dataset
    channels, size = image_form(model)
    return open_source(
        source,
        image_size=size,
        channels=channels if channels in {1, 3} else None,
        fit=model.pixel_format_.fit,
        **options,
    ).held_out


def open_labelled(
    model: Model, source: str, *, data_dir: Path | None, layout: Layout, skip_unreadable: bool
) -> Dataset:
    """Return the test set of a source, or all of it, with the model's kind of labels."""
    return open_for_model(
        model,
        source,
        task="classification" if classifies(model) else "regression",
        classes=model.classes_.tolist() if classifies(model) else None,
        data_dir=data_dir,
        layout=layout.value,
        on_error="skip" if skip_unreadable else "raise",
    )


def takes_series(model: Model) -> TypeIs[SeriesModel]:
    """Tell whether a model takes series, and no images."""
    from convoi.estimators import SeriesClassifier, SeriesRegressor

    return isinstance(model, (SeriesClassifier, SeriesRegressor)) or uses_features(model)


def uses_features(model: Model) -> TypeIs[FeaturesModel]:
    """Tell whether a model is a linear classifier of features."""
    from convoi.estimators import FeaturesClassifier, MiniRocketClassifier, RocketClassifier

    return isinstance(model, (FeaturesClassifier, MiniRocketClassifier, RocketClassifier))


def class_scores(model: Classifier, samples: Any) -> Any:  # noqa: ANN401 - what estimators take
    """Return how likely each class is, shape (n, classes): probabilities, if the model has any.

    Those of features have distances to the planes between the classes.
    """
    if not uses_features(model):
        return model.predict_proba(samples)
    import numpy as np

    distances = model.decision_function(samples)
    return np.stack([-distances, distances], axis=1) if distances.ndim == 1 else distances


def classifies(model: Model) -> TypeIs[Classifier]:
    """Tell whether a model predicts classes, and no values."""
    from convoi.estimators import ImageClassifier, SeriesClassifier

    return isinstance(model, (ImageClassifier, SeriesClassifier)) or uses_features(model)


def model_input(dataset: Dataset) -> Any:  # noqa: ANN401 - what estimators take
    """Return what a model is given: the data set, or the series themselves."""
    from convoi.data import SeriesDataset

    if not isinstance(dataset, SeriesDataset):
        return dataset
    return dataset.X if not isinstance(dataset.X, tuple) else list(dataset.X)


def image_form(model: ImageModel) -> tuple[int, tuple[int, int]]:
    """Return channels and (height, width) of the images that a model takes."""
    if len(model.image_shape_) == 1:
        raise DataError(
            f"The model takes flat rows of {model.n_features_in_} values, not images. Train it on "
            "images, or predict with ImageClassifier.load in Python."
        )
    height, width, *channels = model.image_shape_
    return channels[0] if channels else 1, (height, width)
