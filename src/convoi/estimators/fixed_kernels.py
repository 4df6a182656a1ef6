"""A classifier of series by fixed convolution kernels: what votes beside trained networks.

The features are those of MiniRocket, the classifier is ridge regression on targets of 1 and -1,
whose strength leave-one-out cross-validation chooses. Its outputs become probabilities by a
softmax of them times a factor, which is chosen for what leave-one-out cross-validation predicts:

    p = softmax(factor (W z + b))

References: A. Dempster, D. F. Schmidt, G. I. Webb, "MiniRocket: a very fast (almost) deterministic
transform for time series classification", KDD 2021; C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger,
"On calibration of modern neural networks", ICML 2017 (the factor, which is 1 / temperature).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from convoi.errors import ArgumentError, ShapeError
from convoi.estimators.features_classifier import ALPHAS
from convoi.estimators.kernel_tensors import MINIROCKET
from convoi.estimators.model_fields import refuse
from convoi.nn import Dense, Network, UnequalSeries
from convoi.nn.tensor_file import TensorSpec
from convoi.signal import MiniRocketKernels, minirocket_features

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_LARGEST_FACTOR = 10.0
"""Where no training series is predicted wrongly, any factor would do: the sureness has an end."""
_PREFIX = "fixed_kernels."


@dataclass(frozen=True, eq=False)
class FixedKernels:
    """MiniRocket's kernels, and a linear classifier of their features.

    Attributes
    ----------
    kernels : MiniRocketKernels
        The dilations, biases and channels.
    classifier : Network
        One dense layer from features to logits.
    """

    kernels: MiniRocketKernels
    classifier: Network

    @classmethod
    def fit(
        cls,
        X: NDArray[Any] | UnequalSeries,
        codes: NDArray[np.int64],
        weight: NDArray[np.float64],
        classes: int,
        *,
        seed: int | None,
        threads: int | None,
    ) -> FixedKernels:
        """Choose kernels by some series, and train the classifier.

        Parameters
        ----------
        X : ndarray of shape (n, channels, time), or UnequalSeries
            Normalised series.
        codes : ndarray of int64, shape (n,)
            Their classes.
        weight : ndarray of float64, shape (n,)
            How much each counts.
        classes : int
            How many there are; some may have no series.
        seed : int or None
            Of the choice of kernels.
        threads : int or None
            For the features. The result does not depend on it.
        """
        series = _as_given(X)
        kernels = MiniRocketKernels.fit(series, random_state=seed)
        Z = minirocket_features(series, kernels, threads=threads).astype(np.float64)
        # As the authors do: features that are zero for most series stay zero. In place: of 5,000
        # series they take 400 MB.
        scaler = StandardScaler(with_mean=False, copy=False).fit(Z, sample_weight=weight)
        Z /= scaler.scale_
        target = np.where(codes[:, np.newaxis] == np.arange(classes), 1.0, -1.0)
        # On one thread, so that the last bits do not depend on their number.
        with threadpool_limits(1):
            ridge = RidgeCV(ALPHAS).fit(Z, target, sample_weight=weight)
            held_out = _leave_one_out(Z, target, weight, ridge.alpha_, ridge.predict(Z))
        factor = _factor(held_out, codes, weight)
        weights = (factor * ridge.coef_ / scaler.scale_).astype(np.float32)
        bias = (factor * ridge.intercept_).astype(np.float32)
        return cls(kernels, _classifier(weights, bias, threads))

    def probabilities(
        self, X: NDArray[Any] | UnequalSeries, *, threads: int | None
    ) -> NDArray[np.float64]:
        """Return the probability of each class for normalised series, shape (n, classes)."""
        features = minirocket_features(_as_given(X), self.kernels, threads=threads)
        probabilities: NDArray[np.float64] = softmax(
            self.classifier(features).astype(np.float64), axis=1
        )
        return probabilities

    def described(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return an entry of a model file, and tensors."""
        entries, tensors = MINIROCKET.described(self.kernels)
        tensors |= self.classifier.parameters
        return entries, {_PREFIX + name: array for name, array in tensors.items()}

    @classmethod
    def restored(
        cls,
        entries: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        *,
        channels: int,
        classes: int,
        threads: int | None,
    ) -> FixedKernels:
        """Return what an entry and tensors of a model file describe.

        Raises
        ------
        ModelFileError
            If they do not fit each other, or not such series and classes.
        """
        specs = MINIROCKET.specs(entries)
        features = specs["biases"].shape[0]
        tensors = _checked(
            arrays,
            specs
            | {
                "weight": TensorSpec((classes, features), ("float32",)),
                "bias": TensorSpec((classes,), ("float32",)),
            },
        )
        weights, bias = tensors.pop("weight"), tensors.pop("bias")
        try:
            kernels = MINIROCKET.restored(tensors, channels)
        except (ArgumentError, ShapeError) as error:
            refuse(f"The entry 'fixed_kernels' is invalid. {error}")
        return cls(kernels, _classifier(weights, bias, threads))


def _checked(
    arrays: Mapping[str, NDArray[Any]], specs: Mapping[str, TensorSpec]
) -> dict[str, NDArray[Any]]:
    """Return the tensors of fixed kernels, which have to be these, and finite."""
    tensors = {name.removeprefix(_PREFIX): array for name, array in arrays.items()}
    found = {name: TensorSpec(a.shape, (a.dtype.name,)) for name, a in tensors.items()}
    if found != specs or not all(np.isfinite(array).all() for array in tensors.values()):
        refuse("The tensors of 'fixed_kernels' do not fit it and the classes, or are not finite.")
    return tensors


def _classifier(
    weights: NDArray[np.float32], bias: NDArray[np.float32], threads: int | None
) -> Network:
    """Return a dense layer: what it makes of a series does not depend on the others."""
    classes, features = weights.shape
    return Network(
        Dense(classes),
        input_shape=(features,),
        parameters={"weight": weights, "bias": bias},
        threads=threads,
    )


def _as_given(X: NDArray[Any] | UnequalSeries) -> Any:  # noqa: ANN401 - what features take
    return list(X.series) if isinstance(X, UnequalSeries) else X


def _leave_one_out(
    Z: NDArray[np.float64],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    alpha: float,
    fitted: NDArray[np.float64],
) -> NDArray[np.float64]:
    r"""Return what ridge regression predicts for each row when it is fitted to the others.

    .. math:: \hat y_{-i} = y_i - \frac{y_i - \hat y_i}{1 - h_i}, \qquad
              1 - h_i = \alpha [(A A^T + \alpha I)^{-1}]_{ii} - \frac{w_i}{\sum w}

    with the rows of A the rows of Z, less their weighted mean, times the root of their weights.
    """
    A = (Z - np.average(Z, axis=0, weights=weight)) * np.sqrt(weight)[:, np.newaxis]
    gram = A @ A.T
    gram[np.diag_indices_from(gram)] += alpha
    left = alpha * np.diag(np.linalg.inv(gram)) - weight / weight.sum()
    left = np.maximum(left, np.finfo(np.float64).eps)[:, np.newaxis]
    predicted: NDArray[np.float64] = target - (target - fitted) / left
    return predicted


def _factor(
    outputs: NDArray[np.float64], codes: NDArray[np.int64], weight: NDArray[np.float64]
) -> float:
    """Return the factor of the outputs that makes the classes most probable."""

    def loss(logarithm: float) -> float:
        terms = log_softmax(np.exp(logarithm) * outputs, axis=1)[np.arange(len(codes)), codes]
        return -float(np.average(terms, weights=weight))

    bounds = (-3.0, np.log(_LARGEST_FACTOR))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
