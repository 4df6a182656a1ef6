"""Data for a model that exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convoi.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypeAlias

    from typing_extensions import TypeIs

    from convoi.cli.options import Layout
    from convoi.data import Dataset
    from convoi.estimators import (
        ImageClassifier,
        ImageRegressor,
        SeriesClassifier,
        SeriesRegressor,
    )

    ImageModel: TypeAlias = ImageClassifier | ImageRegressor
    SeriesModel: TypeAlias = SeriesClassifier | SeriesRegressor
    Classifier: TypeAlias = ImageClassifier | SeriesClassifier
    Regressor: TypeAlias = ImageRegressor | SeriesRegressor
    Model: TypeAlias = ImageModel | SeriesModel


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

    return isinstance(model, (SeriesClassifier, SeriesRegressor))


def classifies(model: Model) -> TypeIs[Classifier]:
    """Tell whether a model predicts classes, and no values."""
    from convoi.estimators import ImageClassifier, SeriesClassifier

    return isinstance(model, (ImageClassifier, SeriesClassifier))


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
