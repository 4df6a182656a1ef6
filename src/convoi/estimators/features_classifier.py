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
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from convoi.compiler.pipeline import Precision
    from convoi.signal.series import Series

ALPHAS = tuple(np.logspace(-3, 3, 10).tolist())
"""The strengths of regularisation that the authors of Rocket choose from."""


class RidgeOfFeatures(ClassifierMixin, BaseEstimator, ABC):
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
        labels = np.asarray(y)
        if labels.ndim == 1 and len(labels) and (labels == labels[0]).all():
            raise DataError(
                f"{owner} needs series of at least two classes. All labels are of one class, "
                f"{labels[0]}."
            )
        # As the authors do: features that are zero for most series stay zero.
        steps = [
            ("features", self._features()),
            ("scale", StandardScaler(with_mean=False)),
            (
                "classify",
                RidgeClassifierCV(
                    alphas=np.array(self.alphas, ndmin=1), class_weight=self.class_weight
                ),
            ),
        ]
        pipeline = Pipeline(steps)
        pipeline.fit(X, y)
        # One order in memory: a classifier that was read from a file adds up in the same.
        ridge = steps[2][1]
        ridge.coef_ = np.ascontiguousarray(ridge.coef_)
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted classifier to a file that ``load`` and ``convoi predict`` read.

        The file holds what predictions depend on, not the other parameters of the constructor,
        and no code.

        Parameters
        ----------
        path : str or PathLike
            The file; an existing one is replaced.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        ArgumentTypeError
            If the labels are neither numbers, strings nor booleans, or the features are not those
            of one transformer of this package.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self, "pipeline_")
        from convoi.estimators.features_file import write_classifier  # noqa: PLC0415 - loads networks

        write_classifier(path, type(self).__name__, self.pipeline_, self.classes_)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        precision: Precision = "default",
    ) -> Self:
        """Read a fitted classifier from a file that ``save`` or ``convoi train`` wrote.

        Parameters
        ----------
        path : str or PathLike
            The file. Reading it runs no code from it.
        threads
            Parameter of the features.
        precision : {"default", "high"}
            Of the network whose kernels give the features, if there is one.

        Returns
        -------
        classifier
            Fitted.

        Raises
        ------
        ModelFileError
            If the file cannot be read, is damaged, or holds no classifier of this class.
        """
        from convoi.estimators.features_file import read_classifier  # noqa: PLC0415 - loads networks
        from convoi.estimators.network_features import NetworkFeatures  # noqa: PLC0415 - too

        pipeline, labels = read_classifier(
            path,
            cls.__name__,
            (MiniRocketFeatures, RocketFeatures, NetworkFeatures),
            threads=threads,
            precision=precision,
        )
        classifier = cls._of_features(pipeline[0])
        classifier.pipeline_, classifier.classes_ = pipeline, labels
        if hasattr(pipeline[0], "n_features_in_"):
            classifier.n_features_in_ = pipeline[0].n_features_in_
        return classifier

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's Tags, which are untyped
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    @abstractmethod
    def _features(self) -> Any:  # noqa: ANN401 - any transformer
        """Return the transformer, not fitted."""

    @classmethod
    @abstractmethod
    def _of_features(cls, features: Any) -> Self:  # noqa: ANN401 - any transformer
        """Return a classifier whose parameters are those of a transformer."""


class FeaturesClassifier(RidgeOfFeatures):
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

    @classmethod
    def _of_features(cls, features: Any) -> Self:  # noqa: ANN401 - any transformer
        return cls(features)


class MiniRocketClassifier(RidgeOfFeatures):
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

    @classmethod
    def _of_features(cls, features: MiniRocketFeatures) -> Self:
        return cls(features.n_kernels, threads=features.threads)


class RocketClassifier(RidgeOfFeatures):
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

    @classmethod
    def _of_features(cls, features: RocketFeatures) -> Self:
        return cls(features.n_kernels, normalize=features.normalize, threads=features.threads)
