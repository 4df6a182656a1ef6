"""Loading object code."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

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


def code_and_size() -> tuple[list[bytes], int]:
    codes = [adding(f"kept_{amount}", amount) for amount in range(4)]
    return codes, max(map(len, codes))


def test_what_was_used_last_stays_loaded() -> None:
    codes, size = code_and_size()
    linker = Linker(kept_bytes=2 * size)
    linker.load(codes[0], ("kept_0",))
    linker.load(codes[1], ("kept_1",))
    assert call(linker, "kept_0", 5) == 5  # so kept_1 is the one used longest ago
    linker.load(codes[2], ("kept_2",))
    assert linker.address("kept_1") is None
    assert (call(linker, "kept_0", 5), call(linker, "kept_2", 5)) == (5, 7)


def test_a_held_address_keeps_its_code() -> None:
    codes, size = code_and_size()
    linker = Linker(kept_bytes=size)
    (held,) = linker.load(codes[1], ("kept_1",))
    for number in (0, 2, 3):
        linker.load(codes[number], (f"kept_{number}",))
    assert linker.address("kept_1") == held
    assert call(linker, "kept_1", 5) == 6


def test_unloaded_code_can_be_loaded_again() -> None:
    codes, size = code_and_size()
    linker = Linker(kept_bytes=size)
    for _ in range(3):
        for number, code in enumerate(codes):
            linker.load(code, (f"kept_{number}",))
            assert call(linker, f"kept_{number}", 5) == 5 + number


def executable_bytes() -> int:
    mappings = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    ranges = [fields[0].split("-") for fields in mappings if "x" in fields[1]]
    return sum(int(end, 16) - int(start, 16) for start, end in ranges)


def grown_by(linker: Linker, loads: int, name: str) -> int:
    linker.load(adding(name, 0), (name,))
    before = executable_bytes()
    for number in range(loads):
        linker.load(adding(f"{name}_{number}", number), (f"{name}_{number}",))
    return executable_bytes() - before


@pytest.mark.skipif(sys.platform != "linux", reason="reads the mappings of the process from /proc")
def test_unloading_gives_memory_back() -> None:
    kept = grown_by(Linker(), 100, "kept_mapped")
    unloaded = grown_by(Linker(kept_bytes=1), 100, "unloaded")
    assert unloaded * 4 < kept
