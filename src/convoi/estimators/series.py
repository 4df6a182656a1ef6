"""What the series estimators have in common."""

from __future__ import annotations

from abc import ABC
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from convoi.errors import ArgumentError, DataError
from convoi.estimators.architecture import build_series_network
from convoi.estimators.base import NetworkEstimator
from convoi.estimators.containers import as_grid, as_list_or_array, stacked
from convoi.estimators.ensemble import combined
from convoi.estimators.model_fields import (
    chosen,
    is_number,
    is_text,
    list_of,
    refuse,
    size_of,
)
from convoi.estimators.normalization import Normalization, check_values
from convoi.estimators.parameters import Missing, Normalize, SeriesParameters, is_auto
from convoi.estimators.recipes import Recipe, choose_recipe
from convoi.graph import align
from convoi.nn import UnequalSeries
from convoi.nn.unequal import padded_length

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from convoi.data import Dataset
    from convoi.estimators.training_set import Objective, TrainingSet
    from convoi.nn import Network
    from convoi.ops import Shape


class SeriesEstimator(SeriesParameters, NetworkEstimator, ABC):
    """Base of the series estimators."""

    adds_probabilities: ClassVar[bool]
    """Whether the networks of an ensemble vote by their probabilities, not by their outputs."""

    channels_: int
    length_: int | None
    normalization_: Normalization
    networks_: tuple[Network, ...]
    members_: int
    _longest: int

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train networks on series.

        Parameters
        ----------
        X : array-like of shape (n, time) or (n, channels, time), list of series, or data frame
            Series of real numbers. Those of a list have shape (time,) or (channels, time), and any
            lengths. A pandas frame holds a row of numbers for each series; or series in its
            cells, a column for each channel; or a row for each time step, with an index of two
            levels, series and time.
        y : array-like of shape (n,)
            Labels of any type for a classifier; values for a regressor, also several per series,
            shape (n, outputs).
        sample_weight : array-like of shape (n,), optional
            How much each series counts. Weight 2 is the same as giving the series twice, weight 0
            as leaving it out.

        Returns
        -------
        self
            The estimator, fitted.

        Raises
        ------
        ValueError, TypeError
            If the data or a parameter cannot be used; the message names the series or the
            parameter. Convoi's own errors derive from these.
        KeyboardInterrupt
            After Ctrl-C; the estimator then predicts with the networks as far as they were
            trained.
        """
        return super().fit(X, y, sample_weight)

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's Tags, which are untyped
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing == "mask"
        return tags

    @property
    def _input_shape(self) -> Shape:
        return (self.channels_ * self.normalization_.factor, self._longest)

    def _samples(self, X: Any, *, reset: bool) -> NDArray[Any] | UnequalSeries:  # noqa: ANN401 - any container
        owner = type(self).__name__
        given = as_list_or_array(X)
        if isinstance(given, list):
            samples = stacked(given)
            if reset and hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
        elif isinstance(given, UnequalSeries):
            samples = given
        else:
            samples = as_grid(self._array(given, reset=reset), owner)
        check_values(samples, self.missing, owner)
        if not reset:
            return self._as_fitted(samples)
        if isinstance(samples, UnequalSeries):
            longest = padded_length(int(samples.lengths.max()))
            self._set_form(samples.channels, None, longest)
        else:
            self._set_form(samples.shape[1], samples.shape[2], samples.shape[2])
        return samples

    def _array(self, X: Any, *, reset: bool) -> NDArray[Any]:  # noqa: ANN401 - an array-like
        """Return rows of numbers or an array of series after scikit-learn's checks."""
        settings = {"dtype": "numeric", "allow_nd": True, "ensure_all_finite": False}
        flat = (X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim) <= 2
        array: NDArray[Any]
        if not reset and self.length_ is None:
            array = check_array(X, ensure_2d=flat, **settings)
        else:
            array = validate_data(self, X, reset=reset, ensure_2d=flat, **settings)
        return array

    def _set_form(self, channels: int, length: int | None, longest: int) -> None:
        self.channels_ = channels
        self.length_ = length
        self._longest = longest
        self.n_features_in_ = channels * (length or 1)

    def _as_fitted(self, samples: NDArray[Any] | UnequalSeries) -> NDArray[Any] | UnequalSeries:
        """Return series of the form of those that the estimator was fitted with."""
        channels = samples.channels if isinstance(samples, UnequalSeries) else samples.shape[1]
        length = None if isinstance(samples, UnequalSeries) else samples.shape[2]
        owner = type(self).__name__
        if channels != self.channels_:
            raise DataError(
                f"X holds series of {channels} channels, but {owner} was fitted with series of "
                f"{self.channels_}."
            )
        if self.length_ is None:
            return samples if isinstance(samples, UnequalSeries) else UnequalSeries.of([*samples])
        if length != self.length_:
            found = "series of different lengths" if length is None else f"series of {length}"
            raise DataError(
                f"X holds {found} time steps, but {owner} was fitted with series of "
                f"{self.length_}. Fit it with series of unequal lengths to predict any."
            )
        return samples

    def _learn_form(self, dataset: Dataset) -> None:
        channels, length = self._series_shape(dataset)
        self._set_form(channels, length, length)

    def _check_form(self, dataset: Dataset) -> None:
        shape = self._series_shape(dataset)
        if shape != (self.channels_, self.length_ or shape[1]):
            raise DataError(
                f"The data set {dataset.name!r} has samples of shape {shape}, and "
                f"{type(self).__name__} was fitted with series of shape "
                f"{(self.channels_, self.length_ or 'any')}."
            )

    def _series_shape(self, dataset: Dataset) -> tuple[int, int]:
        if len(dataset.sample_shape) != 2:
            raise DataError(
                f"{type(self).__name__} takes series, samples of shape (channels, time). The data "
                f"set {dataset.name!r} has samples of shape {dataset.sample_shape}."
            )
        channels, length = dataset.sample_shape
        return channels, length

    def _prepared(self, data: TrainingSet, *, reset: bool) -> TrainingSet:
        X = data.X
        if not isinstance(X, (np.ndarray, UnequalSeries)):
            X = X.take(np.arange(len(data)))
        check_values(X, self.missing, type(self).__name__)
        if reset:
            kind = self._normalize(X, len(data))
            self.normalization_ = Normalization.of(kind, self.missing, X, data.weight)
        if isinstance(X, UnequalSeries):
            return replace(data, X=self.normalization_(X))
        return replace(data, X=self.normalization_(X))

    def _inputs(self, samples: Any) -> Any:  # noqa: ANN401 - an array or series
        return self.normalization_(samples)

    def _from_dataset(self, samples: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
        del dataset
        check_values(samples, self.missing, type(self).__name__)
        prepared: NDArray[Any] = self._inputs(self._as_fitted(samples))
        return prepared

    def _output(self, samples: Any) -> NDArray[Any]:  # noqa: ANN401 - an array or series
        if isinstance(samples, UnequalSeries):
            return np.asarray(self.network_.predict_unequal(samples))
        return self.network_(samples)

    def _trained(self) -> Sequence[Network]:
        return getattr(self, "networks_", ())

    def _normalize(self, X: NDArray[Any] | UnequalSeries, samples: int) -> Normalize | None:
        """Return how series are normalised, the default decided."""
        if not is_auto(self.normalize):
            return self.normalize
        longest = int(X.lengths.max()) if isinstance(X, UnequalSeries) else X.shape[2]
        members = self._members(choose_recipe((self.channels_, longest), samples))
        return "both" if self.adds_probabilities and members > 1 else "channel"

    def _for_member(self, X: Any, number: int) -> Any:  # noqa: ANN401 - what fit takes
        return self.normalization_.for_member(X, number, self.channels_)

    def _keep(self, networks: Sequence[Network]) -> None:
        self.networks_ = tuple(networks)
        self.members_ = len(networks)
        views = [self.normalization_.view(n, self.channels_) for n in range(len(networks))]
        self.network_ = (
            networks[0]
            if len(networks) == 1 and views[0] is None
            else combined(
                networks,
                probabilities=self.adds_probabilities,
                threads=self.threads,
                precision=self.precision,
                channels=self._input_shape[0],
                views=views,
            )
        )

    def _members(self, recipe: Recipe) -> int:
        return recipe.ensemble if is_auto(self.ensemble) else self.ensemble

    def _train_once(self, data: TrainingSet) -> Self:
        owner = type(self).__name__
        if isinstance(data.X, UnequalSeries):
            raise DataError(
                f"partial_fit of {owner} takes series of one length. Use fit for series of unequal "
                "lengths."
            )
        if hasattr(self, "members_") and not self._trained():
            raise ArgumentError(
                f"partial_fit of {owner} needs the networks of the ensemble one by one, and a "
                "model file has them in one. Fit it anew."
            )
        return super()._train_once(data)

    def _new_network(self, data: TrainingSet, objective: Objective, seed: int | None) -> Network:
        return build_series_network(
            self.network,
            (self.channels_ * self.normalization_.view_factor, self._longest),
            len(data),
            objective.outputs,
            seed=seed,
            threads=self.threads,
            precision=self.precision,
            owner=type(self).__name__,
        )

    def _described_samples(self) -> dict[str, Any]:
        names = getattr(self, "feature_names_in_", None)
        normalization = self.normalization_
        mean, scale = normalization.mean, normalization.scale
        return {
            "channels": self.channels_,
            "length": self.length_,
            "normalize": normalization.kind,
            "series_mean": None if mean is None else mean.tolist(),
            "series_scale": None if scale is None else scale.tolist(),
            "missing": normalization.missing,
            "members": self.members_,
            "feature_names": None if names is None else list(names),
        }

    def _restore_samples(self, extra: dict[str, Any]) -> None:
        network = self.network_
        channels = size_of(extra, "channels")
        length = None if extra.get("length") is None else size_of(extra, "length")
        kind: Normalize | None = None
        if extra.get("normalize") is not None:
            kind = chosen(extra, "normalize", get_args(Normalize))
        missing: Missing = chosen(extra, "missing", get_args(Missing))
        mean = scale = None
        if kind in {"channel", "both"}:
            mean, scale = (
                np.array(list_of(extra, name, is_number, lengths=(channels,)), np.float64)
                for name in ("series_mean", "series_scale")
            )
            if not (scale > 0).all():
                refuse("The entry 'series_scale' is invalid: it must be positive.")
        self.normalization_ = Normalization(kind, missing, mean, scale)
        self.missing = missing
        self.members_ = size_of(extra, "members")
        if self.members_ == 1 and kind != "both":
            self.networks_ = (network,)
        self._set_form(channels, length, network.input_shape[-1])
        fits = network.input_shape == self._input_shape and len(network.output_shape) == 1
        if not fits or (length is not None and length != self._longest):
            refuse(f"Series of {channels} channels do not fit its network, {network!r}.")
        if length is None:
            _check_any_length(network)
        if extra.get("feature_names") is not None:
            names = list_of(extra, "feature_names", is_text, lengths=(self.n_features_in_,))
            self.feature_names_in_ = np.array(names, dtype=object)


def _check_any_length(network: Network) -> None:
    try:
        align(network.graph)
    except ArgumentError as error:
        refuse(str(error))
