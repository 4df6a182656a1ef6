"""Linear classifiers of the features of series."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from convoi.errors import DataError
from convoi.estimators.features import MiniRocketFeatures, RocketFeatures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from convoi.signal.series import Series

ALPHAS = tuple(np.logspace(-3, 3, 10).tolist())
"""The strengths of regularisation that the authors of Rocket choose from."""


class _RidgeClassifier(ClassifierMixin, BaseEstimator, ABC):
    """Base of the classifiers: features, scaled, and ridge regression on the classes."""

    pipeline_: Pipeline
    classes_: NDArray[Any]

    alphas: Sequence[float]
    class_weight: Mapping[Any, float] | str | None

    def fit(self, X: Series, y: ArrayLike) -> Self:
        """Choose the features and fit the classifier.

        Parameters
        ----------
        X : array-like of shape (n, time) or (n, channels, time), or sequence of series
            Series of real numbers. A sequence of arrays of shape (time,) or (channels, time) may
            have unequal lengths.
        y : array-like of shape (n,)
            Labels of any type.

        Returns
        -------
        self
            The classifier, fitted.

        Raises
        ------
        ValueError, TypeError
            If the series, the labels or a parameter cannot be used; Convoi's own errors derive
            from these.
        """
        owner = type(self).__name__
        if y is None:
            raise DataError(f"{owner} requires y to be passed, but the target y is None.")
        # As the authors do: features that are zero for most series stay zero.
        steps = [
            ("features", self._features()),
            ("scale", StandardScaler(with_mean=False)),
            ("classify", RidgeClassifierCV(alphas=self.alphas, class_weight=self.class_weight)),
        ]
        pipeline = Pipeline(steps)
        pipeline.fit(X, y)
        self.pipeline_ = pipeline
        self.classes_ = pipeline.classes_
        if hasattr(steps[0][1], "n_features_in_"):
            self.n_features_in_ = steps[0][1].n_features_in_
        return self

    def predict(self, X: Series) -> NDArray[Any]:
        """Return the label of each series.

        Parameters
        ----------
        X : array-like of shape (n, time) or (n, channels, time), or sequence of series
            As for ``fit``.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        check_is_fitted(self, "pipeline_")
        labels: NDArray[Any] = self.pipeline_.predict(X)
        return labels

    def decision_function(self, X: Series) -> NDArray[np.float64]:
        """Return the confidence of each class: the larger, the more likely.

        Parameters
        ----------
        X : array-like of shape (n, time) or (n, channels, time), or sequence of series
            As for ``fit``.

        Returns
        -------
        ndarray of shape (n, classes), or (n,) for two classes
            Distances to the planes that separate the classes, no probabilities.
        """
        check_is_fitted(self, "pipeline_")
        distances: NDArray[np.float64] = self.pipeline_.decision_function(X)
        return distances

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's Tags, which are untyped
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    @abstractmethod
    def _features(self) -> Any:  # noqa: ANN401 - any transformer
        """Return the transformer, not fitted."""


class FeaturesClassifier(_RidgeClassifier):
    """A linear classifier of features of series, whatever kernels they come from.

    Parameters
    ----------
    features : transformer
        Such as :class:`MiniRocketFeatures`, :class:`RocketFeatures` or :class:`NetworkFeatures`;
        a union of several (:class:`sklearn.pipeline.FeatureUnion`) joins random and learned
        kernels. It is cloned, not changed.
    alphas : sequence of float, default=ten from 1e-3 to 1e3
        Strengths of regularisation; leave-one-out cross-validation chooses one.
    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, see :class:`sklearn.linear_model.RidgeClassifierCV`.

    Attributes
    ----------
    pipeline_ : Pipeline
        Features, scaling and classifier, fitted.
    classes_ : ndarray
        The labels.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi.estimators import FeaturesClassifier, RocketFeatures
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["slow", "fast"], 20)
    >>> X = np.sin(np.outer(np.where(y == "slow", 0.1, 0.4), np.arange(60)) + rng.random((40, 1)))
    >>> features = RocketFeatures(n_kernels=200, random_state=0)
    >>> FeaturesClassifier(features).fit(X[::2], y[::2]).score(X[1::2], y[1::2])
    1.0
    """

    def __init__(
        self,
        features: object,
        *,
        alphas: Sequence[float] = ALPHAS,
        class_weight: Mapping[Any, float] | str | None = None,
    ) -> None:
        self.features = features
        self.alphas = alphas
        self.class_weight = class_weight

    def _features(self) -> Any:  # noqa: ANN401 - any transformer
        return clone(self.features)


