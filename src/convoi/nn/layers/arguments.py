"""Arguments that hold for each spatial axis, given before the number of axes is known.

A layer gets its number of spatial axes from the input it is traced with. Until then `stride=2`
means every axis, and `stride=(2, 1)` means that there are two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from convoi.checks import check_per_axis, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.ops import Padding, Shape, same_padding

PerAxis: TypeAlias = int | Sequence[int]
"""An integer for every spatial axis, or one for each."""

Pairs: TypeAlias = int | Sequence[int | Sequence[int]]
"""An integer for both ends of every spatial axis, or for each axis one or a pair (low, high)."""

PaddingLike: TypeAlias = Literal["valid", "same"] | Pairs
"""``"valid"``, ``"same"`` or explicit numbers."""

ConvPaddingLike: TypeAlias = Literal["causal"] | PaddingLike
"""What convolutions take: also ``"causal"``."""

MAX_RANK = 3

_PAIRS = (
    "an integer greater than or equal to 0, or for each spatial axis one or a pair (low, high) "
    "of them"
)


def check_axes(value: object, name: str, owner: str, *, minimum: int) -> PerAxis:
    """Return an int or a tuple of them.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If the argument is neither, or less than the minimum.
    """
    items = _items(value)
    if items is None:
        expectation = f"an integer greater than or equal to {minimum}, or one for each spatial axis"
        return _check_number(value, name, owner, expectation, minimum)
    _check_rank(value, len(items), name, owner)
    return check_per_axis(value, name, owner, len(items), minimum=minimum)


def check_padding(value: object, name: str, owner: str) -> PaddingLike:
    """Return the padding as one of two words, an int, or a tuple of ints and pairs.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If it is none of them, or negative.
    """
    if not isinstance(value, str):
        return check_pairs(value, name, owner, f"'valid', 'same', {_PAIRS}")
    words: tuple[Literal["valid", "same"], ...] = ("valid", "same")
    for word in words:
        if value == word:
            return word
    raise ArgumentError(refusal(name, owner, f"'valid', 'same', {_PAIRS}", value))


def check_conv_padding(value: object, name: str, owner: str) -> ConvPaddingLike:
    """Return the padding of a convolution, as :func:`check_padding` or the word "causal".

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If it is none of them, or negative.
    """
    if not isinstance(value, str):
        return check_pairs(value, name, owner, f"'valid', 'same', 'causal', {_PAIRS}")
    words: tuple[Literal["valid", "same", "causal"], ...] = ("valid", "same", "causal")
    for word in words:
        if value == word:
            return word
    raise ArgumentError(refusal(name, owner, f"'valid', 'same', 'causal', {_PAIRS}", value))


def check_pairs(value: object, name: str, owner: str, expectation: str = _PAIRS) -> Pairs:
    """Return explicit padding as an int or a tuple of ints and pairs.

    Raises
    ------
    ArgumentTypeError, ArgumentError
        If it is neither, or negative.
    """
    items = _items(value)
    if items is None:
        return _check_number(value, name, owner, expectation)
    _check_rank(value, len(items), name, owner)
    ends: list[int | tuple[int, ...]] = []
    for item in items:
        pair = _items(item)
        if pair is None:
            ends.append(_check_number(item, name, owner, expectation))
        elif len(pair) == 2:
            ends.append(tuple(_check_number(end, name, owner, expectation) for end in pair))
        else:
            raise ArgumentError(refusal(name, owner, expectation, value))
    return tuple(ends)


def check_ranks(owner: str, **arguments: object) -> None:
    """Require the arguments that are given per axis to be given for as many axes.

    Raises
    ------
    ArgumentError
        If they are not.
    """
    ranks = {name: len(value) for name, value in arguments.items() if isinstance(value, tuple)}
    if len(set(ranks.values())) > 1:
        listed = ", ".join(f"{name}={arguments[name]!r}" for name in ranks)
        raise ArgumentError(
            f"The parameters of {owner} that are given per spatial axis must have the same "
            f"length. Got {listed} instead."
        )


def for_axes(value: PerAxis, name: str, owner: str, rank: int) -> tuple[int, ...]:
    """Return the integer of each of `rank` axes.

    Raises
    ------
    ShapeError
        If the argument was given for another number of axes.
    """
    if isinstance(value, int):
        return (value,) * rank
    require_rank(value, name, owner, rank)
    return tuple(value)


def padding_for(  # noqa: PLR0917 - the geometry of a window
    padding: ConvPaddingLike,
    owner: str,
    spatial: Shape,
    size: Shape,
    stride: Shape,
    dilation: Shape,
) -> Padding:
    """Return the pair (low, high) of each axis for an input of these extents.

    Raises
    ------
    ShapeError
        If the argument was given for another number of axes.
    """
    if padding == "causal":
        if len(spatial) != 1:
            raise ShapeError(
                f"{owner}: padding='causal' is for series, which have one spatial axis. The input "
                f"has {len(spatial)}. Give padding='same', or pairs (low, high) for each axis."
            )
        return ((dilation[0] * (size[0] - 1), 0),)
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(spatial)
        return tuple(map(same_padding, spatial, size, stride, dilation))
    return explicit_padding(padding, owner, len(spatial))


def explicit_padding(padding: Pairs, owner: str, rank: int) -> Padding:
    """Return the pair (low, high) of each of `rank` axes for a padding that is no word.

    Raises
    ------
    ShapeError
        If the argument was given for another number of axes.
    """
    if isinstance(padding, int):
        return ((padding, padding),) * rank
    require_rank(padding, "padding", owner, rank)
    pairs: list[tuple[int, int]] = []
    for item in padding:
        low, high = (item, item) if isinstance(item, int) else item
        pairs.append((int(low), int(high)))
    return tuple(pairs)


def spatial_extents(shape: Shape, owner: str) -> Shape:
    """Return the extents of the spatial axes.

    Raises
    ------
    ShapeError
        If there are none.
    """
    if len(shape) < 2:
        raise ShapeError(
            f"{owner}: expected an input of shape (channels, *spatial), got {shape}. "
            "Put the layer in front of Flatten, global pooling and Dense."
        )
    return shape[1:]


def require_rank(value: object, name: str, owner: str, rank: int) -> None:
    """Require an argument that is given per axis to be for as many axes as the input has.

    Raises
    ------
    ShapeError
        If it is not.
    """
    if isinstance(value, tuple) and len(value) != rank:
        axes = "one spatial axis" if rank == 1 else f"{rank} spatial axes"
        raise ShapeError(
            f"{owner}: the input has {axes}, but {name}={value!r} is for {len(value)}. "
            f"Give one value, or one per axis."
        )


def _check_rank(value: object, rank: int, name: str, owner: str) -> None:
    if not 1 <= rank <= MAX_RANK:
        expectation = f"one value, or one for each of 1 to {MAX_RANK} spatial axes"
        raise ArgumentError(refusal(name, owner, expectation, value))


def _items(value: object) -> list[object] | None:
    """Return the elements of a sequence or an array; None for anything else."""
    if isinstance(value, np.ndarray):
        return list(value) if value.ndim else None
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        return list(value)
    return None


def _check_number(value: object, name: str, owner: str, expectation: str, minimum: int = 0) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise ArgumentTypeError(refusal(name, owner, expectation, value))
    if value < minimum:
        raise ArgumentError(refusal(name, owner, expectation, value))
    return int(value)
