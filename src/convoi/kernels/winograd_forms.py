"""The matrices of Winograd's forms of correlation, and their products with vectors.

F(m, r) computes m outputs of r taps along an axis with m + r - 1 multiplications, not m r:

    y = A^T ((G w) * (B^T x))

The forms evaluate polynomials at points: 0, 1, -1 and infinity for F(2, 3); 0, 2/3, -2/3, 3/2,
-3/2 and infinity for F(4, 3) and F(2, 5), which therefore share the transform of the input. Powers
of these points stay near 1, so that the error is a quarter of that with the usual 0, 1, -1, 2, -2,
at the same cost: every row of A^T and B^T has a coefficient 1, from which its sum begins.

References: A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
B. Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution for deep
neural networks", ACM Transactions on Mathematical Software 46(4), 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from convoi.codegen.types import Value, constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convoi.codegen.builder import Function

Matrix: TypeAlias = tuple[tuple[float, ...], ...]
Place: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Form:
    """The matrices of F(m, r)."""

    outputs: int
    taps: int
    input: Matrix
    """B transposed."""
    output: Matrix
    """A transposed."""
    weight: Matrix
    """G."""

    @property
    def size(self) -> int:
        """Inputs of a tile, and products: m + r - 1."""
        return self.outputs + self.taps - 1


_SIX_POINTS = (
    (1, 0, -97 / 36, 0, 1, 0),
    (0, -9 / 4, -27 / 8, 1, 3 / 2, 0),
    (0, -9 / 4, 27 / 8, 1, -3 / 2, 0),
    (0, 3 / 2, 1, -27 / 8, -9 / 4, 0),
    (0, -3 / 2, 1, 27 / 8, -9 / 4, 0),
    (0, 1, 0, -97 / 36, 0, 1),
)

FORMS = {
    "F(4,3)": Form(
        4,
        3,
        _SIX_POINTS,
        (
            (1, 9 / 4, 9 / 4, 2 / 3, 2 / 3, 0),
            (0, 3 / 2, -3 / 2, 1, -1, 0),
            (0, 1, 1, 3 / 2, 3 / 2, 0),
            (0, 2 / 3, -2 / 3, 9 / 4, -9 / 4, 1),
        ),
        (
            (1, 0, 0),
            (-12 / 65, -8 / 65, -16 / 195),
            (12 / 65, -8 / 65, 16 / 195),
            (-16 / 195, -8 / 65, -12 / 65),
            (-16 / 195, 8 / 65, -12 / 65),
            (0, 0, 1),
        ),
    ),
    "F(2,5)": Form(
        2,
        5,
        _SIX_POINTS,
        ((1, 3 / 2, 3 / 2, 1, 1, 0), (0, 1, -1, 3 / 2, -3 / 2, 1)),
        (
            (1, 0, 0, 0, 0),
            (-18 / 65, -12 / 65, -8 / 65, -16 / 195, -32 / 585),
            (18 / 65, -12 / 65, 8 / 65, -16 / 195, 32 / 585),
            (-32 / 585, -16 / 195, -8 / 65, -12 / 65, -18 / 65),
            (-32 / 585, 16 / 195, -8 / 65, 12 / 65, -18 / 65),
            (0, 0, 0, 0, 1),
        ),
    ),
    "F(2,3)": Form(
        2,
        3,
        ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        ((1, 1, 1, 0), (0, 1, -1, -1)),
        ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    ),
}


def transposed(matrix: Matrix) -> Matrix:
    """Return a matrix with its axes exchanged."""
    return tuple(zip(*matrix, strict=True))


def weight_matrix(form: Form, rank: int) -> NDArray[np.float64]:
    """Return the matrix ``(transformed positions, taps)`` that transforms a kernel's weights."""
    matrix = np.array(form.weight)
    result = np.ones((1, 1))
    for _ in range(rank):
        result = np.kron(result, matrix)
    return result


def apply_along(
    f: Function, matrix: Matrix, values: dict[Place, Value], axis: int
) -> dict[Place, Value]:
    """Emit the product of a matrix with the values along one axis of their grid."""
    lines: dict[Place, dict[int, Value]] = {}
    for place, value in values.items():
        rest = (*place[:axis], *place[axis + 1 :])
        lines.setdefault(rest, {})[place[axis]] = value
    results = {}
    for rest, line in lines.items():
        for i, row in enumerate(matrix):
            place = (*rest[:axis], i, *rest[axis:])
            results[place] = combine(f, row, [line[j] for j in range(len(row))])
    return results


def combine(f: Function, factors: Sequence[float], values: Sequence[Value]) -> Value:
    """Emit the sum of some vectors times constants."""
    total: Value | None = None
    for factor, value in sorted(
        zip(factors, values, strict=True), key=lambda pair: abs(pair[0]) != 1
    ):
        if factor == 0:
            continue
        if total is None:
            total = value if factor == 1 else f.fmul(value, constant(value.type, factor))
        elif factor == 1:
            total = f.fadd(total, value)
        elif factor == -1:
            total = f.fsub(total, value)
        else:
            total = f.fma(value, constant(value.type, factor), total)
    return total if total is not None else constant(values[0].type, 0)
