from __future__ import annotations

import numpy as np
import pytest

from convoi.kernels.optimizer import (
    GRANULE_BYTES,
    HYPER,
    NORM_LANES,
    SGD,
    Adam,
    ClipGradients,
    ReduceGradients,
    SquaredNorm,
)
from convoi.runtime.buffers import aligned_zeros
from tests.kernels.harness import call_kernel, target_named
from tests.kernels.support import every_machine, machine

GRANULES = [0, 1, 7, 18]
CHUNKS = 3


class Arena:
    """Arenas of some granules, and the record of numbers, with one granule behind the last."""

    def __init__(self, granules, dtype, chunks=CHUNKS):
        self.granules, self.dtype = granules, dtype
        self.per_granule = GRANULE_BYTES // np.dtype(dtype).itemsize
        self.size = granules * self.per_granule
        rng = np.random.default_rng(granules)
        self.gradients = aligned_zeros(chunks * (self.size + self.per_granule), dtype)
        self.gradients[...] = np.nan
        self.chunks = self.gradients.reshape(chunks, -1)[:, : self.size]
        self.chunks[...] = rng.normal(size=self.chunks.shape)
        self.parameters = self.slot()
        self.parameters[: self.size] = rng.normal(size=self.size)
        self.decay = aligned_zeros(granules + 1, dtype)
        self.decay[:granules] = rng.integers(0, 3, granules) / 2
        self.hyper = np.zeros((), HYPER)
        self.hyper["chunks"] = chunks
        self.hyper["chunk_bytes"] = self.gradients.nbytes // chunks
        self.hyper["gradient_scale"] = 1

    def slot(self):
        slot = aligned_zeros(self.size + self.per_granule, self.dtype)
        slot[self.size :] = 7.25
        return slot

    def step(self, kernel, slots, target):
        buffers = [self.gradients, self.parameters, *slots, self.decay, self.hyper]
        call_kernel(kernel, buffers, count=self.granules, target=target)

    def check(self, parameters, *slots):
        actual, *actual_slots = parameters[0], *(pair[0] for pair in slots)
        expected, *expected_slots = parameters[1], *(pair[1] for pair in slots)
        tolerance = 50 * np.finfo(self.dtype).eps
        for a, b in zip((actual, *actual_slots), (expected, *expected_slots), strict=True):
            np.testing.assert_allclose(a[: self.size], b, rtol=tolerance, atol=tolerance)
            assert np.all(a[self.size :] == 7.25)


def new_gradients(arena, step):
    arena.chunks[...] = np.random.default_rng(step).normal(size=arena.chunks.shape)
    return arena.chunks.astype("float64").sum(axis=0)


