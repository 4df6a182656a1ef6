"""Data for a model that exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convoi.errors import DataError

if TYPE_CHECKING:
    from convoi.data import Dataset
    from convoi.estimators import ImageClassifier, ImageRegressor


def open_for_model(
    model: ImageClassifier | ImageRegressor,
    source: str,
    **options: Any,  # noqa: ANN401 - open_source's
) -> Dataset:
    """Return the test set of a source, or all of it, with images as the model takes them."""
    from convoi.data import open_source

    channels, size = image_form(model)
    return open_source(
        source,
        image_size=size,
        channels=channels if channels in {1, 3} else None,
        fit=model.pixel_format_.fit,
        **options,
    ).held_out


def image_form(model: ImageClassifier | ImageRegressor) -> tuple[int, tuple[int, int]]:
    """Return channels and (height, width) of the images that a model takes."""
    if len(model.image_shape_) == 1:
        raise DataError(
            f"The model takes flat rows of {model.n_features_in_} values, not images. Train it on "
            "images, or predict with ImageClassifier.load in Python."
        )
    height, width, *channels = model.image_shape_
    return channels[0] if channels else 1, (height, width)
