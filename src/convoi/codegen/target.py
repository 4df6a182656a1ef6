"""The CPU that code is generated for: its vectors, registers and caches."""

from __future__ import annotations

import functools
import platform
from dataclasses import dataclass

from convoi.codegen.types import FLOATS
from convoi.config import cpu
from convoi.errors import ArgumentError

FORCED_CPUS = {
    # name: (LLVM's CPU, bytes per vector, vector registers)
    "x86-64-v2": ("x86-64-v2", 16, 16),
    "x86-64-v3": ("x86-64-v3", 32, 16),
    "x86-64-v4": ("x86-64-v4", 64, 32),
}
"""The targets that ``CONVOI_CPU`` may name."""


@dataclass(frozen=True)
class Target:
    """A CPU as code generation sees it."""

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    """Bytes of the widest vectors."""
    registers: int
    """Vector registers."""

    def lanes(self, dtype: str) -> int:
        """Return how many elements of a dtype fill the widest vector."""
        return self.vector_bytes // FLOATS[dtype].size

    def widths(self, dtype: str) -> tuple[int, ...]:
        """Return the vector widths in elements that layers may use, widest first."""
        smallest = 16 // FLOATS[dtype].size
        widths = []
        lanes = self.lanes(dtype)
        while lanes >= smallest:
            widths.append(lanes)
            lanes //= 2
        return tuple(widths)

    @property
    def is_x86(self) -> bool:
        """Whether x86 intrinsics may be used."""
        return self.triple.startswith(("x86_64", "i686"))

    @property
    def is_aarch64(self) -> bool:
        """Whether AArch64 intrinsics may be used."""
        return self.triple.startswith(("aarch64", "arm64"))


def current_target() -> Target:
    """Return the target that ``CONVOI_CPU`` asks for; by default this machine."""
    return _target(cpu())


@functools.cache
def _target(name: str) -> Target:
    import llvmlite.binding as llvm  # noqa: PLC0415 - kept out of ``import convoi``

    initialize_llvm()
    triple = llvm.get_process_triple()
    host_features = llvm.get_host_cpu_features()
    if name == "native":
        vector_bytes, registers = _host_vectors(host_features)
        return Target(
            triple, llvm.get_host_cpu_name(), host_features.flatten(), vector_bytes, registers
        )
    if platform.machine() not in {"x86_64", "AMD64"}:
        message = (
            f"CONVOI_CPU={name!r} names an x86-64 target, and this machine is a "
            f"{platform.machine()}. Unset it, or set it to 'native'."
        )
        raise ArgumentError(message)
    cpu, vector_bytes, registers = FORCED_CPUS[name]
    available, _ = _host_vectors(host_features)
    if vector_bytes > available:
        message = (
            f"CONVOI_CPU={name!r} needs vectors of {vector_bytes} bytes, and this CPU "
            f"({llvm.get_host_cpu_name()}) has {available}. Choose a lower level."
        )
        raise ArgumentError(message)
    return Target(triple, cpu, "", vector_bytes, registers)


def _host_vectors(features: dict[str, bool]) -> tuple[int, int]:
    """Return the bytes of the widest vectors of this machine and how many registers hold them."""
    if features.get("avx512f"):
        return 64, 32
    if features.get("avx2") and features.get("fma"):
        return 32, 16
    if platform.machine() in {"arm64", "aarch64"}:
        return 16, 32
    return 16, 16


@functools.cache
def initialize_llvm() -> None:
    """Prepare LLVM for generating code for this machine."""
    import llvmlite.binding as llvm  # noqa: PLC0415 - kept out of ``import convoi``

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
