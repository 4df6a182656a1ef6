"""How the rows of X are images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_integer, refusal
from convoi.data import ImageFiles, Subset
from convoi.errors import ArgumentError, ArgumentTypeError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.data import Dataset
    from convoi.data.options import Fit
    from convoi.ops import Shape

FORMS = (
    "(n, height, width), (n, height, width, channels), or flat rows (n, values) with image_shape"
)


@dataclass(frozen=True)
class PixelFormat:
    """How image files become samples.

    Attributes
    ----------
    value_range : tuple of two floats, or None
        The values that stand for black and white; None where that is unknown.
    fit : {'crop', 'stretch'}
        How an image of another size is brought to that of the samples.
    """

    value_range: tuple[float, float] | None = None
    fit: Fit = "crop"

    def scaled(self, X: NDArray[Any], value_range: tuple[float, float] | None) -> NDArray[Any]:
        """Return samples, whose black and white are these values, with those of this format."""
        if self.value_range is None or value_range in {None, self.value_range}:
            return X
        (black, white), (low, high) = self.value_range, value_range
        factor = np.float32((white - black) / (high - low))
        return (X - np.float32(low)) * factor + np.float32(black)

    @classmethod
    def of_array(cls, X: NDArray[Any]) -> PixelFormat:
        """Return what the dtype of an array tells: bytes are from 0 to 255, booleans 0 and 1."""
        white = {"u": 255.0, "b": 1.0}.get(X.dtype.kind) if X.dtype.itemsize == 1 else None
        return cls(None if white is None else (0.0, white))

    @classmethod
    def of_dataset(cls, dataset: Dataset) -> PixelFormat:
        """Return how the images of a data set were read."""
        source: object = dataset.X
        while isinstance(source, Subset):
            source = source.source
        fit: Fit = source.fit if isinstance(source, ImageFiles) else "crop"
        return cls(dataset.value_range, fit)


@dataclass(frozen=True)
class SampleLayout:
    """The form of one sample.

    Attributes
    ----------
    shape : tuple of int
        As users write it: (height, width), (height, width, channels), or (values,) for rows
        that have no known order of neighbours.
    """

    shape: Shape

    @property
    def is_image(self) -> bool:
        """Whether the values have neighbours."""
        return len(self.shape) > 1

    @property
    def size(self) -> int:
        """Number of values of a sample."""
        return prod(self.shape)

    @property
    def input_shape(self) -> Shape:
        """The shape that a network takes: (channels, height, width), or (values,)."""
        if len(self.shape) == 2:
            return (1, *self.shape)
        if len(self.shape) == 3:
            return (self.shape[2], *self.shape[:2])
        return self.shape

    def check(self, X: NDArray[Any], owner: str) -> None:
        """Raise unless X, of two axes or more, has samples of this form; flat rows have been."""
        if X.ndim == 2 or X.shape[1:] == self.shape:
            return
        form = "images" if self.is_image else "flat rows"
        hint = " For a single image, give X[numpy.newaxis]." if X.shape == self.shape else ""
        raise DataError(
            f"X holds samples of shape {X.shape[1:]}, but {owner} was fitted with {form} of shape "
            f"{self.shape}.{hint}"
        )

    def samples(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return X, of shape (n, *shape) or (n, size), as a network takes it: a view."""
        grid = X.reshape(len(X), *self.shape)
        if len(self.shape) == 2:
            return grid[:, np.newaxis]
        if len(self.shape) == 3:
            return np.moveaxis(grid, -1, 1)
        return grid


def training_layout(X: NDArray[Any], image_shape: Shape | None, owner: str) -> SampleLayout:
    """Return the layout of a training set, of two axes or more."""
    if X.ndim > 4 or 0 in X.shape:
        raise DataError(f"X has shape {X.shape}, and {owner} expects {FORMS}. Reshape it.")
    if image_shape is None:
        _refuse_channels_first(X, owner)
        return SampleLayout(X.shape[1:])
    if X.ndim == 2 and prod(image_shape) != X.shape[1]:
        raise DataError(
            f"X has {X.shape[1]} values in each row, and image_shape={image_shape} means "
            f"{prod(image_shape)}. Set image_shape to the (height, width) or (height, width, "
            "channels) of the images."
        )
    if X.ndim > 2 and X.shape[1:] != image_shape:
        raise DataError(
            f"X holds samples of shape {X.shape[1:]}, and image_shape={image_shape}. Only flat "
            "rows need image_shape: leave it at None, or set it to the shape of the images."
        )
    return SampleLayout(image_shape)


def _refuse_channels_first(X: NDArray[Any], owner: str) -> None:
    """Raise for images of the form (n, channels, height, width), the usual mistake."""
    if X.ndim == 4 and X.shape[1] in {1, 3} and X.shape[3] not in {1, 3}:
        raise DataError(
            f"X has shape {X.shape}, which looks like (n, channels, height, width), and {owner} "
            "expects the channels last. Give numpy.moveaxis(X, 1, -1); or, if the images really "
            f"are {X.shape[1]} high, image_shape={X.shape[1:]}."
        )


def check_image_shape(image_shape: object, owner: str) -> Shape | None:
    """Return the ``image_shape`` parameter as (height, width) or (height, width, channels)."""
    if image_shape is None:
        return None
    expectation = "None, (height, width) or (height, width, channels)"
    if isinstance(image_shape, str) or not isinstance(image_shape, (Sequence, np.ndarray)):
        raise ArgumentTypeError(refusal("image_shape", owner, expectation, image_shape))
    if len(image_shape) not in {2, 3}:
        raise ArgumentError(refusal("image_shape", owner, expectation, image_shape))
    return tuple(check_integer(size, "image_shape", owner, minimum=1) for size in image_shape)


def dataset_layout(sample_shape: Shape, owner: str) -> SampleLayout:
    """Return the layout of images whose channels come first."""
    if len(sample_shape) != 3:
        raise DataError(
            f"{owner} takes images, samples of shape (channels, height, width). The data set has "
            f"samples of shape {sample_shape}."
        )
    channels, height, width = sample_shape
    return SampleLayout((height, width) if channels == 1 else (height, width, channels))
