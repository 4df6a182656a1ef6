"""Checks of attributes and shapes; every message names the operation, what came and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeGuard

from convoi.checks import check_flag, check_integer, check_real, refusal
from convoi.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from convoi.ops.base import Operation, Shape

MAX_RANK = 3
"""Most spatial axes an operation takes."""

_AXES = ("channels,", "channels, time", "channels, height, width", "channels, depth, height, width")


def invalid_shape(op: Operation, problem: str, remedy: str) -> NoReturn:
    """Raise the error for inputs that the operation cannot take."""
    raise ShapeError(f"{type(op).__name__}: {problem} {remedy}")


def invalid_attribute(op: Operation, attribute: str, expected: str, value: object) -> NoReturn:
    """Raise the error for an attribute that has no meaning."""
    raise ArgumentError(refusal(attribute, type(op).__name__, expected, value))


def integer(op: Operation, attribute: str, value: object, *, low: int) -> None:
    """Require an integer of at least `low`."""
    check_integer(value, attribute, type(op).__name__, minimum=low)


def number(
    op: Operation,
    attribute: str,
    value: object,
    *,
    low: float,
    high: float | None = None,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Require a finite number in an interval."""
    check_real(
        value,
        attribute,
        type(op).__name__,
        minimum=low,
        maximum=high,
        exclude_minimum=open_low,
        exclude_maximum=open_high,
    )


def flag(op: Operation, attribute: str, value: object) -> None:
    """Require True or False."""
    check_flag(value, attribute, type(op).__name__)


def integers(
    op: Operation, attribute: str, values: object, *, low: int, rank: int | None = None
) -> None:
    """Require a tuple of integers of at least `low`, one per spatial axis."""
    if not (_is_per_axis(values, rank) and all(_is_int(value, low) for value in values)):
        expected = f"a tuple of {_count(rank)} integers >= {low}"
        invalid_attribute(op, attribute, expected, values)


def pairs(op: Operation, attribute: str, values: object, *, rank: int | None = None) -> None:
    """Require a tuple of pairs (low, high) of integers >= 0, one per spatial axis."""
    if not (_is_per_axis(values, rank) and all(_is_pair(value) for value in values)):
        expected = f"a tuple of {_count(rank)} pairs (low, high) of integers >= 0"
        invalid_attribute(op, attribute, expected, values)


def extents(op: Operation, attribute: str, values: object) -> None:
    """Require a shape ``(channels, *spatial)``: a tuple of integers >= 1."""
    if not (
        isinstance(values, tuple)
        and 1 <= len(values) <= MAX_RANK + 1
        and all(_is_int(value, 1) for value in values)
    ):
        expected = f"a shape (channels, *spatial) with at most {MAX_RANK} spatial axes"
        invalid_attribute(op, attribute, expected, values)


def spatial(op: Operation, shape: Shape, rank: int) -> Shape:
    """Require ``(channels, *spatial)`` with `rank` spatial axes; return the spatial part."""
    if len(shape) != rank + 1:
        invalid_shape(
            op,
            f"expected an input of shape ({_AXES[rank]}), got {shape}.",
            "Give an input with these axes, or attributes for as many axes as the input has.",
        )
    return shape[1:]


def channels(op: Operation, shape: Shape) -> int:
    """Require a shape with a channel axis; return the number of channels."""
    if not shape:
        invalid_shape(
            op, "expected an input of shape (channels, *spatial), got ().", "Add a channel axis."
        )
    return shape[0]


def same(op: Operation, what: str, expected: Shape, shape: Shape) -> None:
    """Require two shapes to be equal."""
    if shape != expected:
        invalid_shape(
            op, f"expected {what} of shape {expected}, got {shape}.", "Make the shapes agree."
        )


def _is_int(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(_is_int(end, 0) for end in value)


def _is_per_axis(values: object, rank: int | None) -> TypeGuard[tuple[object, ...]]:
    return isinstance(values, tuple) and (
        len(values) <= MAX_RANK if rank is None else len(values) == rank
    )


def _count(rank: int | None) -> str:
    return f"at most {MAX_RANK}" if rank is None else str(rank)
