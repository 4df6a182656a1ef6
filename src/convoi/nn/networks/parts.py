"""Parts that several networks are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.checks import check_real
from convoi.nn.layers import BatchNorm, Conv, Dense, Dropout, GlobalAveragePool

if TYPE_CHECKING:
    from convoi.nn.layers import Layer
    from convoi.nn.layers.arguments import PaddingLike


def conv_norm(
    filters: int, size: int, *, stride: int = 1, padding: PaddingLike = "valid"
) -> list[Layer]:
    """Return a convolution and its normalisation, which takes the place of a bias."""
    return [Conv(filters, size, stride=stride, padding=padding, bias=False), BatchNorm()]


def head(classes: int, dropout: float, owner: str) -> list[Layer]:
    """Return the mean over all positions and the last dense layer; a rate of 0 is no dropout."""
    rate = check_real(dropout, "dropout", owner, minimum=0, maximum=1, exclude_maximum=True)
    dropped: list[Layer] = [Dropout(rate)] if rate else []
    return [GlobalAveragePool(), *dropped, Dense(classes)]
