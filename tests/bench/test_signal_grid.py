"""The benchmark of the operator checks results, takes medians of ratios, and sums up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench import signal_grid
from bench.options import parse
from bench.signal_cells import Cell, grid, held_out_grid
from bench.signal_grid import CellResult, measure_cell, measure_choice, signal_summary

OPTIONS = dataclasses.replace(
    parse(["signal", "--threads", "1", "--rounds", "2"]), slice_seconds=1e-3
)


def test_a_cell_is_measured_beside_its_peers():
    result = measure_cell(Cell((500,), (7,), "float64"), OPTIONS)
    assert {"numpy.convolve", "scipy.oaconvolve", "ndimage.convolve"} <= set(result.peers)
    assert result.chosen in result.methods
    assert len(result.ours) == 2
    assert result.record()["ratios"].keys() == result.peers.keys()


def test_a_wrong_peer_is_not_timed(monkeypatch):
    monkeypatch.setattr(signal_grid, "peers_of", lambda *_: {"wrong": lambda: np.zeros(500)})
    with pytest.raises(AssertionError, match="wrong disagrees"):
        measure_cell(Cell((500,), (7,), "float64"), OPTIONS)


def test_the_summary_counts_the_best_of_each_group():
    cell = Cell((5,), (3,), "float32")
    results = [
        CellResult(cell, "direct", [1.0], {"direct": 1.0, "fft": 2.0}, {"numpy.convolve": [4.0]}),
        CellResult(cell, "fft", [1.0], {"direct": 1.0, "fft": 2.0}, {"scipy.convolve": [0.25]}),
    ]
    lines = signal_summary(results)
    assert lines[0].startswith("Best of all peers: 1.00 times our time")
    assert "in 1 of 2 cells, at worst 0.25" in lines[0]
    assert lines[-1].endswith("in 1 of 2 cells.")


def test_the_grid_covers_what_the_documentation_names():
    cells = list(grid(quick=False))
    assert {cell.dtype for cell in cells} == {"float32", "float64"}
    assert max(max(cell.kernel) for cell in cells) == 10**5
    assert any(cell.match for cell in cells)
    assert any(cell.batch for cell in cells)


def test_problems_that_check_the_choice_are_none_that_it_was_fitted_to():
    cells = list(held_out_grid(quick=False))
    assert len(set(cells)) >= 100
    assert not set(cells) & set(grid(quick=False))


def test_methods_alone_are_measured_beside_the_choice(monkeypatch):
    cell = Cell((400,), (9,), "float32")
    monkeypatch.setattr(signal_grid, "held_out_grid", lambda **_: [cell])
    (result,) = measure_choice(OPTIONS)
    assert result.seconds == result.methods[result.chosen]
    assert not result.peers


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_kernels_of_even_length_may_be_centred_elsewhere(monkeypatch, shift):
    cell = Cell((500,), (8,), "float64")
    moved = np.roll(np.convolve(*cell.arrays(), "same"), shift)
    monkeypatch.setattr(signal_grid, "peers_of", lambda *_: {"moved": lambda: moved})
    assert "moved" in measure_cell(cell, OPTIONS).peers
