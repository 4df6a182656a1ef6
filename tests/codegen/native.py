"""Functions of the builder, compiled and called from Python."""

from __future__ import annotations

import ctypes
import itertools
from typing import TYPE_CHECKING, Any

from convoi.codegen.assemble import assemble
from convoi.codegen.builder import Module
from convoi.codegen.target import current_target
from convoi.codegen.types import F32, F64, I32, I64, POINTER, VOID
from convoi.runtime.linker import LINKER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Scalar, Value

C_TYPES = {
    I32: ctypes.c_int32,
    I64: ctypes.c_int64,
    F32: ctypes.c_float,
    F64: ctypes.c_double,
    POINTER: ctypes.c_void_p,
    VOID: None,
}
_NUMBERS = itertools.count()
_HELD: list[int] = []
"""Addresses whose functions shall stay loaded."""


def compiled(
    arguments: Sequence[Scalar], result: Scalar, emit: Callable[[Function], Value | None]
) -> Callable[..., Any]:
    """Return a callable for a function whose body is emitted by a callable."""
    module = Module()
    symbol = f"test_function_{next(_NUMBERS)}"
    f = module.function(symbol, arguments, result, exported=True)
    f.ret(emit(f))
    (address,) = LINKER.load(assemble(module, current_target()), (symbol,))
    _HELD.append(address)
    signature = ctypes.CFUNCTYPE(C_TYPES[result], *(C_TYPES[type_] for type_ in arguments))
    return signature(address)
