"""What the image estimators have in common."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import validate_data

from convoi.errors import DataError
from convoi.estimators.architecture import build_network
from convoi.estimators.base import NetworkEstimator
from convoi.estimators.layout import (
    PixelFormat,
    SampleLayout,
    check_image_shape,
    dataset_layout,
    training_layout,
)
from convoi.estimators.model_fields import is_size, is_text, list_of, pixel_format, refuse
from convoi.estimators.parameters import ImageParameters
from convoi.estimators.training_set import check_finite

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from convoi.data import Dataset
    from convoi.estimators.training_set import Objective, TrainingSet
    from convoi.nn import Network
    from convoi.ops import Shape


class ImageEstimator(ImageParameters, NetworkEstimator, ABC):
    """Base of the image estimators."""

    image_shape_: tuple[int, ...]
    pixel_format_: PixelFormat

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train a network on images.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, values)
            Images of any real dtype. Flat rows are images if ``image_shape`` is set, and else
            rows of values without neighbours.
        y : array-like of shape (n,)
            Labels of any type for a classifier; values for a regressor, also several per sample,
            shape (n, outputs).
        sample_weight : array-like of shape (n,), optional
            How much each sample counts. Weight 2 is the same as giving the sample twice, weight
            0 as leaving it out.

        Returns
        -------
        self
            The estimator, fitted.

        Raises
        ------
        ValueError, TypeError
            If the data or a parameter cannot be used; the message names the sample or the
            parameter. Convoi's own errors derive from these.
        KeyboardInterrupt
            After Ctrl-C; the estimator then predicts with the network as far as it was trained.
        """
        return super().fit(X, y, sample_weight)

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's Tags, which are untyped
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    @property
    def _input_shape(self) -> Shape:
        return SampleLayout(self.image_shape_).input_shape

    def _samples(self, X: Any, *, reset: bool) -> NDArray[Any]:  # noqa: ANN401 - any container
        flat = (X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim) <= 2
        array: NDArray[Any] = validate_data(
            self,
            X,
            reset=reset,
            dtype="numeric",
            ensure_2d=flat,
            allow_nd=True,
            ensure_all_finite=False,
        )
        owner = type(self).__name__
        if reset:
            image_shape = check_image_shape(self.image_shape, owner)
            layout = training_layout(array, image_shape, owner)
            self._set_layout(layout, PixelFormat.of_array(array))
        else:
            layout = SampleLayout(self.image_shape_)
            layout.check(array, owner)
        check_finite(array)
        return layout.samples(array)

    def _set_layout(self, layout: SampleLayout, pixel_format: PixelFormat) -> None:
        self.image_shape_ = layout.shape
        self.pixel_format_ = pixel_format
        self.n_features_in_ = layout.size

    def _learn_form(self, dataset: Dataset) -> None:
        layout = dataset_layout(dataset.sample_shape, type(self).__name__)
        self._set_layout(layout, PixelFormat.of_dataset(dataset))

    def _check_form(self, dataset: Dataset) -> None:
        expected = self._input_shape
        if dataset.sample_shape != expected:
            raise DataError(
                f"The data set {dataset.name!r} has samples of shape {dataset.sample_shape}, and "
                f"{type(self).__name__} was fitted with samples of shape {expected}."
            )

    def _from_dataset(self, samples: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
        return self.pixel_format_.scaled(samples, dataset.value_range)

    def _new_network(self, data: TrainingSet, objective: Objective, seed: int | None) -> Network:
        return build_network(
            self.network,
            SampleLayout(self.image_shape_),
            data,
            objective.outputs,
            seed=seed,
            threads=self.threads,
            precision=self.precision,
            owner=type(self).__name__,
        )

    def _described_samples(self) -> dict[str, Any]:
        names = getattr(self, "feature_names_in_", None)
        pixels = self.pixel_format_
        return {
            "image_shape": list(self.image_shape_),
            "value_range": None if pixels.value_range is None else list(pixels.value_range),
            "fit": pixels.fit,
            "feature_names": None if names is None else list(names),
        }

    def _restore_samples(self, extra: dict[str, Any]) -> None:
        network = self.network_
        layout = SampleLayout(tuple(list_of(extra, "image_shape", is_size, lengths=(1, 2, 3))))
        if layout.input_shape != network.input_shape or len(network.output_shape) != 1:
            refuse(f"Samples of shape {layout.shape} do not fit its network, {network!r}.")
        self._set_layout(layout, pixel_format(extra))
        if extra.get("feature_names") is not None:
            names = list_of(extra, "feature_names", is_text, lengths=(layout.size,))
            self.feature_names_in_ = np.array(names, dtype=object)
