from __future__ import annotations

import numpy as np
import pytest

from convoi.kernels.layout import Layout
from convoi.kernels.upsample import Upsample, UpsampleBackward
from tests.kernels.harness import call_kernel
from tests.kernels.support import (
    activation,
    assert_close,
    every_machine,
    gradient,
    machine,
    output,
    written,
)

CASES = [
    (5, (), (), 2),
    (1, (7,), (3,), 2),
    (17, (3, 4), (2, 2), 1),
    (33, (2, 3), (1, 2), 3),
    (16, (1, 2), (9, 5), 1),
    (3, (2, 1, 3), (2, 2, 1), 2),
    (4, (2, 2), (2, 2), 0),
]
every_case = pytest.mark.parametrize(("channels", "spatial", "scale", "count"), CASES)


def layouts(channels, spatial, scale, lanes, dtype):
    fine = tuple(x * s for x, s in zip(spatial, scale, strict=True))
    return (
        Layout(channels, spatial, lanes, dtype, ((1, 0),) * len(spatial)),
        Layout(channels, fine, lanes, dtype, ((2, 1),) * len(spatial)),
    )


@every_machine
@every_case
def test_every_position_is_repeated(channels, spatial, scale, count, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    coarse, fine = layouts(channels, spatial, scale, lanes, dtype)
    x = np.random.default_rng(0).normal(size=(count, channels, *spatial)).astype(dtype)
    y = output(fine, count)
    kernel = Upsample(coarse, fine, scale)
    call_kernel(kernel, [activation(x, coarse), y], count=count, target=target)
    np.testing.assert_array_equal(
        written(y, fine, zero_beyond=False), np.kron(x, np.ones((1, 1, *scale), dtype))
    )


@every_machine
@every_case
def test_the_gradient_is_the_sum_over_repetitions(channels, spatial, scale, count, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    coarse, fine = layouts(channels, spatial, scale, lanes, dtype)
    dy = np.random.default_rng(0).normal(size=(count, channels, *fine.spatial)).astype(dtype)
    dx = output(coarse, count)
    kernel = UpsampleBackward(fine, coarse, scale)
    call_kernel(kernel, [gradient(dy, fine), dx], count=count, target=target)
    expected = np.zeros((count, channels, *spatial))
    for r in np.ndindex(*scale):
        expected += dy[(..., *(slice(i, None, s) for i, s in zip(r, scale, strict=True)))]
    assert_close(written(dx, coarse), expected)
