from __future__ import annotations

import numpy as np
import pytest

from convoi.codegen.target import current_target
from convoi.codegen.types import F32, Vector
from convoi.errors import CompilationError
from convoi.kernels.probe import IndependentProducts, NativeCall
from convoi.runtime.buffers import aligned_zeros

VECTOR = Vector(F32, 8)


def test_the_peak_kernel_computes_all_its_products():
    vector = Vector(F32, current_target().lanes("float32"))
    kernel = IndependentProducts(vector, accumulators=2, unrolled=4)
    factors = aligned_zeros(2 * vector.lanes)
    factors[:] = 0.5
    sums = aligned_zeros(2 * vector.lanes)
    NativeCall(kernel, [factors, sums], 3, current_target())()
    assert np.all(sums == 3 * 4 * 0.25)


def test_a_kernel_with_too_few_arrays_is_refused():
    with pytest.raises(CompilationError, match="takes 2 arrays, got 1"):
        NativeCall(IndependentProducts(VECTOR), [aligned_zeros(16)], 1, current_target())
