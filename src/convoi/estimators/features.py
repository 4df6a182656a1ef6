"""Transformers from series to features of their convolutions: random kernels, or learned ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from convoi.checks import check_flag, check_integer
from convoi.errors import ShapeError
from convoi.estimators.workers import one_thread_in_workers
from convoi.signal import MiniRocketKernels, RocketKernels, minirocket_features, rocket_features
from convoi.signal.series import as_series

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from convoi.compiler.pipeline import Precision
    from convoi.signal.series import Series, SeriesCollection


class SeriesFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC):
    """Base of the transformers."""

    n_features_in_: int
    n_channels_: int
    _n_features_out: int

    def fit(self, X: Series, y: ArrayLike | None = None) -> Self:
        """Choose the kernels.

        Parameters
        ----------
        X : array-like of shape (n, time) or (n, channels, time), or sequence of series
            Series of real numbers. A sequence of arrays of shape (time,) or (channels, time) may
            have unequal lengths.
        y : ignored
            For pipelines.

        Returns
        -------
        self
            The transformer, fitted.

        Raises
        ------
        ValueError, TypeError
            If the series or a parameter cannot be used; Convoi's own errors derive from these.
        """
        del y
        self._check_parameters()
        collection = self._collection(X, reset=True)
        with one_thread_in_workers():
            self._n_features_out = self._fit(collection)
        return self

    def transform(self, X: Series) -> NDArray[np.float32]:
        """Return the features of series.

        Parameters
        ----------
        X : array-like of shape (n, time) or (n, channels, time), or sequence of series
            As for ``fit``, with as many channels. Rows of a two-dimensional array have the length
            of those that were fitted; the series of a sequence can have any.

        Returns
        -------
        ndarray of float32, shape (n, features)
            The features of each series, which do not depend on the other series.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        ValueError, TypeError
            If the series cannot be used.
        """
        check_is_fitted(self, "_n_features_out")
        collection = self._collection(X, reset=False)
        with one_thread_in_workers():
            return self._transform(collection)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted transformer to a file that ``load`` reads.

        The file holds what the features depend on, not the other parameters of the constructor,
        and no code.

        Parameters
        ----------
        path : str or PathLike
            The file; an existing one is replaced.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self, "_n_features_out")
        from convoi.estimators.features_file import write_transformer  # noqa: PLC0415 - loads networks

        write_transformer(path, self)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        precision: Precision = "default",
    ) -> Self:
        """Read a fitted transformer from a file that ``save`` wrote.

        Parameters
        ----------
        path : str or PathLike
            The file. Reading it runs no code from it.
        threads
            Parameter of the transformer.
        precision : {"default", "high"}
            Of the network whose kernels give the features, if there is one.

        Returns
        -------
        transformer
            Fitted.

        Raises
        ------
        ModelFileError
            If the file cannot be read, is damaged, or holds no transformer of this class.
        """
        from convoi.estimators.features_file import read_transformer  # noqa: PLC0415 - loads networks

        restored: Self = read_transformer(path, cls, threads=threads, precision=precision)
        return restored

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's Tags, which are untyped
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    @abstractmethod
    def _check_parameters(self) -> None:
        """Raise unless each parameter has a value it may have."""

    @abstractmethod
    def _fit(self, collection: SeriesCollection) -> int:
        """Choose the kernels; return the number of features."""

    @abstractmethod
    def _transform(self, collection: SeriesCollection) -> NDArray[np.float32]:
        """Return the features."""

    def _collection(self, X: Series, *, reset: bool) -> SeriesCollection:
        """Return series after all checks; learn their form if ``reset``."""
        owner = type(self).__name__
        if not _is_ragged(X):
            X = self._checked_array(X, reset=reset)
        elif reset:
            self.__dict__.pop("n_features_in_", None)
        collection = as_series(X, owner)
        if reset:
            self.n_channels_ = collection.channels
        elif collection.channels != self.n_channels_:
            raise ShapeError(
                f"The 'X' parameter of {owner} must be series of {self.n_channels_} channels, as "
                f"those that it was fitted to. Got {collection.channels} instead."
            )
        return collection

    def _checked_array(self, X: Series, *, reset: bool) -> NDArray[Any]:
        """Let scikit-learn check an array; only rows of one length are features by its rules.

        Which value is not finite is told by what reads the series.
        """
        rows = (X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim) <= 2
        known = reset or hasattr(self, "n_features_in_")
        array: NDArray[Any] = (
            validate_data(
                self,
                X,
                reset=reset,
                skip_check_array=False,
                dtype="numeric",
                ensure_2d=rows,
                allow_nd=True,
                ensure_all_finite=False,
            )
            if rows and known
            else _check_array(X, self)
        )
        if reset and not rows:
            self.__dict__.pop("n_features_in_", None)
        return array


def _check_array(X: Series, estimator: SeriesFeatures) -> NDArray[Any]:
    from sklearn.utils import check_array  # noqa: PLC0415

    array: NDArray[Any] = check_array(
        X,
        dtype="numeric",
        allow_nd=True,
        ensure_all_finite=False,
        input_name="X",
        estimator=estimator,
    )
    return array


def _is_ragged(X: object) -> bool:
    """Tell whether series come one by one, not as an array."""
    if isinstance(X, np.ndarray):
        return X.dtype == object and X.ndim == 1 and len(X) > 0 and isinstance(X[0], np.ndarray)
    if not isinstance(X, Sequence) or isinstance(X, (str, bytes)) or not len(X):
        return False
    if isinstance(X[0], np.ndarray):
        return True
    lengths = {len(item) for item in X if isinstance(item, Sequence) and not isinstance(item, str)}
    return len(lengths) > 1


class MiniRocketFeatures(SeriesFeatures):
    """Features of series from MiniRocket's kernels.

    A feature is the proportion of positions where the convolution of a series with one of 84
    fixed kernels, dilated, lies above a bias. The biases are quantiles of the convolutions of
    random training series; the labels are not used.

    Parameters
    ----------
    n_kernels : int, default=10_000
        The number of features, rounded down to a multiple of 84: 9,996.
    max_dilations_per_kernel : int, default=32
        The most dilations of a kernel.
    random_state : int, RandomState or None, default=None
        Chooses the training series of each bias, and the channels of each kernel.
    threads : int or None, default=None
        How many series are worked on at a time; by default as many as there are processors.

    Attributes
    ----------
    kernels_ : MiniRocketKernels
        Dilations, biases and channels. May be set to others.
    n_channels_ : int
        Channels of the series.
    n_features_in_ : int
        Time steps, if the series were the rows of an array.

    See Also
    --------
    convoi.signal.minirocket_features : The function that computes the features.
    MiniRocketClassifier : A linear classifier of them.

    Notes
    -----
    Series are not normalised. Several channels: each kernel and dilation adds the convolutions
    of 1 to 9 random channels. Unequal lengths: the longest series decides on the dilations, see
    :func:`convoi.signal.minirocket_features` for those that are shorter than a dilated kernel.

    References
    ----------
    A. Dempster, D. F. Schmidt, G. I. Webb, "MiniRocket: a very fast (almost) deterministic
    transform for time series classification", KDD 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi.estimators import MiniRocketFeatures
    >>> X = np.random.default_rng(0).standard_normal((20, 3, 50))
    >>> MiniRocketFeatures(random_state=0).fit_transform(X).shape
    (20, 9996)
    """

    kernels_: MiniRocketKernels

    def __init__(
        self,
        n_kernels: int = 10_000,
        *,
        max_dilations_per_kernel: int = 32,
        random_state: int | np.random.RandomState | None = None,
        threads: int | None = None,
    ) -> None:
        self.n_kernels = n_kernels
        self.max_dilations_per_kernel = max_dilations_per_kernel
        self.random_state = random_state
        self.threads = threads

    def _check_parameters(self) -> None:
        owner = type(self).__name__
        check_integer(self.n_kernels, "n_kernels", owner, minimum=1)
        check_integer(self.max_dilations_per_kernel, "max_dilations_per_kernel", owner, minimum=1)
        if self.threads is not None:
            check_integer(self.threads, "threads", owner, minimum=1)

    def _fit(self, collection: SeriesCollection) -> int:
        self.kernels_ = MiniRocketKernels.fit(
            collection,
            n_features=self.n_kernels,
            max_dilations=self.max_dilations_per_kernel,
            random_state=drawn_seed(self.random_state),
        )
        return len(self.kernels_)

    def _transform(self, collection: SeriesCollection) -> NDArray[np.float32]:
        return minirocket_features(collection, self.kernels_, threads=self.threads)


class RocketFeatures(SeriesFeatures):
    """Features of series from Rocket's random kernels.

    Each kernel gives two features: the proportion of positions where its convolution with a
    series is positive, and the largest value. The labels are not used.

    Parameters
    ----------
    n_kernels : int, default=10_000
        The number of kernels; there are twice as many features.
    normalize : bool, default=True
        Whether each channel of each series is brought to mean 0 and standard deviation 1; series
        of fewer than 7 time steps, the fewest taps of a kernel, are left as they are.
    random_state : int, RandomState or None, default=None
        Draws the kernels.
    threads : int or None, default=None
        How many series are worked on at a time; by default as many as there are processors.

    Attributes
    ----------
    kernels_ : RocketKernels
        The kernels. May be set to others.
    n_channels_ : int
        Channels of the series.
    n_features_in_ : int
        Time steps, if the series were the rows of an array.

    See Also
    --------
    convoi.signal.rocket_features : The function that computes the features.
    RocketClassifier : A linear classifier of them.

    Notes
    -----
    Unequal lengths: the longest series decides on the dilations.

    References
    ----------
    A. Dempster, F. Petitjean, G. I. Webb, "ROCKET: exceptionally fast and accurate time series
    classification using random convolutional kernels", Data Mining and Knowledge Discovery 34,
    2020.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi.estimators import RocketFeatures
    >>> X = np.random.default_rng(0).standard_normal((20, 50))
    >>> RocketFeatures(n_kernels=500, random_state=0).fit_transform(X).shape
    (20, 1000)
    """

    kernels_: RocketKernels

    def __init__(
        self,
        n_kernels: int = 10_000,
        *,
        normalize: bool = True,
        random_state: int | np.random.RandomState | None = None,
        threads: int | None = None,
    ) -> None:
        self.n_kernels = n_kernels
        self.normalize = normalize
        self.random_state = random_state
        self.threads = threads

    def _check_parameters(self) -> None:
        owner = type(self).__name__
        check_integer(self.n_kernels, "n_kernels", owner, minimum=1)
        check_flag(self.normalize, "normalize", owner)
        if self.threads is not None:
            check_integer(self.threads, "threads", owner, minimum=1)

    def _fit(self, collection: SeriesCollection) -> int:
        self.kernels_ = RocketKernels.random(
            collection.longest,
            channels=collection.channels,
            n_kernels=self.n_kernels,
            random_state=drawn_seed(self.random_state),
        )
        return 2 * len(self.kernels_)

    def _transform(self, collection: SeriesCollection) -> NDArray[np.float32]:
        if self.normalize:
            collection = collection.normalized()
        return rocket_features(collection, self.kernels_, threads=self.threads)


def drawn_seed(random_state: int | np.random.RandomState | None) -> int | None:
    """Return a seed for NumPy's generators from what scikit-learn takes."""
    if random_state is None:
        return None
    return int(check_random_state(random_state).randint(2**31 - 1))
