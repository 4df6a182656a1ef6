"""`explain`: which method a call would use, and what each one costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.signal import transform
from convoi.signal.operation import Operation, Options, prepare
from convoi.signal.transform_blocks import whole_blocks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class MethodCost:
    """What is expected of one method."""

    seconds: float
    """Run time, from a model that was fitted on one machine: compare, do not rely on it."""
    memory: int
    """Bytes besides input and output."""
    error_bound: float
    """Largest absolute error of an output in exact arithmetic's stead; 0 for integers."""


@dataclass(frozen=True)
class Explanation:
    """The method that a call uses, and the alternatives.

    Attributes
    ----------
    method : str
        What would compute the result.
    costs : dict of str to MethodCost
        Of each method that could.
    """

    method: str
    costs: dict[str, MethodCost]

    def __str__(self) -> str:
        lines = [f"method: {self.method}"]
        for name, cost in sorted(self.costs.items(), key=lambda item: item[1].seconds):
            lines.append(
                f"  {name:<12} {cost.seconds * 1e3:10.3f} ms {cost.memory / 2**20:9.1f} MiB "
                f"  error <= {cost.error_bound:.1e}"
            )
        return "\n".join(lines)


def explain(
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: str = "full",
    boundary: str = "constant",
    fill_value: complex = 0,
    axes: object = None,
    stride: object = 1,
    dilation: object = 1,
    method: str = "auto",
    threads: int | None = None,
) -> Explanation:
    """Tell how `convolve` would compute a result, without computing it.

    Parameters
    ----------
    x, kernel, mode, boundary, fill_value, axes, stride, dilation, method, threads
        As of `convolve`.

    Returns
    -------
    Explanation
        The chosen method, and for each method the expected seconds, the memory besides input and
        output, and a bound of the error. Print it for a table.

    Raises
    ------
    ShapeError, ArgumentError, ArgumentTypeError
        As by `convolve`.

    Notes
    -----
    The bound of sums is ``(taps + 1) eps`` times the sum of the taps' sizes times the largest
    input; that of transforms ``4 eps log2 N`` times the product of the norms.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi.signal import explain
    >>> explain(np.zeros(1_000_000), np.ones(50)).method
    'direct'
    """
    options = Options(mode, boundary, fill_value, axes, stride, dilation, method, threads=threads)
    operation = prepare("explain", x, kernel, options, flip=True)
    chosen, lines = operation.choose()
    found = operation.costs()
    if "separable" in found and lines is None and operation.lines() is None:
        del found["separable"]
    costs = {
        name: MethodCost(cost.seconds, cost.memory, _error_bound(operation, name))
        for name, cost in found.items()
    }
    return Explanation(chosen, costs)


def _error_bound(operation: Operation, method: str) -> float:
    if operation.result.kind in "iub":
        return 0.0
    real = transform.transform_dtype(operation.result)
    if method in {"fft", "overlap-add"}:
        size = math.prod(
            block.length
            for block in whole_blocks(
                operation.problem, operation.fill, real=operation.result.kind != "c"
            )
        )
        return transform.error_bound(operation.x, operation.kernel, size, real)
    taps = operation.problem.taps
    kernel = np.abs(operation.kernel.astype(np.complex128))
    total = float(kernel.sum(axis=operation.problem.sliding).max(initial=0))
    largest: Any = np.max(np.abs(operation.x), initial=0)
    return float((taps + 1) * np.finfo(real).eps * total * max(float(largest), abs(operation.fill)))
