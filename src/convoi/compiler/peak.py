"""The peak of a core: the most multiply-adds per second that it is seen to do."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from convoi.codegen.target import current_target
from convoi.codegen.types import FLOATS, Vector
from convoi.kernels.probe import IndependentProducts, NativeCall
from convoi.runtime.buffers import aligned_zeros

if TYPE_CHECKING:
    from convoi.codegen.target import Target


def peak_call(target: Target, dtype: str, products: int = 1 << 24) -> tuple[NativeCall, int]:
    """Return the call that reaches the peak, and its multiply-adds: about as many as asked for."""
    vector = Vector(FLOATS[dtype], target.lanes(dtype))
    kernel = IndependentProducts(vector)
    factors = aligned_zeros(2 * vector.lanes, dtype)
    factors[:] = 0.5
    sums = aligned_zeros(kernel.accumulators * vector.lanes, dtype)
    count = products // kernel.products
    return NativeCall(kernel, [factors, sums], count, target), count * kernel.products


def measured_peak(dtype: str = "float32", *, rounds: int = 40) -> float:
    """Return the multiply-adds per second of one core, from the quickest of many short rounds.

    A round takes about 0.3 ms: some pass without an interruption by other processes.
    """
    call, products = peak_call(current_target(), dtype)
    call()
    best = float("inf")
    for _ in range(rounds):
        start = perf_counter()
        call()
        best = min(best, perf_counter() - start)
    return products / best
