"""Native functions that Python calls without a wrapper in between.

A call through ctypes converts each argument and takes most of a microsecond. A function that has
the interpreter's own calling convention takes a twentieth of that:

    object *function(object *bound, object **arguments, ssize_t count)

It gets the objects themselves, borrowed, and returns a new reference, or null with an exception
set. The interpreter's functions that it needs are at the addresses of :func:`interpreter_words`.
CPython's stable interface fixes all of it: https://docs.python.org/3/c-api/structures.html.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from convoi.errors import ConvoiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_METH_FASTCALL = 0x80

_definitions: dict[int, _Definition] = {}
"""Of the functions by their addresses, never freed: the interpreter reads the definition of a
function object even as it collects the object, whatever else is gone by then. Code that is loaded
where other code was takes over the definition there."""


@dataclass(frozen=True)
class _Interpreter:
    """Words with what native code needs of the interpreter: addresses."""

    release: int = 0
    """Of the function that gives the interpreter's lock away and returns a state."""
    take: int = 1
    """Of the one that takes it again, given the state."""
    reference: int = 2
    """Of the one that counts another reference to an object."""
    address: int = 3
    """Of the one that makes an address of an integer object."""
    none: int = 4
    """Of the object None."""
    words: int = 8


INTERPRETER: Final = _Interpreter()


class _Definition(ctypes.Structure):
    """``PyMethodDef``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def interpreter_words() -> NDArray[np.int64]:
    """Return the words of `INTERPRETER`."""
    api = ctypes.pythonapi
    words = np.zeros(INTERPRETER.words, np.int64)
    for word, function in (
        (INTERPRETER.release, api.PyEval_SaveThread),
        (INTERPRETER.take, api.PyEval_RestoreThread),
        (INTERPRETER.reference, api.Py_IncRef),
        (INTERPRETER.address, api.PyLong_AsVoidPtr),
    ):
        words[word] = ctypes.cast(function, ctypes.c_void_p).value or 0
    words[INTERPRETER.none] = id(None)
    return words


def data_offset() -> int:
    """Return where an array object has the address of its data.

    It follows the head that all Python objects have: NumPy's C interface fixes that, because
    every compiled extension relies on it.
    """
    offset = object.__basicsize__
    array = np.zeros(1)
    found = ctypes.c_void_p.from_address(id(array) + offset).value
    if found != array.ctypes.data:
        raise ConvoiError("Arrays of this Python are not those that NumPy's C interface describes.")
    return offset


class NativeFunction:
    """A native function with an object bound to it.

    Parameters
    ----------
    address : int
        Of the function; held as long as this object is.
    bound : array
        What it gets as its first argument.
    """

    __slots__ = ("_address", "call")

    def __init__(self, address: int, bound: NDArray[Any]) -> None:
        self._address = address
        place = int(address)
        definition = _definitions.setdefault(
            place, _Definition(b"native", place, _METH_FASTCALL, None)
        )
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.restype = ctypes.py_object
        make.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
        self.call: Callable[..., Any] = make(ctypes.byref(definition), bound, None)
        """To be called only as long as this object is held."""
