"""Ctrl-C between two steps instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType

__all__ = ["DeferredInterrupt", "SharedInterrupt"]


class DeferredInterrupt:
    """While this context lasts, SIGINT waits for :meth:`poll` to raise KeyboardInterrupt.

    A second SIGINT raises at once. Nothing is changed outside the main thread, nor where the
    program has a handler of its own.
    """

    def __init__(self) -> None:
        self._pending = False
        self._installed = False

    def __enter__(self) -> DeferredInterrupt:  # noqa: PYI034 (typing.Self came with Python 3.11)
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if error is None:
            self.poll()

    def poll(self) -> None:
        """Raise KeyboardInterrupt if there was one."""
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._pending:
            signal.default_int_handler(signum, frame)
        self._pending = True


class SharedInterrupt(DeferredInterrupt):
    """The same for runs in several threads: after SIGINT, :meth:`poll` raises in each of them."""

    def poll(self) -> None:
        """Raise KeyboardInterrupt if there was one."""
        if self._pending:
            raise KeyboardInterrupt
