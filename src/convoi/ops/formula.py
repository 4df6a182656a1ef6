"""Formulas that are written once and evaluated twice: in NumPy and as vector instructions.

A pointwise operation is a Python function of a :class:`Math` and a value. Given
:class:`NumpyMath`, it computes; given the emitter of the kernels, it generates code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from convoi.ops.base import Array

V = TypeVar("V")


class Math(Protocol[V]):
    """Arithmetic on values of one float type; NaN and infinities behave as in NumPy."""

    def constant(self, value: float) -> V:
        """Return a constant of the type that is computed in."""
        ...

    def add(self, a: V, b: V) -> V:
        """Return ``a + b``."""
        ...

    def sub(self, a: V, b: V) -> V:
        """Return ``a - b``."""
        ...

    def mul(self, a: V, b: V) -> V:
        """Return ``a * b``."""
        ...

    def div(self, a: V, b: V) -> V:
        """Return ``a / b``."""
        ...

    def fma(self, a: V, b: V, c: V) -> V:
        """Return ``a * b + c``, rounded once or twice."""
        ...

    def maximum(self, a: V, b: V) -> V:
        """Return the larger, NaN if either is NaN."""
        ...

    def minimum(self, a: V, b: V) -> V:
        """Return the smaller, NaN if either is NaN."""
        ...

    def abs(self, a: V) -> V:
        """Return ``|a|``."""
        ...

    def sqrt(self, a: V) -> V:
        """Return the square root."""
        ...

    def exp(self, a: V) -> V:
        """Return ``e ** a``."""
        ...

    def expm1(self, a: V) -> V:
        """Return ``e ** a - 1``, exact near zero."""
        ...

    def tanh(self, a: V) -> V:
        """Return the hyperbolic tangent."""
        ...

    def erf(self, a: V) -> V:
        """Return the error function."""
        ...

    def sigmoid(self, a: V) -> V:
        """Return ``1 / (1 + e ** -a)``."""
        ...

    def greater(self, a: V, b: V) -> Any:  # noqa: ANN401 - a mask, whatever the evaluator has
        """Return the mask of ``a > b``, false where either is NaN."""
        ...

    def where(self, condition: Any, a: V, b: V) -> V:  # noqa: ANN401 - what `greater` returned
        """Return `a` where the mask holds and `b` elsewhere."""
        ...


class NumpyMath:
    """Formulas on arrays of one float type: the definition."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)

    def constant(self, value: float) -> Array:
        """Return a scalar array; a Python float would let NumPy choose the type."""
        return np.asarray(value, self._dtype)

    def add(self, a: Array, b: Array) -> Array:
        """Return ``a + b``."""
        return a + b

    def sub(self, a: Array, b: Array) -> Array:
        """Return ``a - b``."""
        return a - b

    def mul(self, a: Array, b: Array) -> Array:
        """Return ``a * b``."""
        return a * b

    def div(self, a: Array, b: Array) -> Array:
        """Return ``a / b``."""
        return a / b

    def fma(self, a: Array, b: Array, c: Array) -> Array:
        """Return ``a * b + c``."""
        return a * b + c

    def maximum(self, a: Array, b: Array) -> Array:
        """Return the larger."""
        return np.maximum(a, b)

    def minimum(self, a: Array, b: Array) -> Array:
        """Return the smaller."""
        return np.minimum(a, b)

    def abs(self, a: Array) -> Array:
        """Return ``|a|``."""
        return np.abs(a)

    def sqrt(self, a: Array) -> Array:
        """Return the square root."""
        return np.sqrt(a)

    def exp(self, a: Array) -> Array:
        """Return ``e ** a``."""
        return np.exp(a)

    def expm1(self, a: Array) -> Array:
        """Return ``e ** a - 1``."""
        return np.expm1(a)

    def tanh(self, a: Array) -> Array:
        """Return the hyperbolic tangent."""
        return np.tanh(a)

    def erf(self, a: Array) -> Array:
        """Return the error function."""
        from scipy.special import erf  # noqa: PLC0415 - SciPy is loaded when it is needed

        return np.asarray(erf(a), self._dtype)

    def sigmoid(self, a: Array) -> Array:
        """Return the logistic function, without overflow and exact in both tails."""
        tail = np.exp(-np.abs(a))
        above: Array = np.where(a < 0, tail, self.constant(1))
        y: Array = above / (1 + tail)
        return y

    def greater(self, a: Array, b: Array) -> Array:
        """Return the mask of ``a > b``."""
        return np.greater(a, b)

    def where(self, condition: Array, a: Array, b: Array) -> Array:
        """Return `a` where the mask holds and `b` elsewhere."""
        return np.where(condition, a, b)
