"""Parts that several networks are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.checks import check_flag, check_real
from convoi.nn.layers import BatchNorm, Conv, Dense, Dropout, GlobalAveragePool

if TYPE_CHECKING:
    from convoi.nn.layers import Layer
    from convoi.nn.layers.arguments import ConvPaddingLike


def conv_norm(
    filters: int,
    size: int,
    *,
    stride: int = 1,
    padding: ConvPaddingLike = "valid",
    dilation: int = 1,
) -> list[Layer]:
    """Return a convolution and its normalisation, which takes the place of a bias."""
    conv = Conv(filters, size, stride=stride, padding=padding, dilation=dilation, bias=False)
    return [conv, BatchNorm()]


def head(classes: int, dropout: float, owner: str) -> list[Layer]:
    """Return the mean over all positions and the last dense layer; a rate of 0 is no dropout."""
    rate = check_real(dropout, "dropout", owner, minimum=0, maximum=1, exclude_maximum=True)
    dropped: list[Layer] = [Dropout(rate)] if rate else []
    return [GlobalAveragePool(), *dropped, Dense(classes)]


def series_head(classes: int, dropout: float, owner: str, *, per_step: object) -> list[Layer]:
    """Return the last layers of a network for series: one output, or one for each time step."""
    if not check_flag(per_step, "per_step", owner):
        return head(classes, dropout, owner)
    dropped = head(classes, dropout, owner)[1:-1]
    return [*dropped, Conv(classes, 1)]
