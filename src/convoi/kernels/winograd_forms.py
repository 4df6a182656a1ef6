"""The matrices of Winograd's forms of correlation, and their products with vectors.

F(m, r) computes m outputs of r taps along an axis with m + r - 1 multiplications, not m r:

    y = A^T ((G w) * (B^T x))

The forms evaluate polynomials at points: 0, 1, -1 and infinity for F(2, 3); 0, 2/3, -2/3, 3/2,
-3/2 and infinity for F(4, 3) and F(2, 5), which therefore share the transform of the input. Powers
of these points stay near 1, so that the error is a quarter of that with the usual 0, 1, -1, 2, -2,
at the same cost: every row of A^T and B^T has a coefficient 1, from which its sum begins. F(6, 3)
and F(4, 5) have 0, 1, -1, 2, -2, 1/2, -1/2 and infinity, F(4, 4) has the same without 0; of the
sets of eight this is among the best (2-D F(4, 5) of 16, 64, 256 channels: 3e-6, 4e-6, 8e-6 of the
largest output; with 2/3 and 3/2 for 1/2 and 2: 6e-6, 8e-6, 1e-5).

References: A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
B. Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution for deep
neural networks", ACM Transactions on Mathematical Software 46(4), 2020.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
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

_THREE_PAIRS = (Fraction(1), Fraction(2), Fraction(1, 2))
_UNEVEN_PAIRS = (Fraction(1, 2), Fraction(4, 5), Fraction(7, 4))
_FOUR_PAIRS = (Fraction(1, 2), Fraction(2), Fraction(4, 5), Fraction(5, 4))


def _form(outputs: int, taps: int, pairs: Sequence[Fraction], *, zero: bool) -> Form:
    """Return the form whose points are these and their negatives, infinity, and 0 if wanted.

    The row of B^T that belongs to a point has the coefficients of the polynomial that vanishes in
    all other finite points, the row of infinity those of the one that vanishes in all of them.
    """
    points = [Fraction(0)] * zero + [sign * point for point in pairs for sign in (1, -1)]
    others = [_polynomial([other for other in points if other != point]) for point in points]
    distances = [
        sum((c * point**i for i, c in enumerate(row)), Fraction(0))
        for point, row in zip(points, others, strict=True)
    ]
    return Form(
        outputs,
        taps,
        (*(_numbers([*row, Fraction(0)]) for row in others), _numbers(_polynomial(points))),
        tuple(
            _numbers([*(point**i for point in points), Fraction(i == outputs - 1)])
            for i in range(outputs)
        ),
        (
            *(
                _numbers([point**k / distance for k in range(taps)])
                for point, distance in zip(points, distances, strict=True)
            ),
            _numbers([Fraction(k == taps - 1) for k in range(taps)]),
        ),
    )


def _numbers(row: Sequence[Fraction]) -> tuple[float, ...]:
    return tuple(map(float, row))


def _polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients of the product of ``x - root``, from that of 1 on."""
    coefficients = [Fraction(1)]
    for root in roots:
        raised = [Fraction(0), *coefficients]
        lowered = [*coefficients, Fraction(0)]
        coefficients = [a - root * b for a, b in zip(raised, lowered, strict=True)]
    return coefficients


