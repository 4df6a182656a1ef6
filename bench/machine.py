"""The machine that a result was measured on."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
from pathlib import Path
from typing import Any

import convoi
from convoi.codegen.target import current_target
from convoi.runtime.threads import default_threads


def describe_machine() -> dict[str, Any]:
    """Return what figures depend on besides the code."""
    target = current_target()
    return {
        "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "llvm_cpu": target.cpu,
        "vector_bytes": target.vector_bytes,
        "cores": os.cpu_count(),
        "usable_cores": default_threads(),
        "load_average": os.getloadavg()[0],
        "memory_gib": round(_memory() / 2**30, 1),
        "os": platform.platform(),
        "python": platform.python_version(),
        "convoi": convoi.__version__,
    }


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.*)", path.read_text()) if path.exists() else None
    return found[1] if found else platform.processor()


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
