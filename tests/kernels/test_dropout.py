"""Dropout with the masks of its definition."""

from __future__ import annotations

import numpy as np
import pytest

from convoi.kernels.dropout import DropoutMasked
from convoi.ops import dropout as ops
from tests.kernels.harness import call_kernel, target_named
from tests.kernels.tensors import (
    MACHINES,
    layout_for,
    random_array,
    read,
    stored,
    unwritten,
)

# channels, spatial, halo of the input, halo of the output, first sample, samples
SHAPES = [
    (5, (), (), (), 0, 3),
    (33, (), (), (), 2, 1),
    (1, (7,), (), ((1, 2),), 1, 2),
    (16, (9,), (), (), 0, 2),
    (3, (3, 5), ((1, 1), (1, 1)), (), 4, 2),
    (100, (2, 3), (), ((0, 1), (2, 0)), 0, 1),
    (4, (2, 3, 2), (), (), 3, 2),
    (15, (2,), (), (), 1, 0),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("channels", "spatial", "halo", "output_halo", "first", "count"), SHAPES)
def test_masks_are_those_of_the_definition(
    machine, channels, spatial, halo, output_halo, first, count
):
    source = layout_for(machine, channels, spatial, halo)
    output = layout_for(machine, channels, spatial, output_halo)
    op = ops.DropoutMasked(0.4, stream=3)
    seed = np.array([2**63 + 12345], np.uint64)
    x = random_array(source, first + count)
    y = unwritten(count, output)
    kernel = DropoutMasked(source, output, op.threshold, 1 / (1 - op.rate), op.stream)
    call_kernel(
        kernel,
        [stored(x[first:], source, beyond=2), seed, y],
        count=count,
        first=first,
        target=target_named(machine[0]),
    )
    expected = op.reference(x, seed[0])[first:]
    np.testing.assert_allclose(read(y, output, count), expected, rtol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.999999, 1 - 2**-40])
def test_extreme_rates(rate):
    layout = layout_for(MACHINES[0], 4, (50,))
    op = ops.DropoutMasked(rate)
    seed = np.array([1], np.uint64)
    x = random_array(layout, 2)
    y = unwritten(2, layout)
    kernel = DropoutMasked(layout, layout, op.threshold, 1 / (1 - rate), op.stream)
    call_kernel(kernel, [stored(x, layout), seed, y], count=2)
    np.testing.assert_allclose(read(y, layout, 2), op.reference(x, seed[0]), rtol=1e-6)
