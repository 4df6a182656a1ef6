"""From LLVM's text to object code."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from convoi.codegen.target import Target, initialize_llvm
from convoi.config import Debug, settings
from convoi.errors import CompilationError

if TYPE_CHECKING:
    from convoi.codegen.builder import Module


def assemble(module: Module, target: Target) -> bytes:
    """Return the object code of a module.

    The emitted instructions are already in their final shape, so LLVM's optimisation passes are
    left out: they cost more than half of the compile time and gain nothing in kernels (and may
    upset the order that keeps accumulators in registers).
    """
    import llvmlite.binding as llvm  # noqa: PLC0415 - kept out of ``import convoi``

    text = str(module)
    debug = settings().debug
    if debug >= Debug.IR:
        sys.stderr.write(text)
    machine = target_machine(target)
    try:
        parsed = llvm.parse_assembly(text)
        parsed.triple = target.triple
        parsed.data_layout = str(machine.target_data)
        parsed.verify()
    except RuntimeError as error:
        message = f"LLVM rejects the generated code, which is a defect of Convoi: {error}"
        raise CompilationError(message) from error
    if debug >= Debug.ASSEMBLY:
        sys.stderr.write(machine.emit_assembly(parsed))
    return bytes(machine.emit_object(parsed))


@functools.cache
def target_machine(target: Target) -> Any:  # noqa: ANN401 - llvmlite has no types
    """Return LLVM's machine for a target."""
    import llvmlite.binding as llvm  # noqa: PLC0415 - kept out of ``import convoi``

    initialize_llvm()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, codemodel="default", reloc="pic"
    )
