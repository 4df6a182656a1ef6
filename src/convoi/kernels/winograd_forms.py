"""The matrices of Winograd's forms of correlation.

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

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from convoi.kernels.transforms import Form, Matrix, MatrixTransform

if TYPE_CHECKING:
    from collections.abc import Sequence


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


@dataclass(frozen=True)
class WinogradForm(Form):
    """A form that is given by its matrices B^T, A^T and G."""

    input_matrix: Matrix
    output_matrix: Matrix
    weight_rows: Matrix

    @property
    def size(self) -> int:
        """Products of a tile: as many as inputs."""
        return self.reach

    @property
    def operations(self) -> tuple[float, float]:
        """Those of B^T and A^T."""
        return self.input.operations, self.output.operations

    @property
    def input(self) -> MatrixTransform:
        """B^T."""
        return MatrixTransform(self.input_matrix)

    @property
    def output(self) -> MatrixTransform:
        """A^T."""
        return MatrixTransform(self.output_matrix)

    @property
    def weight(self) -> MatrixTransform:
        """G."""
        return MatrixTransform(self.weight_rows)


def _form(outputs: int, taps: int, pairs: Sequence[Fraction], *, zero: bool) -> WinogradForm:
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
    return WinogradForm(
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


WINOGRAD_FORMS = {
    "F(4,4)": _form(4, 4, _THREE_PAIRS, zero=False),
    "F(6,3)": _form(6, 3, _THREE_PAIRS, zero=True),
    "F(4,5)": _form(4, 5, _THREE_PAIRS, zero=True),
    "F(5,3)": _form(5, 3, _UNEVEN_PAIRS, zero=False),
    "F(6,5)": _form(6, 5, _FOUR_PAIRS, zero=True),
    "F(8,3)": _form(8, 3, _FOUR_PAIRS, zero=True),
    "F(4,3)": WinogradForm(
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
    "F(2,5)": WinogradForm(
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
    "F(2,3)": WinogradForm(
        2,
        3,
        ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        ((1, 1, 1, 0), (0, 1, -1, -1)),
        ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    ),
}