@every_machine
@pytest.mark.parametrize("granules", GRANULES)
@pytest.mark.parametrize("variant", ["plain", "momentum", "nesterov"])
def test_sgd_follows_its_formula(variant, granules, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    kernel = SGD(dtype, lanes, momentum=variant != "plain", nesterov=variant == "nesterov")
    arena = Arena(granules, dtype)
    arena.hyper["learning_rate"], arena.hyper["weight_decay"] = 0.1, 0.02
    arena.hyper["momentum"], arena.hyper["gradient_scale"] = 0.9, 0.5
    decay = 0.02 * np.repeat(arena.decay[:granules].astype("float64"), arena.per_granule)
    p, buffer = arena.parameters[: arena.size].astype("float64"), None
    slots = [arena.slot()] if kernel.momentum else []
    for step in range(3):
        g = 0.5 * new_gradients(arena, step) + decay * p
        if kernel.momentum:
            buffer = g if buffer is None else 0.9 * buffer + g
            g = g + 0.9 * buffer if kernel.nesterov else buffer
        p = p - 0.1 * g
        arena.step(kernel, slots, target)
    arena.check((arena.parameters, p), *((slot, buffer) for slot in slots))


@every_machine
@pytest.mark.parametrize("granules", GRANULES)
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_follows_its_formula(decoupled, granules, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    kernel = Adam(dtype, lanes, decoupled=decoupled)
    arena = Arena(granules, dtype)
    numbers = {"learning_rate": 0.01, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.99}
    for name, number in {**numbers, "epsilon": 1e-3}.items():
        arena.hyper[name] = number
    decay = 0.1 * np.repeat(arena.decay[:granules].astype("float64"), arena.per_granule)
    p = arena.parameters[: arena.size].astype("float64")
    m, v = np.zeros_like(p), np.zeros_like(p)
    slots = [arena.slot(), arena.slot()]
    for t in range(1, 4):
        g = new_gradients(arena, t)
        if decoupled:
            p = p - 0.01 * decay * p
        else:
            g = g + decay * p
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        p = p - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-3)
        arena.hyper["correction1"], arena.hyper["correction2"] = 1 - 0.9**t, 1 - 0.99**t
        arena.step(kernel, slots, target)
    arena.check((arena.parameters, p), (slots[0], m), (slots[1], v))


def test_padding_stays_zero():
    target, lanes = machine("x86-64-v3", "float32")
    arena = Arena(2, "float32")
    arena.chunks[...] = 0
    arena.parameters[:32] = 0
    for name in ("learning_rate", "weight_decay", "correction1", "correction2", "epsilon"):
        arena.hyper[name] = 0.1
    arena.step(Adam("float32", lanes), [arena.slot(), arena.slot()], target)
    arena.check((arena.parameters, np.zeros(32)))


@every_machine
@pytest.mark.parametrize(("granules", "chunks"), [(0, 2), (5, 1), (9, 4)])
def test_gradients_of_chunks_are_added_in_order(granules, chunks, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    arena = Arena(granules, dtype, chunks)
    out = arena.slot()
    buffers = [arena.gradients, arena.hyper, out]
    call_kernel(ReduceGradients(dtype, lanes), buffers, count=granules, target=target)
    expected = arena.chunks[0].copy()
    for chunk in arena.chunks[1:]:
        expected += chunk
    np.testing.assert_array_equal(out[: arena.size], expected)
    assert np.all(out[arena.size :] == 7.25)


@every_machine
def test_the_norm_is_summed_slice_by_slice(cpu, dtype):
    target, _ = machine(cpu, dtype)
    arena = Arena(11, dtype)
    partials = np.full((2, NORM_LANES), np.nan)
    itemsize = arena.gradients.itemsize
    for chunk, slices in enumerate([[(0, 3), (3, 4)], [(4, 11)]]):
        for start, stop in slices:
            gradients = arena.gradients[start * GRANULE_BYTES // itemsize :]
            call_kernel(
                SquaredNorm(dtype),
                [gradients, arena.hyper, partials[chunk]],
                count=stop - start,
                fresh=start in {0, 4},
                target=target,
            )
    total = arena.chunks.astype("float64").sum(axis=0)
    split = 4 * arena.per_granule
    expected = [np.sum(total[:split] ** 2), np.sum(total[split:] ** 2)]
    np.testing.assert_allclose(partials.sum(axis=1), expected, rtol=1e-6)


@pytest.mark.parametrize(("max_norm", "scale"), [(1.0, 1 / (5 + 1e-6)), (7.0, 1.0)])
def test_gradients_are_clipped_to_a_norm(max_norm, scale):
    hyper = np.zeros((), HYPER)
    hyper["partials"], hyper["max_norm"] = 2, max_norm
    partials = np.zeros((3, NORM_LANES))
    partials[:2, 1], partials[2] = (9, 16), np.nan
    call_kernel(ClipGradients(), [partials, hyper], count=1, target=target_named("x86-64-v2"))
    assert hyper["norm"] == 5
    assert hyper["gradient_scale"] == pytest.approx(scale, rel=1e-15)


def test_a_norm_that_is_not_a_number_spoils_the_scale():
    hyper = np.zeros((), HYPER)
    hyper["partials"], hyper["max_norm"] = 1, 1
    partials = np.full(NORM_LANES, np.nan)
    call_kernel(ClipGradients(), [partials, hyper], count=1, target=target_named("x86-64-v2"))
    assert np.isnan(hyper["gradient_scale"])
