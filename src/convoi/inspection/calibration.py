"""Whether probabilities mean what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_integer, describe
from convoi.errors import ArgumentError, DataError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Calibration", "calibration"]

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence and accuracy of predictions, in bins of confidence.

    Attributes
    ----------
    edges : ndarray of shape (bins + 1,)
        Where bins begin and end; a confidence on an edge belongs to the lower bin.
    count : ndarray of int, shape (bins,)
        Number of predictions in each bin.
    confidence, accuracy : ndarray of shape (bins,)
        Means over each bin; NaN where it is empty.
    expected_error : float
        The expected calibration error: the mean over the predictions of how far the accuracy of
        their bin is from its confidence.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    expected_error: float


def calibration(probabilities: ArrayLike, y: ArrayLike, *, bins: int = 15) -> Calibration:
    r"""Compare how sure predictions are with how often they are right.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} \, |\mathrm{accuracy}_b - \mathrm{confidence}_b|

    The confidence of a prediction is its largest probability.

    Parameters
    ----------
    probabilities : array-like of shape (n, classes)
        Rows that sum to 1, as of ``predict_proba``.
    y : array-like of int, shape (n,)
        The numbers of the true classes.
    bins : int
        Number of bins of equal width between 0 and 1.

    Returns
    -------
    Calibration
        The bins and the error.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DataError
        If there are no predictions, or rows are no probabilities.
    ArgumentError, ArgumentTypeError
        If a class or the number of bins is none.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On calibration of modern neural
       networks", ICML 2017.

    Examples
    --------
    >>> from convoi import inspection
    >>> found = inspection.calibration([[0.9, 0.1], [0.2, 0.8]], [0, 0], bins=2)
    >>> found.count, round(found.expected_error, 3)
    (array([0, 2]), 0.35)
    """
    owner = "calibration"
    count = check_integer(bins, "bins", owner, minimum=1)
    p = np.asarray(probabilities, np.float64)
    truth = np.asarray(y)
    if p.ndim != 2 or truth.shape != p.shape[:1]:
        raise ShapeError(
            f"The parameters of {owner} must have the shapes (n, classes) and (n,). Got {p.shape} "
            f"and {truth.shape} instead."
        )
    if not len(p):
        raise DataError(f"{owner} needs at least one prediction. Got none.")
    if not (p >= 0).all() or np.abs(p.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
        raise DataError(
            f"The 'probabilities' parameter of {owner} must have rows that sum to 1, without "
            "negative numbers or NaN. Give those of predict_proba, or the softmax of logits."
        )
    if truth.dtype.kind not in "iu" or not 0 <= truth.min() <= truth.max() < p.shape[1]:
        raise ArgumentError(
            f"The 'y' parameter of {owner} must hold class numbers from 0 to {p.shape[1] - 1}. "
            f"Got {describe(truth.tolist())} instead."
        )
    return _binned(p.max(axis=1), p.argmax(axis=1) == truth, count)


def _binned(confidence: NDArray[Any], right: NDArray[np.bool_], bins: int) -> Calibration:
    edges = np.linspace(0, 1, bins + 1)
    place = (np.searchsorted(edges, confidence, side="left") - 1).clip(0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, values, minlength=bins) for values in (confidence, right))
    means = [
        np.divide(total, counts, out=np.full(bins, np.nan), where=counts > 0) for total in sums
    ]
    gaps = np.abs(means[1] - means[0])[counts > 0]
    error = float((gaps * counts[counts > 0]).sum() / len(right))
    return Calibration(edges, counts, means[0], means[1], error)
