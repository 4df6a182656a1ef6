"""How exactly a network computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.checks import check_choice

if TYPE_CHECKING:
    from convoi.compiler.pipeline import Precision

__all__ = ["PRECISIONS", "check_precision"]

PRECISIONS: tuple[Precision, ...] = ("default", "high")


def check_precision(value: object, owner: str) -> Precision:
    """Return the ``precision`` parameter of a class or function.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If it is none of :data:`PRECISIONS`.
    """
    return check_choice(value, "precision", owner, PRECISIONS)
