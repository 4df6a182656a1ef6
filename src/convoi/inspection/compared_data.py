"""The data that networks are compared on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import refusal
from convoi.data import train_validation_split
from convoi.errors import ArgumentTypeError, DataError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ComparedData", "moved_at_random"]

OWNER = "compare"
TEST_FRACTION = 0.25


@dataclass(frozen=True)
class ComparedData:
    """Standardised samples, and class numbers."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    X_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    classes: int
    order: NDArray[np.intp]
    """The training samples shuffled: parts are taken from its beginning."""

    @classmethod
    def of(
        cls, X: ArrayLike, y: ArrayLike, test: object, margin: int, rng: np.random.Generator
    ) -> ComparedData:
        """Return what the arguments hold, with a part set aside if there are no test samples."""
        samples, labels = _check_samples(X, y, "X, y")
        if test is None:
            kept, held = train_validation_split(labels, TEST_FRACTION, rng)
            given = samples[kept], labels[kept], samples[held], labels[held]
        else:
            if not isinstance(test, tuple) or len(test) != 2:
                raise ArgumentTypeError(refusal("test_data", OWNER, "a tuple (X, y)", test))
            given = samples, labels, *_check_samples(*test, "test_data")
        train, own, held_out, others = given
        if held_out.shape[1:] != train.shape[1:] or not len(others):
            raise ShapeError(
                "The 'test_data' of compare must hold samples of the shape of X, "
                f"(n, {', '.join(map(str, train.shape[1:]))}). Got {held_out.shape} instead."
            )
        classes = np.unique(own)
        if len(classes) < 2:
            raise DataError(f"compare needs at least two classes. Got {classes.tolist()}.")
        if not np.isin(others, classes).all():
            raise DataError("The test data of compare have a class that the training data lack.")
        train, held_out = (moved_at_random(each, margin, rng) for each in (train, held_out))
        axes = (0, *range(2, train.ndim))
        mean, deviation = train.mean(axis=axes, keepdims=True), train.std(axis=axes, keepdims=True)
        scale = np.where(deviation > 0, deviation, 1)
        return cls(
            ((train - mean) / scale).astype(np.float32),
            np.searchsorted(classes, own).astype(np.int64),
            ((held_out - mean) / scale).astype(np.float32),
            np.searchsorted(classes, others).astype(np.int64),
            len(classes),
            rng.permutation(len(own)),
        )


def moved_at_random(X: NDArray[Any], margin: int, rng: np.random.Generator) -> NDArray[Any]:
    """Return samples with zeros around them, each at a random place in its larger frame."""
    if margin == 0:
        return X
    rank = X.ndim - 2
    frames = np.zeros((*X.shape[:2], *(extent + 2 * margin for extent in X.shape[2:])), X.dtype)
    places = rng.integers(0, 2 * margin, (len(X), rank), endpoint=True)
    for frame, sample, place in zip(frames, X, places, strict=True):
        ends = zip(place, sample.shape[1:], strict=True)
        frame[(slice(None), *(slice(low, low + extent) for low, extent in ends))] = sample
    return frames


def _check_samples(X: ArrayLike, y: ArrayLike, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    samples, labels = np.asarray(X), np.asarray(y)
    if samples.dtype.kind not in "biuf":
        raise ArgumentTypeError(refusal(name, OWNER, "samples that are real numbers", X))
    if samples.ndim < 3:
        raise ShapeError(
            f"compare needs samples of shape (n, channels, *spatial). Got {samples.shape} "
            "instead: put an axis of one channel behind the first, X[:, None]."
        )
    if labels.shape != (len(samples),) or not len(samples):
        raise DataError(
            "compare needs a class for each sample, and at least one sample. "
            f"Got {len(samples)} samples and classes of shape {labels.shape}."
        )
    if labels.dtype.kind == "f":
        raise ArgumentTypeError(
            "compare needs classes, integers or texts: accuracy is what it compares. "
            f"Got values of dtype {labels.dtype}."
        )
    values = samples.astype(np.float64)
    if not np.isfinite(values).all():
        sample = int(np.isfinite(values).reshape(len(values), -1).all(axis=1).argmin())
        raise DataError(
            f"Sample {sample} of {name} has a value that is NaN or infinite. Remove it."
        )
    return values, labels
