"""Gradual underflow in kernels that users' arrays pass through, whoever calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.codegen.types import I32, POINTER, VOID

if TYPE_CHECKING:
    from collections.abc import Callable

    from convoi.codegen.builder import Function

KEEP_DENORMALS = ~0x8040
"""Mask of MXCSR without flush-to-zero and denormals-are-zero."""


def keep_denormals(f: Function, *, x86: bool) -> Callable[[], None]:
    """Switch off flush-to-zero, which the executor sets; return what emits its restoration."""
    if not x86:
        return lambda: None
    saved = f.emit(POINTER, "alloca i32")
    changed = f.emit(POINTER, "alloca i32")
    f.call("llvm.x86.sse.stmxcsr", VOID, saved)
    f.store(f.integer("and", f.load(saved, I32), KEEP_DENORMALS), changed)
    f.call("llvm.x86.sse.ldmxcsr", VOID, changed)

    def restore() -> None:
        f.call("llvm.x86.sse.ldmxcsr", VOID, saved)

    return restore
