"""Loading object code into the process."""

from __future__ import annotations

import itertools
import threading
from typing import Any

from convoi.errors import CompilationError


class Linker:
    """Links object code and keeps it loaded for as long as the process runs.

    Kernels are shared between programs and are a few kilobytes each, so they are never unloaded.
    """

    def __init__(self) -> None:
        self._compiler: Any = None
        self._addresses: dict[str, int] = {}
        self._trackers: list[Any] = []
        self._names = itertools.count()
        self._lock = threading.Lock()

    def address(self, symbol: str) -> int | None:
        """Return the address of a loaded function, or None."""
        return self._addresses.get(symbol)

    def load(self, code: bytes, symbols: tuple[str, ...]) -> None:
        """Load object code and make its functions' addresses known."""
        import llvmlite.binding as llvm  # noqa: PLC0415 - kept out of ``import convoi``

        with self._lock:
            if all(symbol in self._addresses for symbol in symbols):
                return
            if self._compiler is None:
                llvm.initialize_native_target()
                llvm.initialize_native_asmprinter()
                self._compiler = llvm.create_lljit_compiler()
            library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
            for symbol in symbols:
                library.export_symbol(symbol)
            try:
                tracker = library.link(self._compiler, f"convoi{next(self._names)}")
            except RuntimeError as error:
                message = f"LLVM cannot load generated code: {error}"
                raise CompilationError(message) from error
            self._trackers.append(tracker)
            for symbol in symbols:
                self._addresses[symbol] = tracker[symbol]


LINKER = Linker()
"""The process's linker."""
