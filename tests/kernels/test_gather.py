from __future__ import annotations

import numpy as np
import pytest

from convoi.kernels.gather import GRANULE_BYTES, Gather
from convoi.runtime.buffers import aligned_zeros
from tests.kernels.harness import call_kernel
from tests.kernels.support import every_machine, machine


@every_machine
@pytest.mark.parametrize("granules", [0, 1, 5])
def test_elements_are_copied_by_index(granules, cpu, dtype):
    target, _ = machine(cpu, dtype)
    count = GRANULE_BYTES // np.dtype(dtype).itemsize
    rng = np.random.default_rng(0)
    source, output = rng.normal(size=50).astype(dtype), aligned_zeros(7 * count, dtype)
    source[0], output[:] = 0, 7.25
    want = output.copy().reshape(7, count)
    numbers = rng.permutation(7)[:granules]
    index = rng.integers(0, 50, (granules, count), dtype=np.int32)
    want[numbers] = source[index]
    records = np.column_stack([numbers, index]).astype(np.int32)
    call_kernel(Gather(dtype), [source, records, output], count=granules, target=target)
    np.testing.assert_array_equal(output, want.ravel())
