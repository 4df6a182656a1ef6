"""Regression from time series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from convoi.estimators.regression import Regression
from convoi.estimators.series import SeriesEstimator

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(eq=False, repr=False, kw_only=True)
class SeriesRegressor(Regression, SeriesEstimator):
    """Regression from time series by convolutional networks, with scikit-learn's interface.

    Parameters
    ----------
    network : str, Layer or callable, default='auto'
        As for :class:`SeriesClassifier`, with one output for each value that is predicted.
    normalize, missing, augment, warm_start
        As for :class:`SeriesClassifier`.
    ensemble : int or 'auto', default='auto'
        How many networks are trained; their predictions are averaged.
    epochs, batch_size, optimizer, learning_rate, schedule
        As for :class:`ImageClassifier`.
    early_stopping, validation_fraction, random_state, threads, precision, verbose
        As for :class:`ImageClassifier`.
    loss : {'mean_squared', 'mean_absolute', 'huber'} or Loss, default='mean_squared'
        What is minimised, in units of the standard deviation of each target.

    Attributes
    ----------
    network_ : Network
        The trained network, whose inputs are normalised series; its outputs are predictions in
        units of ``target_scale_``, as differences from ``target_mean_``. For an ensemble all
        networks in one, with the sums of their outputs.
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        Mean and standard deviation of the values in the training set.
    target_shape_ : tuple of int
        () where each series has one value, else (n_outputs,).
    networks_, members_, normalization_, history_, channels_, length_
        As for :class:`SeriesClassifier`.
    n_features_in_, feature_names_in_
        As for :class:`SeriesClassifier`.

    See Also
    --------
    SeriesClassifier : Predicts labels, and has more in its documentation.

    Examples
    --------
    The frequency of a wave:

    >>> import numpy as np
    >>> from convoi import SeriesRegressor
    >>> rng = np.random.default_rng(0)
    >>> y = rng.uniform(0.05, 0.2, 100)
    >>> X = np.sin(2 * np.pi * (np.outer(y, np.arange(50)) + rng.random((100, 1))))
    >>> regressor = SeriesRegressor(epochs=20, ensemble=1, random_state=0).fit(X[:80], y[:80])
    >>> regressor.score(X[80:], y[80:]) > 0.8
    True
    """

    kind: ClassVar[str] = "SeriesRegressor"
    adds_probabilities: ClassVar[bool] = False

    def _output(self, samples: Any) -> NDArray[Any]:  # noqa: ANN401 - an array or series
        return super()._output(samples) / self.members_
