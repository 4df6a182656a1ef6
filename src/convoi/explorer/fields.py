"""Reading a request: every field has a type and bounds, and there are no others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from convoi.checks import check_choice, check_integer, check_real, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, DataError
from convoi.explorer.limits import MAGNITUDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convoi.checks import Choice

OWNER = "the request"


class Fields:
    """The fields of a JSON object, taken one by one.

    Parameters
    ----------
    values : object
        What the JSON text stands for.
    owner : str
        What messages call it.

    Raises
    ------
    ArgumentTypeError
        If it is no object.
    """

    def __init__(self, values: object, owner: str = OWNER) -> None:
        if not isinstance(values, dict):
            raise ArgumentTypeError(
                f"Expected {owner} to be a JSON object. Got {_kind(values)} instead."
            )
        self._left: dict[str, Any] = dict(values)
        self._owner = owner

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def integer(self, name: str, default: int, minimum: int, maximum: int) -> int:
        """Take an integer."""
        value = self._left.pop(name, default)
        return check_integer(value, name, self._owner, minimum=minimum, maximum=maximum)

    def real(self, name: str, default: float, minimum: float, maximum: float) -> float:
        """Take a number."""
        value = self._left.pop(name, default)
        return check_real(value, name, self._owner, minimum=minimum, maximum=maximum)

    def choice(self, name: str, default: Choice, choices: Sequence[Choice]) -> Choice:
        """Take one of several words."""
        return check_choice(self._left.pop(name, default), name, self._owner, choices)

    def fields(self, name: str) -> Fields:
        """Take an object."""
        return Fields(self._required(name), f"{name!r} of {self._owner}")

    def items(self, name: str, most: int) -> list[Any]:
        """Take a list of no more than so many items."""
        value = self._required(name)
        if not isinstance(value, list) or len(value) > most:
            got = f"{len(value)} items" if isinstance(value, list) else _kind(value)
            raise ArgumentError(
                f"The {name!r} parameter of {self._owner} must be a list of at most {most} items. "
                f"Got {got} instead."
            )
        return value

    def array(self, name: str, rank: int, most: int) -> NDArray[np.float64]:
        """Take an array of 1 to `most` numbers along each of `rank` axes."""
        return numbers(self._required(name), name, self._owner, rank, most)

    def finish(self) -> None:
        """Refuse fields that nobody took."""
        if self._left:
            raise ArgumentError(
                f"Unknown fields of {self._owner}: {', '.join(map(repr, sorted(self._left)[:5]))}. "
                "Leave them out."
            )

    def _required(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON can express
        if name not in self._left:
            raise ArgumentError(f"The {name!r} parameter of {self._owner} is missing.")
        return self._left.pop(name)


def read_fields(body: bytes) -> Fields:
    """Return the fields of a request's body.

    Raises
    ------
    DataError
        If the body is no JSON text, holds NaN or infinity, or is nested too deeply.
    """
    try:
        values = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise DataError("The body of the request is nested too deeply.") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"The body of the request is no valid JSON: {error}.") from None
    return Fields(values)


def numbers(value: object, name: str, owner: str, rank: int, most: int) -> NDArray[np.float64]:
    """Return nested lists as an array, checked."""
    kind = "a row of numbers" if rank == 1 else "rows of numbers, equally many in each"
    expectation = f"{kind}, 1 to {most} along each axis"
    rows = [value] if rank == 1 else value
    if not isinstance(rows, list) or not 1 <= len(rows) <= (1 if rank == 1 else most):
        raise ArgumentError(refusal(name, owner, expectation, value))
    for row in rows:
        if not isinstance(row, list) or not 1 <= len(row) <= most or len(row) != len(rows[0]):
            raise ArgumentError(refusal(name, owner, expectation, value))
        for number in row:
            check_real(number, name, owner, minimum=-MAGNITUDE, maximum=MAGNITUDE)
    return np.array(value, np.float64)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
