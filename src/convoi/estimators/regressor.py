"""Regression from images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convoi.estimators.images import ImageEstimator
from convoi.estimators.regression import Regression


@dataclass(eq=False, repr=False, kw_only=True)
class ImageRegressor(Regression, ImageEstimator):
    """Regression from images by a convolutional network, with scikit-learn's interface.

    Parameters
    ----------
    network : str, Layer or callable, default='auto'
        As for :class:`ImageClassifier`, with one output for each value that is predicted.
    image_shape, epochs, batch_size, optimizer, learning_rate, schedule
        As for :class:`ImageClassifier`.
    augment, early_stopping, validation_fraction, warm_start, random_state
        As for :class:`ImageClassifier`.
    threads, precision, verbose
        As for :class:`ImageClassifier`.
    loss : {'mean_squared', 'mean_absolute', 'huber'} or Loss, default='mean_squared'
        What is minimised, in units of the standard deviation of each target.

    Attributes
    ----------
    network_ : Network
        The trained network; its outputs are predictions in units of ``target_scale_``, as
        differences from ``target_mean_``.
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        Mean and standard deviation of the values in the training set.
    target_shape_ : tuple of int
        () where each image has one value, else (n_outputs,).
    history_, image_shape_, pixel_format_, n_features_in_, feature_names_in_
        As for :class:`ImageClassifier`.

    See Also
    --------
    ImageClassifier : Predicts labels, and has more in its documentation.

    Notes
    -----
    Augmentation moves what is in an image. For targets that are positions, set ``augment=None``.

    Examples
    --------
    How much of an image is white:

    >>> import numpy as np
    >>> from convoi import ImageRegressor
    >>> rng = np.random.default_rng(0)
    >>> y = rng.uniform(size=200)
    >>> X = rng.uniform(size=(200, 8, 8)) < y[:, np.newaxis, np.newaxis]
    >>> regressor = ImageRegressor(epochs=10, random_state=0).fit(X[:150], y[:150])
    >>> regressor.score(X[150:], y[150:]) > 0.8
    True
    """

    kind: ClassVar[str] = "ImageRegressor"
