"""What kernels have in common, and the way from a kernel to its address."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.assemble import assemble
from convoi.codegen.builder import Function, Module
from convoi.codegen.executor import RUN, emit_executor
from convoi.codegen.gate import EXECUTE, PREPARE, SERVE, WAKE, WORK
from convoi.codegen.types import I64, POINTER, Index, Value
from convoi.runtime.linker import LINKER
from convoi.runtime.object_store import read_object, write_object
from convoi.runtime.threads import NativeLoops

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.target import Target
    from convoi.runtime.linker import Address

BUILD_LOCK = threading.RLock()
"""Held while machine code is generated and loaded. A fork waits for it, or the child would find
LLVM's own lock taken for ever by a thread that it does not have."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=BUILD_LOCK.acquire,
        after_in_parent=BUILD_LOCK.release,
        after_in_child=BUILD_LOCK.release,
    )


@dataclass(frozen=True)
class CallArguments:
    """The integers that every kernel is called with."""

    first: Value
    """Number of the first sample in the batch."""
    count: Value
    """Samples to handle."""
    fresh: Value
    """1 when sums over a chunk begin with these samples, else 0."""
    begin: Index = 0
    """First unit of its work that a kernel does; see :attr:`Kernel.units`."""
    end: Index = 1
    """The unit behind the last one."""


@dataclass(frozen=True)
class Kernel(ABC):
    """A function of machine code, specified completely by its attributes.

    The native function is ``kernel(pointers, first, count, fresh, begin, end)``: it handles
    ``count`` samples, whose first has the number ``first`` in the batch; pointers are those of that
    first sample, in the order of :attr:`arguments`. ``fresh`` is 1 when sums over a chunk begin,
    and 0 when they continue what their buffer holds. It does the units ``begin`` to ``end`` (not
    included) of its :attr:`units`.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    """What each pointer leads to; the last one is the output unless the kernel says otherwise."""
    in_place: ClassVar[bool] = False
    """Whether the output may be the buffer of an input, so that pointers may be equal."""

    @abstractmethod
    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the body of the function; the caller adds the return."""

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return len(self.arguments)

    @property
    def samples_at_once(self) -> int:
        """Samples that share a reading of the weights: more than one where each has few positions.

        Such kernels wait for their weights when they are called with fewer samples.
        """
        return 1

    @property
    def units(self) -> int:
        """Units of work that several threads may share; each is done as if all were.

        A kernel of one unit does all of its work whatever it is told.
        """
        return 1

    @property
    def work(self) -> int:
        """Multiply-adds of a sample, or what takes as long, of kernels that have several units."""
        return 0


def kernel_address(kernel: Kernel, target: Target) -> Address:
    """Return the address of a kernel's function; generate and load it if need be.

    The function stays loaded as long as the address is held.
    """
    key = _key(f"{type(kernel).__module__} {kernel!r}", target)
    symbol = f"k{key}"
    known = LINKER.address(symbol)
    if known is not None:
        return known
    return _load(key, (symbol,), lambda: _kernel_module(kernel, symbol), target)[0]


def load_functions(
    specification: str, symbols: tuple[str, ...], emit: Callable[[], Module], target: Target
) -> tuple[Address, ...]:
    """Return the addresses of the functions of a module that a specification stands for."""
    return _load(_key(specification, target), symbols, emit, target)


def native_loops(target: Target) -> NativeLoops:
    """Return the addresses of the executor's functions, loaded as long as they are held.

    They are scalar code: once loaded, those for one target serve all others.
    """
    symbols = (RUN, PREPARE, EXECUTE, WORK, SERVE, WAKE)
    return NativeLoops(
        *_load(_key("executor", target), symbols, lambda: emit_executor(target), target)
    )


def _load(
    key: str, symbols: tuple[str, ...], emit: Callable[[], Module], target: Target
) -> tuple[Address, ...]:
    """Return the addresses of functions: loaded before, else from the store, else generated."""
    with BUILD_LOCK:
        known = [address for s in symbols if (address := LINKER.address(s)) is not None]
        if len(known) == len(symbols):
            return tuple(known)
        code = read_object(key)
        if code is None:
            code = assemble(emit(), target)
            write_object(key, code)
        return LINKER.load(code, symbols)


def _kernel_module(kernel: Kernel, symbol: str) -> Module:
    module = Module()
    n = kernel.pointer_count()
    types = [POINTER] * n + [I64] * 5
    body = module.function(f"{symbol}_body", types, noalias=not kernel.in_place)
    pointers = body.arguments[:n]
    kernel.emit(body, pointers, CallArguments(*body.arguments[n:]))
    body.ret()
    entry = module.function(symbol, [POINTER, *[I64] * 5], exported=True)
    table, *integers = entry.arguments
    loaded = [entry.load(entry.at(table, i, POINTER), POINTER) for i in range(n)]
    listed = [f"{v.type} {v.text}" for v in (*loaded, *integers)]
    entry.emit_void(f"call void @{body.name}({', '.join(listed)})")
    entry.ret()
    return module


def _key(specification: str, target: Target) -> str:
    """Return the key of machine code: everything that it depends on, hashed.

    The specification stands for the generated text (the generator's sources are part of the key),
    so a kernel that is in the store is not generated again to find out.
    """
    parts = (specification, _generator_digest(), repr(target))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


@functools.cache
def _generator_digest() -> str:
    """Return a digest of all that turns specifications into machine code."""
    import llvmlite  # noqa: PLC0415 - kept out of ``import convoi``
    from llvmlite.binding import llvm_version_info  # noqa: PLC0415

    digest = hashlib.sha256(f"{llvmlite.__version__} {llvm_version_info}".encode())
    package = Path(__file__).parents[1]
    for folder in ("ops", "codegen", "kernels", "runtime"):
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