class MiniRocketClassifier(_RidgeClassifier):
    """A linear classifier of MiniRocket's features.

    Parameters
    ----------
    n_kernels, max_dilations_per_kernel, random_state, threads
        See :class:`MiniRocketFeatures`.
    alphas : sequence of float, default=ten from 1e-3 to 1e3
        Strengths of regularisation; leave-one-out cross-validation chooses one.
    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, see :class:`sklearn.linear_model.RidgeClassifierCV`.

    Attributes
    ----------
    pipeline_ : Pipeline
        Features, scaling and classifier, fitted.
    classes_ : ndarray
        The labels.
    n_features_in_ : int
        Time steps, if the series were the rows of an array.

    References
    ----------
    A. Dempster, D. F. Schmidt, G. I. Webb, "MiniRocket: a very fast (almost) deterministic
    transform for time series classification", KDD 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi.estimators import MiniRocketClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["slow", "fast"], 20)
    >>> X = np.sin(np.outer(np.where(y == "slow", 0.1, 0.4), np.arange(60)) + rng.random((40, 1)))
    >>> MiniRocketClassifier(random_state=0).fit(X[::2], y[::2]).score(X[1::2], y[1::2])
    1.0
    """

    def __init__(
        self,
        n_kernels: int = 10_000,
        *,
        max_dilations_per_kernel: int = 32,
        alphas: Sequence[float] = ALPHAS,
        class_weight: Mapping[Any, float] | str | None = None,
        random_state: int | np.random.RandomState | None = None,
        threads: int | None = None,
    ) -> None:
        self.n_kernels = n_kernels
        self.max_dilations_per_kernel = max_dilations_per_kernel
        self.alphas = alphas
        self.class_weight = class_weight
        self.random_state = random_state
        self.threads = threads

    def _features(self) -> MiniRocketFeatures:
        return MiniRocketFeatures(
            self.n_kernels,
            max_dilations_per_kernel=self.max_dilations_per_kernel,
            random_state=self.random_state,
            threads=self.threads,
        )


class RocketClassifier(_RidgeClassifier):
    """A linear classifier of Rocket's features.

    Parameters
    ----------
    n_kernels, normalize, random_state, threads
        See :class:`RocketFeatures`.
    alphas : sequence of float, default=ten from 1e-3 to 1e3
        Strengths of regularisation; leave-one-out cross-validation chooses one.
    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, see :class:`sklearn.linear_model.RidgeClassifierCV`.

    Attributes
    ----------
    pipeline_ : Pipeline
        Features, scaling and classifier, fitted.
    classes_ : ndarray
        The labels.
    n_features_in_ : int
        Time steps, if the series were the rows of an array.

    References
    ----------
    A. Dempster, F. Petitjean, G. I. Webb, "ROCKET: exceptionally fast and accurate time series
    classification using random convolutional kernels", Data Mining and Knowledge Discovery 34,
    2020.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi.estimators import RocketClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["slow", "fast"], 20)
    >>> X = np.sin(np.outer(np.where(y == "slow", 0.1, 0.4), np.arange(60)) + rng.random((40, 1)))
    >>> model = RocketClassifier(n_kernels=500, random_state=0).fit(X[::2], y[::2])
    >>> model.score(X[1::2], y[1::2])
    1.0
    """

    def __init__(
        self,
        n_kernels: int = 10_000,
        *,
        normalize: bool = True,
        alphas: Sequence[float] = ALPHAS,
        class_weight: Mapping[Any, float] | str | None = None,
        random_state: int | np.random.RandomState | None = None,
        threads: int | None = None,
    ) -> None:
        self.n_kernels = n_kernels
        self.normalize = normalize
        self.alphas = alphas
        self.class_weight = class_weight
        self.random_state = random_state
        self.threads = threads

    def _features(self) -> RocketFeatures:
        return RocketFeatures(
            self.n_kernels,
            normalize=self.normalize,
            random_state=self.random_state,
            threads=self.threads,
        )
