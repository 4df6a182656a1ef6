"""Blocks of weights that are transposed for the backward pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convoi.codegen.target import current_target
from convoi.compiler import TrainingProgram
from convoi.compiler.pipeline import compile_training
from convoi.compiler.repacking import Blocks, transposed_blocks, widest_blocks
from convoi.compiler.update import Frame
from convoi.kernels.gather import TransposeBlocks
from convoi.ops import Dense, Flatten, MeanSquaredError
from convoi.runtime.buffers import aligned_zeros
from tests.cases import conv, tiled
from tests.compiler.graphs import (
    CPUS,
    example,
    expected_training,
    network,
    on_cpu,
    program_gradients,
    relative_error,
)
from tests.kernels.harness import call_kernel
from tests.kernels.support import target_named


def copied(blocks: Blocks) -> dict[int, int]:
    """Return where each element of the output comes from."""
    found: dict[int, int] = {}
    for source, source_step, output, output_step in blocks.records.tolist():
        for i in range(blocks.lanes):
            for j in range(blocks.lanes):
                place = output + j * output_step + i
                assert place not in found
                found[place] = source + i * source_step + j
    return found


def backward(taps: int, rows: int, vectors: int, blocks: tuple[int, ...], lanes: int) -> np.ndarray:
    """Return the index of weights ``[block][tap][k][channel]`` in ``[tap][channel][k]``."""
    channels, filters = sum(blocks) * lanes, rows * lanes
    parts = []
    first = 0
    for size in blocks:
        tap, k, c = np.meshgrid(
            np.arange(taps)[::-1],
            np.arange(filters),
            first + np.arange(size * lanes),
            indexing="ij",
        )
        parts.append(((tap * channels + c) * (filters * vectors) + k).ravel())
        first += size * lanes
    return np.concatenate(parts)


@given(
    taps=st.integers(1, 3),
    rows=st.integers(1, 3),
    vectors=st.integers(1, 2),
    blocks=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    lanes=st.sampled_from([2, 4]),
)
def test_blocks_copy_what_the_index_says(taps, rows, vectors, blocks, lanes) -> None:
    index = backward(taps, rows, vectors, blocks, lanes)
    found = transposed_blocks(index, lanes)
    assert copied(found) == dict(enumerate(index.tolist()))
    assert not found.rest.any()


@given(
    rows=st.integers(0, 2),
    more=st.integers(1, 3),
    widths=st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple),
)
def test_rows_beyond_whole_blocks_are_left(rows, more, widths) -> None:
    lanes = 4
    filters = rows * lanes + more
    whole = backward(2, rows + 1, 1, widths, lanes)
    tap_rows = (rows + 1) * lanes
    kept = np.concatenate(
        [
            block.reshape(-1, tap_rows, size * lanes)[:, :filters].ravel()
            for size, block in zip(widths, _split(whole, widths, 2 * tap_rows * lanes), strict=True)
        ]
    )
    found = transposed_blocks(kept, lanes)
    places = copied(found)
    assert {i: kept[i] for i in places} == places
    assert set(np.flatnonzero(found.rest)) == set(range(kept.size)) - places.keys()
    assert len(found.records) == 2 * rows * sum(widths)
    narrow = widest_blocks(kept, (lanes, lanes // 2))
    places = copied(narrow)
    assert {i: kept[i] for i in places} == places
    assert narrow.rest.any() == more % 2
    assert narrow.lanes == (lanes // 2 if more > 1 else lanes)


def _split(index: np.ndarray, widths: tuple[int, ...], each: int) -> list[np.ndarray]:
    """Return the parts of an index that belong to the blocks of weights."""
    return np.split(index, np.cumsum(widths)[:-1] * each)


def test_what_is_no_transposition_is_left() -> None:
    index = backward(2, 2, 1, (2,), 4)
    found = transposed_blocks(index[:-1], 4)
    assert len(found.records) == 7
    assert np.flatnonzero(found.rest)[-1] == index.size - 2
    found = transposed_blocks(index[:0], 4)
    assert not found.records.size
    assert not found.rest.size
    found = widest_blocks(index[::-1].copy(), (4, 2))
    assert not found.records.size
    assert found.rest.all()
    index[5] = 0
    found = transposed_blocks(index, 4)
    assert found.rest[5]
    assert 5 not in copied(found)


@CPUS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_are_transposed_in_registers(cpu, dtype) -> None:
    target = target_named(cpu)
    lanes = target.lanes(dtype)
    index = backward(2, 2, 1, (1, 2), lanes)
    blocks = transposed_blocks(index, lanes)
    records = aligned_zeros(blocks.records.size, "int32")
    records[:] = blocks.records.ravel()
    source, plain, streamed = (aligned_zeros(index.size, dtype) for _ in range(3))
    source[:] = np.arange(index.size)
    for streaming, output in ((False, plain), (True, streamed)):
        kernel = TransposeBlocks(dtype, lanes, streaming)
        call_kernel(kernel, [source, records, output], count=len(blocks.records), target=target)
        np.testing.assert_array_equal(output, source[index])


@CPUS
def test_programs_transpose_whole_blocks_and_gather_the_rest(cpu) -> None:
    with on_cpu(cpu):

        def frame(op) -> Frame:
            graph = network((16, 6, 6), conv(16, (1, 1)), op)
            target = current_target()
            compiled = compile_training(
                graph, MeanSquaredError(), "float32", target, augment=False, fast=False
            )
            return Frame(compiled.plan, compiled.memory, "float32", target)

        local = frame(tiled(16, (3, 3), (4, 4))).repacking
        assert len(local.blocks)
        assert not len(local.gathered)
        odd = frame(tiled(5, (3, 3), (4, 4))).repacking
        assert len(odd.gathered)


@CPUS
@pytest.mark.parametrize("classes", [1, 24])
def test_weights_are_packed_anew_before_a_step(cpu, classes) -> None:
    with on_cpu(cpu):
        graph = network((20, 3, 3), conv(24, (1, 1)), Flatten(), Dense(classes))
        loss = MeanSquaredError()
        parameters, inputs = example(graph, loss, n=3)
        program = TrainingProgram(graph, loss, None, threads=1, precision="high")
        program.load(parameters)
        _, got, _ = program_gradients(program, inputs)
        _, want, _ = expected_training(graph, loss, inputs, parameters)
        assert all(relative_error(got[name], want[name]) < 1e-5 for name in want)
