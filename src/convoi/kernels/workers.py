"""The process's worker threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.kernels.base import BUILD_LOCK, native_loops
from convoi.runtime.threads import Pool

if TYPE_CHECKING:
    from convoi.codegen.target import Target

_POOLS: list[Pool] = []


def worker_pool(target: Target) -> Pool:
    """Return the process's worker threads, which help programs for all targets."""
    with BUILD_LOCK:
        if not _POOLS:
            _POOLS.append(Pool(native_loops(target)))
    return _POOLS[0]
