from __future__ import annotations

import numpy as np
import pytest

from convoi.kernels.layout import Layout
from convoi.kernels.merge import CopyChannels
from tests.kernels.harness import call_kernel
from tests.kernels.support import activation, every_machine, gradient, machine, output, written

SHAPES = [(), (3,), (2, 5), (2, 1, 3)]


def signal(count, channels, spatial, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, channels, *spatial)).astype(dtype)


@every_machine
@pytest.mark.parametrize(
    ("parts", "count"),
    [((1, 3), 2), ((4, 16), 1), ((5, 17, 15), 3), ((33, 1, 33), 1), ((3, 160, 4), 1), ((5, 5), 0)],
    ids=str,
)
@pytest.mark.parametrize("backwards", [False, True])
def test_copies_together_concatenate_in_any_order(parts, count, backwards, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    spatial = SHAPES[sum(parts) % 4]
    joined = Layout(sum(parts), spatial, lanes, dtype, ((1, 2),) * len(spatial))
    y = output(joined, count)
    arrays = [signal(count, part, spatial, dtype, seed) for seed, part in enumerate(parts)]
    starts = np.cumsum([0, *parts])
    for i in sorted(range(len(parts)), reverse=backwards):
        # The parts lie in the narrower vectors that suit them.
        width = lanes if parts[i] >= lanes else max(2, lanes // 2)
        part = Layout(parts[i], spatial, width, dtype, ((0, 1),) * len(spatial))
        kernel = CopyChannels(part, joined, 0, int(starts[i]), parts[i])
        call_kernel(kernel, [activation(arrays[i], part), y], count=count, target=target)
    np.testing.assert_array_equal(written(y, joined), np.concatenate(arrays, axis=1))


@every_machine
@pytest.mark.parametrize(
    ("channels", "start", "stop"),
    [(5, 1, 4), (17, 16, 17), (33, 0, 16), (33, 15, 33), (16, 4, 8), (160, 3, 157)],
)
def test_a_copy_takes_a_slice_of_the_channels(channels, start, stop, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    spatial = SHAPES[(start + stop) % 4]
    whole = Layout(channels, spatial, lanes, dtype)
    part = Layout(stop - start, spatial, lanes, dtype, ((1, 1),) * len(spatial))
    x, y = signal(2, channels, spatial, dtype), output(part, 2)
    kernel = CopyChannels(whole, part, start, 0, stop - start)
    call_kernel(kernel, [activation(x, whole), y], count=2, target=target)
    np.testing.assert_array_equal(written(y, part), x[:, start:stop])


@every_machine
@pytest.mark.parametrize(("channels", "start", "stop"), [(5, 1, 4), (33, 15, 33), (70, 16, 20)])
def test_a_copy_that_clears_pads_with_channels_of_zeros(channels, start, stop, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    part, whole = Layout(stop - start, (3,), lanes, dtype), Layout(channels, (3,), lanes, dtype)
    dy, dx = signal(2, stop - start, (3,), dtype), output(whole, 2)
    kernel = CopyChannels(part, whole, 0, start, stop - start, clear=True)
    call_kernel(kernel, [gradient(dy, part), dx], count=2, target=target)
    expected = np.zeros((2, channels, 3), dtype)
    expected[:, start:stop] = dy
    np.testing.assert_array_equal(written(dx, whole), expected)


@every_machine
@pytest.mark.parametrize(("channels", "start", "stop"), [(5, 1, 4), (33, 15, 33), (17, 0, 17)])
def test_a_copy_that_accumulates_adds_to_its_channels_only(channels, start, stop, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    part, whole = Layout(stop - start, (2, 2), lanes, dtype), Layout(channels, (2, 2), lanes, dtype)
    x, before = signal(1, stop - start, (2, 2), dtype), signal(1, channels, (2, 2), dtype, seed=1)
    total = output(whole, 1)
    total[: whole.size] = gradient(before, whole)
    kernel = CopyChannels(part, whole, 0, start, stop - start, accumulate=True)
    call_kernel(kernel, [activation(x, part), total], count=1, target=target)
    expected = before.copy()
    expected[:, start:stop] += x
    total[: whole.size][np.isnan(total[: whole.size])] = 7.25  # The rest of a sample is unused.
    np.testing.assert_array_equal(written(total, whole), expected)


@pytest.mark.parametrize("attributes", [(0, 0, 6), (3, 0, 3), (0, 14, 3), (0, 0, 0), (-1, 0, 2)])
def test_a_range_outside_of_the_layouts_is_refused(attributes):
    with pytest.raises(ValueError, match="does not copy a range"):
        CopyChannels(Layout(5, (2,), 8), Layout(16, (2,), 16), *attributes)
