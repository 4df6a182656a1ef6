"""Running one kernel on NumPy arrays."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest

from convoi.codegen.target import Target, current_target
from convoi.config import override
from convoi.kernels.base import Kernel, kernel_address

if TYPE_CHECKING:
    import numpy as np

_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 5)


def call_kernel(
    kernel: Kernel,
    buffers: list[np.ndarray],
    *,
    count: int,
    first: int = 0,
    fresh: bool = True,
    target: Target | None = None,
    units: range | None = None,
) -> None:
    """Generate, load and call a kernel with the addresses of the buffers: all units, or some."""
    assert len(buffers) == kernel.pointer_count()
    address = kernel_address(kernel, target or current_target())
    pointers = (ctypes.c_void_p * len(buffers))(*(b.ctypes.data for b in buffers))
    some = range(kernel.units) if units is None else units
    table = ctypes.addressof(pointers)
    _SIGNATURE(address)(table, first, count, int(fresh), some.start, some.stop)


def target_named(cpu: str) -> Target:
    """Return a forced target, or skip the test where this CPU cannot run it."""
    try:
        with override(cpu=cpu):
            return current_target()
    except ValueError as error:
        pytest.skip(str(error))


ALL_TARGETS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
