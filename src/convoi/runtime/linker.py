"""Loading object code into the process, and unloading it.

Shapes are unbounded, and so is the code for them. Code stays loaded as long as somebody holds the
address of one of its functions, and the code used last stays loaded beyond that.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from convoi.errors import CompilationError

if TYPE_CHECKING:
    from typing_extensions import Self

KEPT_BYTES = 64 << 20
"""Object code that stays loaded although no program uses it. A kernel has about 10 KiB."""


class LoadedCode:
    """Object code in memory, until nothing refers to it any more."""

    def __init__(self, tracker: object, size: int, retired: list[object]) -> None:
        self.size = size
        self._tracker = tracker
        self._retired = retired

    def __del__(self) -> None:
        """Hand LLVM's handle back.

        This may happen at any time, in any thread, also while LLVM's lock is held, so the linker
        unloads the code when it next loads some.
        """
        self._retired.append(self._tracker)


class Address(int):
    """The address of a function, which stays loaded as long as this object is held.

    As a number in a table, or as the address of a function of ctypes, it holds nothing.
    """

    code: LoadedCode

    def __new__(cls, value: int, code: LoadedCode) -> Self:
        """Make the address of a function of the code."""
        address = super().__new__(cls, value)
        address.code = code
        return address


class Linker:
    """Links object code.

    Parameters
    ----------
    kept_bytes : int
        Code that stays loaded although nobody holds an address in it.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._compiler: Any = None
        self._loaded: WeakValueDictionary[str, LoadedCode] = WeakValueDictionary()
        self._values: dict[str, int] = {}
        self._used: OrderedDict[LoadedCode, None] = OrderedDict()
        self._used_bytes = 0
        self._retired: list[Any] = []
        self._names = itertools.count()
        self._lock = threading.RLock()

    def address(self, symbol: str) -> Address | None:
        """Return the address of a loaded function, or None."""
        with self._lock:
            code = self._loaded.get(symbol)
            if code is None:
                return None
            self._use(code)
            return Address(self._values[symbol], code)

    def load(self, code: bytes, symbols: tuple[str, ...]) -> tuple[Address, ...]:
        """Load object code, unless it is, and return the addresses of its functions."""
        with self._lock:
            known = [address for symbol in symbols if (address := self.address(symbol)) is not None]
            if len(known) == len(symbols):
                return tuple(known)
            tracker = self._link(code, symbols)
            loaded = LoadedCode(tracker, len(code), self._retired)
            for symbol in symbols:
                self._loaded[symbol] = loaded
                self._values[symbol] = tracker[symbol]
            self._use(loaded)
            self._forget()
            return tuple(Address(self._values[symbol], loaded) for symbol in symbols)

    def _link(self, code: bytes, symbols: tuple[str, ...]) -> Any:  # noqa: ANN401 - llvmlite's
        import llvmlite.binding as llvm  # noqa: PLC0415 - kept out of ``import convoi``

        if self._compiler is None:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            self._compiler = llvm.create_lljit_compiler()
        library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        for symbol in symbols:
            library.export_symbol(symbol)
        try:
            return library.link(self._compiler, f"convoi{next(self._names)}")
        except RuntimeError as error:
            message = f"LLVM cannot load generated code: {error}"
            raise CompilationError(message) from error

    def _use(self, code: LoadedCode) -> None:
        """Note that code is the one used last."""
        if code not in self._used:
            self._used[code] = None
            self._used_bytes += code.size
        self._used.move_to_end(code)

    def _forget(self) -> None:
        """Stop keeping the code used longest ago, and unload what nobody holds."""
        while self._used_bytes > self._kept_bytes and len(self._used) > 1:
            self._used_bytes -= self._used.popitem(last=False)[0].size
        while self._retired:
            self._retired.pop().close()
        if len(self._values) > 2 * len(self._loaded):
            self._values = {symbol: self._values[symbol] for symbol in self._loaded}


LINKER = Linker()
"""The process's linker."""
