"""Arrays that come from users: samples and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import describe
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from convoi.graph import Graph
    from convoi.ops import Shape

__all__ = ["check_parameters", "check_samples", "frozen"]

_REAL = "biuf"
"""NumPy's kinds of booleans, integers and real numbers."""

_LISTED = 5


def check_samples(X: ArrayLike, input_shape: Shape, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return samples as an array that programs read, without a copy where that is possible.

    Parameters
    ----------
    X : array-like
        The samples.
    input_shape : tuple of int
        Shape of one sample.
    dtype : dtype
        What types are converted to that programs do not read.

    Returns
    -------
    ndarray of shape (n, *input_shape)
        Real numbers in the byte order of the machine.

    Raises
    ------
    ArgumentTypeError
        If they are no real numbers.
    ShapeError
        If they have another shape; the message says what to do where that is plain.
    """
    array = np.asarray(X)
    if array.dtype is dtype and array.shape[1:] == input_shape and array.ndim:
        return array
    if array.dtype.kind not in _REAL:
        raise ArgumentTypeError(
            f"The samples X must be real numbers. Got {describe(array)} instead."
        )
    if array.ndim == 0 or array.shape[1:] != input_shape:
        expected = ", ".join(["n", *map(str, input_shape)])
        raise ShapeError(
            f"The samples X must have the shape ({expected}). Got {describe(array)} instead."
            + _remedy(array.shape, input_shape)
        )
    if array.dtype.itemsize > 8:  # programs do not read long doubles
        return array.astype(dtype)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_parameters(
    values: Mapping[str, ArrayLike], graph: Graph, dtype: np.dtype[Any]
) -> dict[str, NDArray[Any]]:
    """Return copies of the parameters of a graph, in its order.

    Parameters
    ----------
    values : mapping of str to array-like
        All of its parameters and no others.
    graph : Graph
        The graph.
    dtype : dtype
        What they are converted to.

    Returns
    -------
    dict of str to ndarray
        Contiguous arrays.

    Raises
    ------
    ArgumentTypeError
        If there is no mapping, or a parameter is no array of real numbers.
    ArgumentError
        If parameters are missing or unknown.
    ShapeError
        If a parameter has the wrong shape.
    """
    if not isinstance(values, Mapping):
        raise ArgumentTypeError(
            "The parameters of a network must be a dictionary of arrays by name. "
            f"Got {describe(values)} instead."
        )
    missing = [name for name in graph.parameters if name not in values]
    unknown = [name for name in values if name not in graph.parameters]
    if missing or unknown:
        lists = (("missing", missing), ("unknown", unknown))
        problems = [f"{word} are {_listed(names)}" for word, names in lists if names]
        raise ArgumentError(
            "The parameters of a network must be given as a whole: " + ", ".join(problems) + "."
        )
    return {
        name: _check_parameter(name, values[name], spec.shape, dtype)
        for name, spec in graph.parameters.items()
    }


def frozen(arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """Make arrays read-only and return a mapping of them; its identity stands for their values.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Arrays that nobody else writes to.

    Returns
    -------
    mapping of str to ndarray
        The same arrays.
    """
    for array in arrays.values():
        array.flags.writeable = False
    return MappingProxyType(dict(arrays))


def _check_parameter(
    name: str, value: ArrayLike, shape: Shape, dtype: np.dtype[Any]
) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in _REAL:
        raise ArgumentTypeError(
            f"The parameter {name!r} must be real numbers. Got {describe(array)} instead."
        )
    if array.shape != shape:
        raise ShapeError(
            f"The parameter {name!r} must have the shape {shape}. Got {array.shape} instead."
        )
    return np.array(array, dtype, order="C")


def _remedy(shape: Shape, input_shape: Shape) -> str:
    """Return what to do about the usual mistakes."""
    if shape == input_shape:
        return " Use X[None] for a single sample."
    if shape and (1, *shape[1:]) == input_shape:
        return " Use X[:, None] to give them an axis of channels."
    if len(shape) == len(input_shape) + 1 and (shape[-1], *shape[1:-1]) == input_shape:
        return " Use np.moveaxis(X, -1, 1) to put the channels first."
    return ""


def _listed(names: list[str]) -> str:
    text = ", ".join(map(repr, names[:_LISTED]))
    return f"{text} and {len(names) - _LISTED} more" if len(names) > _LISTED else text
