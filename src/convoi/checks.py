"""Checks of arguments, with one form of message.

Each function returns the argument as the plain Python value that the rest of the package works
with, or raises ``ArgumentTypeError`` for a wrong type and ``ArgumentError`` for a wrong value. The
messages have scikit-learn's form:

    The 'stride' parameter of Conv must be an integer greater than or equal to 1. Got 0 instead.

In all of them ``name`` is the parameter and ``owner`` the class or function that has it, as the
user writes them.
"""

from __future__ import annotations

import math
import numbers
import reprlib
from collections.abc import Sequence
from typing import TypeGuard, TypeVar

import numpy as np

from convoi.errors import ArgumentError, ArgumentTypeError

__all__ = [
    "check_choice",
    "check_flag",
    "check_integer",
    "check_per_axis",
    "check_real",
    "describe",
    "refusal",
]

Choice = TypeVar("Choice", bound=str)

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxtuple = _SHORT.maxlist = 8


def check_integer(
    value: object, name: str, owner: str, *, minimum: int | None = None, maximum: int | None = None
) -> int:
    """Return an integer argument as an int.

    Parameters
    ----------
    value : object
        The argument. NumPy's integers are integers; booleans, floats and arrays are not.
    name, owner : str
        The parameter, and the class or function that has it.
    minimum, maximum : int, optional
        Least and greatest value that is accepted.

    Returns
    -------
    int
        The argument.

    Raises
    ------
    ArgumentTypeError
        If the argument is no integer.
    ArgumentError
        If it is out of bounds.

    Examples
    --------
    >>> check_integer(3, "epochs", "fit", minimum=1)
    3
    >>> check_integer(0, "epochs", "fit", minimum=1)
    Traceback (most recent call last):
    ...
    convoi.errors.ArgumentError: The 'epochs' parameter of fit must be an integer greater than or
    equal to 1. Got 0 instead.
    """
    expectation = "an integer" + _bounds(minimum, maximum)
    if not _is_integer(value):
        raise ArgumentTypeError(refusal(name, owner, expectation, value))
    if not _within(int(value), minimum, maximum):
        raise ArgumentError(refusal(name, owner, expectation, value))
    return int(value)


def check_real(
    value: object,
    name: str,
    owner: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    exclude_minimum: bool = False,
    exclude_maximum: bool = False,
) -> float:
    """Return a finite real argument as a float.

    Parameters
    ----------
    value : object
        The argument. NumPy's real scalars are real numbers; booleans and arrays are not.
    name, owner : str
        The parameter, and the class or function that has it.
    minimum, maximum : float, optional
        Bounds of the values that are accepted.
    exclude_minimum, exclude_maximum : bool
        Whether the bound itself is refused.

    Returns
    -------
    float
        The argument.

    Raises
    ------
    ArgumentTypeError
        If the argument is no real number.
    ArgumentError
        If it is NaN, infinite or out of bounds.

    Examples
    --------
    >>> check_real(1, "momentum", "BatchNorm", minimum=0, maximum=1)
    1.0
    >>> check_real(0.0, "eps", "BatchNorm", minimum=0, exclude_minimum=True)
    Traceback (most recent call last):
    ...
    convoi.errors.ArgumentError: The 'eps' parameter of BatchNorm must be a number greater than 0.
    Got 0.0 instead.
    """
    expectation = "a finite number" if minimum is None is maximum else "a number"
    expectation += _bounds(
        minimum, maximum, exclude_minimum=exclude_minimum, exclude_maximum=exclude_maximum
    )
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ArgumentTypeError(refusal(name, owner, expectation, value))
    try:
        number = float(value)
    except OverflowError:  # an int or a fraction beyond the largest float
        number = math.inf
    accepted = math.isfinite(number) and _within(
        number, minimum, maximum, exclude_minimum=exclude_minimum, exclude_maximum=exclude_maximum
    )
    if not accepted:
        raise ArgumentError(refusal(name, owner, expectation, value))
    return number


def check_choice(value: object, name: str, owner: str, choices: Sequence[Choice]) -> Choice:
    """Return an argument that is one of several strings.

    Parameters
    ----------
    value : object
        The argument.
    name, owner : str
        The parameter, and the class or function that has it.
    choices : sequence of str
        The strings that are accepted.

    Returns
    -------
    str
        The element of `choices` that equals the argument.

    Raises
    ------
    ArgumentTypeError
        If the argument is no string.
    ArgumentError
        If it is not among the choices.

    Examples
    --------
    >>> check_choice("full", "mode", "convolve", ("full", "same", "valid"))
    'full'
    >>> check_choice("fill", "mode", "convolve", ("full", "same", "valid"))
    Traceback (most recent call last):
    ...
    convoi.errors.ArgumentError: The 'mode' parameter of convolve must be one of 'full', 'same',
    'valid'. Got 'fill' instead.
    """
    listed = ", ".join(repr(str(choice)) for choice in choices)
    expectation = f"one of {listed}" if len(choices) > 1 else listed
    if not isinstance(value, str):
        raise ArgumentTypeError(refusal(name, owner, expectation, value))
    for choice in choices:
        if value == choice:
            return choice
    raise ArgumentError(refusal(name, owner, expectation, value))


