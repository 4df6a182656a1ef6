"""From the containers that series come in to arrays, without loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.errors import DataError, ShapeError
from convoi.nn import UnequalSeries

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMS = (
    "(n, time), (n, channels, time), a list of arrays of shape (time,) or (channels, time), or a "
    "pandas frame of series"
)


def as_list_or_array(X: Any) -> Any:  # noqa: ANN401 - any container
    """Return a list of series if a container holds one object for each, else what was given.

    =====================================================  ======================================
    Container                                              Series
    =====================================================  ======================================
    array of objects, list or tuple of arrays              its items, (time,) or (channels, time)
    list or tuple of data frames (sktime's ``df-list``)    a row for each time step, transposed
    frame with series in its cells (``nested_univ``)       a row of cells, one for each channel
    frame with an index of (series, time) (``multiindex``)  the rows of one series, transposed
    =====================================================  ======================================
    """
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        return _from_frame(X)
    if isinstance(X, np.ndarray):
        return list(X) if X.dtype == object and X.ndim == 1 and _all_series(X) else X
    if isinstance(X, (list, tuple)) and len(X) and _all_series(X):
        return [_transposed(item) for item in X]
    return X


def stacked(series: list[Any]) -> NDArray[Any] | UnequalSeries:
    """Return series as one array (n, channels, time) if they are of one length.

    Raises
    ------
    ArgumentTypeError, ShapeError, DataError
        If they are no series of the same channels; the message says which.
    """
    unequal = UnequalSeries.of(series)
    if len(np.unique(unequal.lengths)) > 1:
        return unequal
    return np.stack(unequal.series)


def as_grid(X: NDArray[Any], owner: str) -> NDArray[Any]:
    """Return an array of series as (n, channels, time)."""
    if X.ndim == 2:
        X = X[:, np.newaxis]
    if X.ndim != 3 or 0 in X.shape:
        raise ShapeError(f"X has the shape {X.shape}, and {owner} expects {FORMS}. Reshape it.")
    return X


def _all_series(items: Any) -> bool:  # noqa: ANN401 - any sequence
    """Tell whether items are arrays, data frames or columns of them, not numbers or lists."""
    return all(hasattr(item, "__array__") and getattr(item, "ndim", 0) for item in items)


def _transposed(item: Any) -> NDArray[Any]:  # noqa: ANN401 - an array or a frame
    """Return a series as an array; the rows of data frames are time steps."""
    array = np.asarray(item)
    return array.T if hasattr(item, "columns") else array


def _from_frame(X: Any) -> Any:  # noqa: ANN401 - a data frame, of an optional package
    """Return the series of a data frame, or the frame if its cells are numbers in rows."""
    if getattr(X.index, "nlevels", 1) == 2 and len(X):
        groups = X.groupby(level=0, sort=False)
        return [part.to_numpy().T for _, part in groups]
    if not len(X) or not X.shape[1] or not hasattr(X.iloc[0, 0], "__array__"):
        return X
    if not getattr(X.iloc[0, 0], "ndim", 0):
        return X
    return [_row(X, number) for number in range(len(X))]


def _row(X: Any, number: int) -> NDArray[Any]:  # noqa: ANN401 - a data frame
    """Return the channels of one row of cells."""
    cells = [np.asarray(cell) for cell in X.iloc[number]]
    lengths = {cell.shape for cell in cells}
    if len(lengths) > 1:
        raise DataError(
            f"Row {number} of X holds series of different lengths, {sorted(lengths)}. The channels "
            "of one series need the same time steps."
        )
    return np.stack(cells)
