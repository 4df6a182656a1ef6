"""All forms of fast correlation, by their names: F(m, r) of Winograd, DFT(m, r) of Fourier.

Both compute m outputs of r taps along an axis.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from convoi.kernels.fourier_forms import FourierForm
from convoi.kernels.winograd_forms import WINOGRAD_FORMS

if TYPE_CHECKING:
    from convoi.kernels.transforms import Form

_FOURIER = re.compile(r"DFT\((\d+),(\d+)\)")


def fourier_name(points: int, taps: int) -> str:
    """Return the name of the form whose transform has so many points."""
    return f"DFT({points - taps + 1},{taps})"


@cache
def form_named(name: str) -> Form:
    """Return a form."""
    if (found := _FOURIER.fullmatch(name)) is not None:
        return FourierForm(*map(int, found.groups()))
    return WINOGRAD_FORMS[name]
