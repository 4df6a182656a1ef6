"""From text to object code, and what is shown on the way."""

from __future__ import annotations

import pytest

from convoi.codegen.assemble import assemble
from convoi.codegen.builder import Module
from convoi.codegen.target import current_target
from convoi.codegen.types import I64
from convoi.config import override
from convoi.errors import CompilationError


def doubling() -> Module:
    module = Module()
    f = module.function("double_it", [I64], I64, exported=True)
    f.ret(f.value(f.add(f.arguments[0], f.arguments[0])))
    return module


def test_text_that_llvm_rejects_is_a_defect_and_says_so() -> None:
    module = Module()
    f = module.function("broken", [I64], I64, exported=True)
    f.emit_void("ret float %a0")
    with pytest.raises(CompilationError, match="rejects the generated code, which is a defect"):
        assemble(module, current_target())


def test_the_object_code_holds_the_exported_name() -> None:
    assert b"double_it" in assemble(doubling(), current_target())


@pytest.mark.parametrize(("debug", "text", "assembly"), [(2, 0, 0), (3, 1, 0), (4, 1, 1)])
def test_the_debug_ladder_shows_text_and_assembly(
    debug: int, text: int, assembly: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with override(debug=debug):
        assemble(doubling(), current_target())
    shown = capsys.readouterr().err
    assert shown.count("define i64 @double_it") == text
    assert shown.count("\ndouble_it:") == assembly
