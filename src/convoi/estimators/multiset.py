"""A training set as a weighted multiset of samples.

Training on a sample of weight 2 and training on it twice must be the same thing, and so must
training on the samples in any order: otherwise a weight would not mean what its name says. Both
hold exactly when the samples are first brought into an order of their own, equal ones are merged
with the sum of their weights, and those without weight are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COMPARED_BYTES = 1 << 24  # per step of a comparison, so that no second copy of the data is made


@dataclass(frozen=True, eq=False)
class Multiset:
    """Different samples and how much each counts.

    Attributes
    ----------
    indices : ndarray of int, shape (k,)
        Numbers of the samples in the training set, ordered by the samples' values.
    weight : ndarray of float64, shape (k,)
        Their weights, all greater than 0.
    """

    indices: NDArray[np.intp]
    weight: NDArray[np.float64]

    @property
    def uniform(self) -> bool:
        """Whether all the samples count the same."""
        return bool((self.weight == self.weight[0]).all())


def as_multiset(X: NDArray[Any], y: NDArray[Any], weight: NDArray[np.float64]) -> Multiset:
    """Return the samples that count, in the order of their values, equal ones merged.

    Parameters
    ----------
    X : ndarray of shape (n, ...)
        Samples. Two of them are equal if they are in float32, which is what networks compute in;
        their dtype does not matter.
    y : ndarray of shape (n,) or (n, outputs)
        Class codes or values.
    weight : ndarray of shape (n,)
        At least one greater than 0.
    """
    kept = np.flatnonzero(weight)
    x_group = _ranks(X.astype(np.float32, copy=False) if X.dtype.kind == "f" else X, kept)
    y_group = _ranks(y, kept)
    # Weights are the last key: their sum then has one order, too, and so one rounding.
    order = np.lexsort((weight[kept], y_group, x_group))
    x_group, y_group, kept = x_group[order], y_group[order], kept[order]
    first = np.ones(len(kept), np.bool_)
    first[1:] = (x_group[1:] != x_group[:-1]) | (y_group[1:] != y_group[:-1])
    starts = np.flatnonzero(first)
    return Multiset(kept[starts], np.add.reduceat(weight[kept], starts))


def _ranks(array: NDArray[Any], kept: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the rank of each of these rows among the different rows, compared value by value."""
    rows = _ordered_bytes(array.reshape(len(array), -1))
    width = rows.shape[1] * rows.itemsize
    whole = rows.view(np.dtype((np.void, width)))[:, 0]  # compared byte by byte
    if len(kept) < len(whole):
        whole = whole[kept]
    order = np.argsort(whole, kind="stable")
    differs = np.zeros(len(order), np.intp)
    step = max(1, _COMPARED_BYTES // max(width, 1))
    for start in range(1, len(order), step):
        these = order[start : start + step]
        before = order[start - 1 : start - 1 + len(these)]
        differs[start : start + step] = whole[these] != whole[before]
    ranks = np.empty(len(order), np.intp)
    ranks[order] = np.cumsum(differs)
    return ranks


def _ordered_bytes(array: NDArray[Any]) -> NDArray[Any]:
    """Return unsigned integers whose bytes, from the first in memory on, are in the same order.

    The bits of positive floats are ordered as integers are, those of negative ones the other way
    round.
    """
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    bits = np.dtype(f"u{array.itemsize}")
    sign = bits.type(1 << 8 * array.itemsize - 1)
    if array.dtype.kind == "f":
        integers = (array + array.dtype.type(0)).view(bits)  # -0.0 becomes 0.0
        integers ^= np.where(integers & sign, bits.type(~bits.type(0)), sign)
    elif array.dtype.kind == "i":
        integers = array.view(bits) ^ sign
    else:
        integers = array
    return np.ascontiguousarray(integers, dtype=bits.newbyteorder(">"))
