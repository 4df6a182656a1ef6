from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from convoi.errors import ArgumentError, ArgumentTypeError, CheckpointError
from convoi.training import Checkpoint, EpochRecord
from convoi.training.checkpoint import (
    as_checkpoint,
    load_snapshot,
    require_same_run,
    save_snapshot,
)
from convoi.training.early_stopping import Best
from convoi.training.state import RunState, Snapshot
from tests.training.examples import same_bits


def snapshot(seed=3):
    rng = np.random.default_rng(seed)
    parameters = {
        "0.weight": rng.normal(size=(4, 1, 3)).astype(np.float32),
        "0.bias": rng.normal(size=4).astype(np.float32),
        "odd/name": np.float32([np.pi]),
    }
    state = RunState(
        seed=2**62 + 1,
        sums=rng.random(4),
        epoch=2,
        step=5,
        seconds=0.1,
        records=[
            EpochRecord(number, {"loss": 0.1 + 0.2, "r2": float("-inf")}, 1e-3, seconds=1.5)
            for number in (1, 2)
        ],
        best=Best(epoch=1, value=0.1 + 0.2, parameters={"0.bias": parameters["0.bias"] + 1}),
    )
    slots = {
        slot: {name: array * factor for name, array in parameters.items()}
        for slot, factor in (("mean", np.float32(2)), ("square", np.float32(3)))
    }
    return Snapshot({"epochs": "5", "network": "<Network>"}, state, parameters, slots)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.checkpoint"


@pytest.fixture
def saved(path):
    save_snapshot(path, snapshot())
    return path


def test_a_snapshot_comes_back_bit_for_bit(saved):
    expected, loaded = snapshot(), load_snapshot(saved)
    assert loaded.settings == expected.settings
    assert same_bits(
        dict(sorted(loaded.parameters.items())), dict(sorted(expected.parameters.items()))
    )
    assert list(loaded.slots) == ["mean", "square"]
    for slot, arrays in expected.slots.items():
        assert all(np.array_equal(loaded.slots[slot][name], arrays[name]) for name in arrays)
    state, wanted = loaded.state, expected.state
    assert (state.seed, state.epoch, state.step, state.reason) == (2**62 + 1, 2, 5, None)
    assert np.array_equal(state.sums, wanted.sums)
    assert state.records == wanted.records
    assert (state.best.epoch, state.best.value) == (1, 0.1 + 0.2)
    assert same_bits(state.best.parameters, wanted.best.parameters)


def test_a_checkpoint_replaces_the_one_before_and_leaves_nothing_else(saved):
    save_snapshot(saved, snapshot(seed=4))
    assert same_bits(
        {"0.bias": load_snapshot(saved).parameters["0.bias"]},
        {"0.bias": snapshot(seed=4).parameters["0.bias"]},
    )
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(saved, fraction):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(CheckpointError) as caught:
        load_snapshot(saved)
    message = str(caught.value)
    assert message.startswith(f"The checkpoint {str(saved)!r} is truncated or damaged (")
    assert message.endswith("Remove it or give another path, or start a new run with resume=False.")


def test_a_flipped_bit_is_noticed_anywhere_in_the_data(saved):
    content = saved.read_bytes()
    for place in range(len(content) - 8, len(content) // 2, -97):
        saved.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(CheckpointError):
            load_snapshot(saved)


def test_a_flipped_bit_in_an_array_is_a_wrong_checksum(saved):
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged: its checksum is wrong"):
        load_snapshot(saved)


def test_a_model_file_is_no_checkpoint(path):
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3)}, path, {"format": "convoi-network"})
    with pytest.raises(CheckpointError, match="is not a checkpoint of Convoi"):
        load_snapshot(path)


def test_a_file_of_a_later_version_is_refused(path):
    from safetensors.numpy import save_file

    save_file({"sums": np.zeros(3)}, path, {"format": "convoi-checkpoint", "version": "999"})
    with pytest.raises(CheckpointError, match="was written by another version of Convoi"):
        load_snapshot(path)


def test_a_missing_file_is_a_checkpoint_error(path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_snapshot(path)


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError):
        load_snapshot(tmp_path)


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_checkpoint_and_no_remains(saved, broken, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(*((os, "fsync") if broken == "fsync" else (Path, "replace")), fail)
    with pytest.raises(CheckpointError) as caught:
        save_snapshot(saved, snapshot(seed=4))
    assert str(caught.value) == (
        f"The checkpoint {str(saved)!r} cannot be written: [Errno 28] No space left on device. "
        "Check the space and the permissions of its folder, then resume from the last checkpoint."
    )
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_the_first_setting_that_differs_is_named():
    with pytest.raises(CheckpointError) as caught:
        require_same_run(Path("run"), {"a": "1", "epochs": "5"}, {"a": "1", "epochs": "10"})
    assert str(caught.value) == (
        "The checkpoint 'run' belongs to another run: its epochs is 5, and here it is 10. Resume "
        "with the network, data and settings of that run, or start a new one with resume=False."
    )


def test_a_path_stands_for_a_checkpoint_after_each_epoch(path):
    assert as_checkpoint(path, "fit") == Checkpoint(path, every=1)
    assert as_checkpoint(str(path), "fit").file == path


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="must be a file in a folder that exists"):
        as_checkpoint(tmp_path / "none" / "run", "fit")


@pytest.mark.parametrize("make", [lambda: Checkpoint(3), lambda: as_checkpoint(3, "fit")])
def test_what_is_no_path_is_refused(make):
    with pytest.raises(ArgumentTypeError, match="Got 3 instead"):
        make()


def test_the_number_of_epochs_between_checkpoints_is_positive():
    with pytest.raises(ArgumentError, match="'every' parameter of Checkpoint must be an integer"):
        Checkpoint("run", every=0)
