"""Loading object code."""

from __future__ import annotations

import ctypes

import pytest

from convoi.codegen.assemble import assemble
from convoi.codegen.builder import Module
from convoi.codegen.target import current_target
from convoi.codegen.types import I64
from convoi.errors import CompilationError
from convoi.runtime.linker import Linker


def adding(symbol: str, amount: int) -> bytes:
    module = Module()
    f = module.function(symbol, [I64], I64, exported=True)
    f.ret(f.value(f.add(f.arguments[0], amount)))
    return assemble(module, current_target())


def call(linker: Linker, symbol: str, number: int) -> int:
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(linker.address(symbol) or 0)
    return function(number)


def test_loaded_functions_have_addresses() -> None:
    linker = Linker()
    assert linker.address("add_2") is None
    linker.load(adding("add_2", 2), ("add_2",))
    linker.load(adding("add_3", 3), ("add_3",))
    assert (call(linker, "add_2", 40), call(linker, "add_3", 40)) == (42, 43)


def test_what_is_loaded_is_not_loaded_again() -> None:
    linker = Linker()
    linker.load(adding("add_it", 2), ("add_it",))
    address = linker.address("add_it")
    linker.load(adding("add_it", 5), ("add_it",))
    assert linker.address("add_it") == address
    assert call(linker, "add_it", 1) == 3


def test_code_without_the_function_is_refused() -> None:
    linker = Linker()
    with pytest.raises(CompilationError, match="cannot load generated code"):
        linker.load(adding("present", 1), ("absent",))
    assert linker.address("absent") is None
