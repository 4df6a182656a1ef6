from __future__ import annotations

import numpy as np
import pytest

from convoi.kernels.halo import ClearHalo
from convoi.kernels.layout import Layout
from tests.kernels.harness import call_kernel
from tests.kernels.support import every_machine, grid, interior, machine


@every_machine
@pytest.mark.parametrize(
    ("channels", "spatial", "halo", "count"),
    [
        (5, (), (), 1),
        (1, (4,), ((2, 1),), 2),
        (33, (3, 4), ((1, 0), (0, 3)), 3),
        (16, (2, 5), ((0, 0), (1, 1)), 1),
        (3, (2, 3, 2), ((1, 2), (0, 0), (2, 1)), 2),
        (4, (3, 3), ((1, 1), (1, 1)), 0),
    ],
)
def test_only_the_halo_becomes_zero(channels, spatial, halo, count, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    layout = Layout(channels, spatial, lanes, dtype, halo)
    buffer = np.random.default_rng(0).normal(size=(count + 1) * layout.size).astype(dtype)
    expected = buffer.copy()
    grid(expected, layout)[:count] = 0
    interior(expected, layout)[:count] = interior(buffer, layout)[:count]
    call_kernel(ClearHalo(layout), [buffer], count=count, target=target)
    np.testing.assert_array_equal(buffer, expected)