def check_flag(value: object, name: str, owner: str) -> bool:
    """Return a boolean argument as a bool.

    Parameters
    ----------
    value : object
        The argument: True or False, Python's or NumPy's. Nothing else counts as true or false.
    name, owner : str
        The parameter, and the class or function that has it.

    Returns
    -------
    bool
        The argument.

    Raises
    ------
    ArgumentTypeError
        If the argument is not boolean.

    Examples
    --------
    >>> check_flag(True, "bias", "Conv")
    True
    >>> check_flag("no", "bias", "Conv")
    Traceback (most recent call last):
    ...
    convoi.errors.ArgumentTypeError: The 'bias' parameter of Conv must be True or False. Got 'no'
    instead.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentTypeError(refusal(name, owner, "True or False", value))
    return bool(value)


def check_per_axis(
    value: object, name: str, owner: str, rank: int, *, minimum: int | None = None
) -> tuple[int, ...]:
    """Return an argument that is one integer, or one for each spatial axis, as a tuple.

    Parameters
    ----------
    value : object
        The argument: an integer, which then holds for every axis, or a sequence or
        one-dimensional array of `rank` integers.
    name, owner : str
        The parameter, and the class or function that has it.
    rank : int
        Number of spatial axes, at least 1.
    minimum : int, optional
        Least value that is accepted.

    Returns
    -------
    tuple of int
        The integer of each axis.

    Raises
    ------
    ArgumentTypeError
        If the argument is no integer and no sequence of integers.
    ArgumentError
        If it has another length than `rank`, or an integer is less than `minimum`.

    Examples
    --------
    >>> check_per_axis(2, "stride", "Conv", 3, minimum=1)
    (2, 2, 2)
    >>> check_per_axis((2, 1, 1), "stride", "Conv", 2, minimum=1)
    Traceback (most recent call last):
    ...
    convoi.errors.ArgumentError: The 'stride' parameter of Conv must be an integer greater than or
    equal to 1, or a sequence of 2 of them, one for each spatial axis. Got (2, 1, 1) instead.
    """
    expectation = (
        f"an integer{_bounds(minimum, None)}, "
        f"or a sequence of {rank} of them, one for each spatial axis"
    )
    if _is_integer(value):
        items: tuple[object, ...] = (value,) * rank
    elif _is_sequence(value):
        items = tuple(value)
    else:
        raise ArgumentTypeError(refusal(name, owner, expectation, value))
    integers = tuple(int(item) for item in items if _is_integer(item))
    if len(integers) < len(items):
        raise ArgumentTypeError(refusal(name, owner, expectation, value))
    if len(integers) != rank or not all(_within(item, minimum, None) for item in integers):
        raise ArgumentError(refusal(name, owner, expectation, value))
    return integers


def refusal(name: str, owner: str, expectation: str, value: object) -> str:
    """Return the message for an argument that is not what was expected.

    Parameters
    ----------
    name, owner : str
        The parameter, and the class or function that has it.
    expectation : str
        What the argument must be, such as ``"an integer"``.
    value : object
        What was given.

    Returns
    -------
    str
        The message.

    Examples
    --------
    >>> refusal("optimizer", "fit", "an optimizer or its name", 3)
    "The 'optimizer' parameter of fit must be an optimizer or its name. Got 3 instead."
    """
    return (
        f"The {name!r} parameter of {owner} must be {expectation}. Got {describe(value)} instead."
    )


def describe(value: object) -> str:
    """Return a short text for a value in an error message.

    Parameters
    ----------
    value : object
        Any object. Arrays are described by shape and dtype, long values are cut.

    Returns
    -------
    str
        At most a line of text.

    Examples
    --------
    >>> describe(np.zeros((2, 3)))
    'an array of shape (2, 3) and dtype float64'
    """
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, np.generic):
        return _SHORT.repr(value.item())
    return _SHORT.repr(value)


def _is_integer(value: object) -> TypeGuard[numbers.Integral]:
    """Tell whether a value is an integer; NumPy's are registered as such, and bool is one."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_sequence(value: object) -> TypeGuard[Sequence[object]]:
    """Tell whether a value is a sequence or a one-dimensional array, and no text."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _within(
    number: float,
    minimum: float | None,
    maximum: float | None,
    *,
    exclude_minimum: bool = False,
    exclude_maximum: bool = False,
) -> bool:
    return (
        minimum is None or number > minimum or (number == minimum and not exclude_minimum)
    ) and (maximum is None or number < maximum or (number == maximum and not exclude_maximum))


def _bounds(
    minimum: float | None,
    maximum: float | None,
    *,
    exclude_minimum: bool = False,
    exclude_maximum: bool = False,
) -> str:
    """Return the bounds in words, with a leading space, or nothing."""
    words = []
    if minimum is not None:
        words.append(f"greater than {'' if exclude_minimum else 'or equal to '}{minimum}")
    if maximum is not None:
        words.append(f"less than {'' if exclude_maximum else 'or equal to '}{maximum}")
    return " " + " and ".join(words) if words else ""
