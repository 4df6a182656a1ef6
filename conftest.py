"""Fixtures of the tests and of the examples in the docstrings."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# The first example of a shape compiles its kernels, so a deadline would fail by chance. The
# examples are the same in every run, so that a failure can be repeated.
hypothesis.settings.register_profile("convoi", deadline=None, derandomize=True)
hypothesis.settings.load_profile("convoi")


@pytest.fixture(scope="session", autouse=True)
def _interrupts() -> None:
    """Let interrupts raise, as in a terminal: a run in the background begins ignoring them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _folders_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled code in a folder of this run, which its worker processes share."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOI_CACHE_DIR", str(folder / "machine-code"))
        yield
