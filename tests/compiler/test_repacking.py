"""Blocks of weights that are transposed for the backward pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convoi.codegen.target import current_target
from convoi.compiler.pipeline import compile_training
from convoi.compiler.repacking import transposed_blocks
from convoi.compiler.update import Frame
from convoi.kernels.gather import TransposeBlocks
from convoi.ops import MeanSquaredError
from convoi.runtime.buffers import aligned_zeros
from tests.cases import conv, tiled
from tests.compiler.graphs import CPUS, network, on_cpu
from tests.kernels.harness import call_kernel
from tests.kernels.support import target_named


def copied(blocks: np.ndarray, lanes: int) -> dict[int, int]:
    """Return where each element of the output comes from."""
    found: dict[int, int] = {}
    for source, source_step, output, output_step in blocks.tolist():
        for i in range(lanes):
            for j in range(lanes):
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
    assert found is not None
    assert copied(found, lanes) == dict(enumerate(index.tolist()))


def test_what_is_no_transposition_has_no_blocks() -> None:
    index = backward(2, 2, 1, (2,), 4)
    assert transposed_blocks(index[:-1], 4) is None
    assert transposed_blocks(index[:0], 4) is None
    assert transposed_blocks(index[::-1].copy(), 4) is None
    index[5] = 0
    assert transposed_blocks(index, 4) is None


@CPUS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_are_transposed_in_registers(cpu, dtype) -> None:
    target = target_named(cpu)
    lanes = target.lanes(dtype)
    index = backward(2, 2, 1, (1, 2), lanes)
    blocks = transposed_blocks(index, lanes)
    records = aligned_zeros(blocks.size, "int32")
    records[:] = blocks.ravel()
    source, plain, streamed = (aligned_zeros(index.size, dtype) for _ in range(3))
    source[:] = np.arange(index.size)
    for streaming, output in ((False, plain), (True, streamed)):
        kernel = TransposeBlocks(dtype, lanes, streaming)
        call_kernel(kernel, [source, records, output], count=len(blocks), target=target)
        np.testing.assert_array_equal(output, source[index])


@CPUS
def test_programs_transpose_whole_blocks_and_gather_the_rest(cpu) -> None:
    with on_cpu(cpu):

        def frame(op) -> Frame:
            graph = network((16, 6, 6), conv(16, (1, 1)), op)
            target = current_target()
            compiled = compile_training(
                graph, MeanSquaredError(), "float32", target, augment=False, winograd=False
            )
            return Frame(compiled.plan, compiled.memory, "float32", target)

        local = frame(tiled(16, (3, 3), (4, 4))).repacking
        assert len(local.blocks)
        assert not local.gathered
        odd = frame(tiled(5, (3, 3), (4, 4))).repacking
        assert odd.gathered
