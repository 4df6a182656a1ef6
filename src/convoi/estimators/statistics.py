"""Mean and standard deviation of training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.data import SampleSource

_ELEMENTS = 1 << 21  # per step, so that no second copy of the data is made
_NEGLIGIBLE = 1e-14  # deviation in relation to the mean
_DRAWN = 4096  # samples that stand for all of a source: it decodes each that it is asked for


def channel_statistics(
    X: NDArray[Any] | SampleSource, weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return mean and standard deviation of each channel over samples and positions.

    .. math:: \mu_c = \frac{\sum_i w_i \langle x_{ic} \rangle}{\sum_i w_i}, \qquad
              \sigma_c^2 = \frac{\sum_i w_i \langle (x_{ic} - \mu_c)^2 \rangle}{\sum_i w_i}

    Parameters
    ----------
    X : ndarray or SampleSource, shape (n, channels, *spatial)
        Of a source, evenly spaced samples stand for all.
    weight : ndarray of float64, shape (n,)
        Weights of the samples.

    Returns
    -------
    mean, std : ndarray of float64, shape (channels,)
        The deviation is 1 for a channel without any.
    """
    n, channels = X.shape[:2]
    if not isinstance(X, np.ndarray):
        drawn = np.arange(min(n, _DRAWN)) * n // min(n, _DRAWN)
        X, weight = X.take(drawn), weight[drawn]
    # Sums of differences from a value of the data do not cancel where all values are far from 0.
    origin = X[:1].reshape(channels, -1).mean(axis=1, dtype=np.float64)[:, np.newaxis]
    first = np.zeros(channels)
    second = np.zeros(channels)
    step = max(1, _ELEMENTS * len(X) // X.size)
    for start in range(0, len(X), step):
        part = X[start : start + step]
        values = part.reshape(len(part), channels, -1) - origin
        w = weight[start : start + step]
        first += w @ values.mean(axis=2)
        second += w @ np.square(values).mean(axis=2)
    first /= weight.sum()
    second /= weight.sum()
    variance = np.maximum(second - first**2, 0.0)
    mean, std = origin[:, 0] + first, np.sqrt(variance)
    # What remains of rounding is no deviation.
    return mean, np.where(std <= _NEGLIGIBLE * np.abs(mean), 1.0, std)