FORMS = {
    "F(4,4)": _form(4, 4, _THREE_PAIRS, zero=False),
    "F(6,3)": _form(6, 3, _THREE_PAIRS, zero=True),
    "F(4,5)": _form(4, 5, _THREE_PAIRS, zero=True),
    "F(5,3)": _form(5, 3, _UNEVEN_PAIRS, zero=False),
    "F(5,5)": _form(5, 5, _FOUR_PAIRS, zero=False),
    "F(6,5)": _form(6, 5, _FOUR_PAIRS, zero=True),
    "F(8,3)": _form(8, 3, _FOUR_PAIRS, zero=True),
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


def operations(matrix: Matrix) -> int:
    """Return how many operations on vectors the product of a matrix with a line takes."""
    columns = _pairs(transposed(matrix))
    if columns:
        return 2 * len(columns) + sum(map(_terms, _rows_of_sums(matrix, columns)))
    rows = _pairs(matrix)
    total = 0
    for i, row in enumerate(matrix):
        if i in rows:
            same, opposite = _split(row, matrix[i + 1])
            total += _terms(same.factors) + _terms(opposite.factors) + 2
            total += same.scale != 1 and opposite.scale != 1
        elif i - 1 not in rows:
            total += _terms(row)
    return total


def _terms(row: Sequence[float]) -> int:
    """Return how many operations a sum takes that begins with a coefficient 1, if there is one."""
    factors = [factor for factor in row if factor]
    return len(factors) - any(abs(factor) == 1 for factor in factors)


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
        products = _product(f, matrix, [line[j] for j in range(len(line))])
        for i, value in enumerate(products):
            results[(*rest[:axis], i, *rest[axis:])] = value
    return results


def _product(f: Function, matrix: Matrix, values: Sequence[Value]) -> list[Value]:
    """Emit the product of a matrix with a line of values.

    Points of opposite sign make pairs of rows, or of columns, that differ in signs only; what the
    two have in common is computed once.
    """
    columns = _pairs(transposed(matrix))
    if columns:
        return _product_of_sums(f, matrix, values, columns)
    results: list[Value] = []
    rows = _pairs(matrix)
    for i, row in enumerate(matrix):
        if i in rows:
            results.extend(_pair_of_rows(f, row, matrix[i + 1], values))
        elif i - 1 not in rows:
            results.append(combine(f, row, values))
    return results


def _pairs(matrix: Matrix) -> list[int]:
    """Return the rows that equal the next one up to signs, in more than one place."""
    found: list[int] = []
    for i, (row, following) in enumerate(itertools.pairwise(matrix)):
        same = sum(a == b != 0 for a, b in zip(row, following, strict=True))
        opposite = sum(a == -b != 0 for a, b in zip(row, following, strict=True))
        alike = all(abs(a) == abs(b) for a, b in zip(row, following, strict=True))
        if alike and same and opposite and i - 1 not in found:
            found.append(i)
    return found


def _product_of_sums(
    f: Function, matrix: Matrix, values: Sequence[Value], columns: Sequence[int]
) -> list[Value]:
    """Emit a product whose pairs of columns take the sum or the difference of two values."""
    values = list(values)
    for j in columns:
        a, b = values[j], values[j + 1]
        values[j : j + 2] = f.fadd(a, b), f.fsub(a, b)
    return [combine(f, row, values) for row in _rows_of_sums(matrix, columns)]


def _rows_of_sums(matrix: Matrix, columns: Sequence[int]) -> list[list[float]]:
    """Return what is multiplied with sums and differences instead of pairs of columns."""
    rows = [list(row) for row in matrix]
    for row in rows:
        for j in columns:
            row[j : j + 2] = (row[j], 0.0) if row[j] == row[j + 1] else (0.0, row[j])
    return rows


@dataclass(frozen=True)
class _Part:
    """What two rows have in common: a scale, and coefficients of which one is 1 (or -1)."""

    scale: float
    factors: tuple[float, ...]

    @classmethod
    def of(cls, factors: Sequence[float]) -> _Part:
        """Return the part of some coefficients."""
        found = [factor for factor in factors if factor]
        scale = 1.0 if any(abs(factor) == 1 for factor in found) else found[0]
        return cls(scale, tuple(factor / scale for factor in factors))


def _split(row: Sequence[float], following: Sequence[float]) -> tuple[_Part, _Part]:
    """Return the parts of a row that the following one has with the same and the opposite sign."""
    same = [a if a == b else 0.0 for a, b in zip(row, following, strict=True)]
    opposite = [a if a != b else 0.0 for a, b in zip(row, following, strict=True)]
    return _Part.of(same), _Part.of(opposite)


def _pair_of_rows(
    f: Function, row: Sequence[float], following: Sequence[float], values: Sequence[Value]
) -> tuple[Value, Value]:
    """Emit e + o and e - o: the part that two rows have in common, and that of opposite sign."""
    same, opposite = _split(row, following)
    e, o = (combine(f, part.factors, values) for part in (same, opposite))
    if same.scale != 1 and opposite.scale == 1:
        return combine(f, (same.scale, 1), (e, o)), combine(f, (same.scale, -1), (e, o))
    if same.scale != 1:
        e = f.fmul(e, constant(e.type, same.scale))
    return combine(f, (1, opposite.scale), (e, o)), combine(f, (1, -opposite.scale), (e, o))


def combine(f: Function, factors: Sequence[float], values: Sequence[Value]) -> Value:
    """Emit the sum of some vectors times constants."""
    total: Value | None = None
    for factor, value in sorted(
        zip(factors, values, strict=True), key=lambda pair: (abs(pair[0]) != 1, pair[0] < 0)
    ):
        if factor == 0:
            continue
        if total is None:
            total = value if factor == 1 else _scaled(f, value, factor)
        elif factor == 1:
            total = f.fadd(total, value)
        elif factor == -1:
            total = f.fsub(total, value)
        else:
            total = f.fma(value, constant(value.type, factor), total)
    return total if total is not None else constant(values[0].type, 0)


def _scaled(f: Function, value: Value, factor: float) -> Value:
    """Emit a value times a constant; a change of sign melts into what follows."""
    if factor == -1:
        return f.emit(value.type, f"fneg {value.type} {value.text}")
    return f.fmul(value, constant(value.type, factor))
