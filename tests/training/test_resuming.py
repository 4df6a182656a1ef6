"""A run that is interrupted anywhere, and resumed, ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import convoi
from convoi.errors import CheckpointError
from convoi.training import Augment, Callback, Checkpoint, EarlyStopping, fit
from convoi.training.checkpoint import load_snapshot
from tests.training.examples import classifier, images, same_bits

EPOCHS = 4
STEPS = 3  # in an epoch


def run(optimizer="adamw", **settings):
    """Train with everything that has a state; return the network and the history."""
    X, y = images()
    network = classifier()
    defaults = {
        "epochs": EPOCHS,
        "batch_size": 12,
        "optimizer": optimizer,
        "learning_rate": 0.05,
        "augment": Augment(shift=1, flip=True),
        "validation_data": 0.25,
        "early_stopping": EarlyStopping(patience=3),
        "random_state": 0,
    }
    history = fit(network, X, y, **(defaults | settings))
    return network, history


@cache
def uninterrupted(optimizer="adamw"):
    network, history = run(optimizer)
    return network.parameters, history


class InterruptAt(Callback):
    """Ctrl-C after some step, as an exception."""

    def __init__(self, epoch, step):
        self.place = (epoch, step)

    def on_batch_end(self, state):
        if (state.epoch, state.step) == self.place:
            raise KeyboardInterrupt


def check_resumed(path, optimizer="adamw"):
    """Check the network, its history and the state in the checkpoint after the rest of a run."""
    network, history = run(optimizer, checkpoint=path, resume=True)
    parameters, expected = uninterrupted(optimizer)
    assert same_bits(network.parameters, parameters)
    assert history == expected


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_run_resumes_between_two_steps(tmp_path, optimizer):
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(optimizer, checkpoint=path, callbacks=[InterruptAt(1, 2)])
    assert (load_snapshot(path).state.epoch, load_snapshot(path).state.step) == (1, 2)
    check_resumed(path, optimizer)


@pytest.mark.parametrize("epoch", range(EPOCHS))
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_run_resumes_after_any_step(tmp_path, epoch, step):
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=Checkpoint(path, every=100), callbacks=[InterruptAt(epoch, step)])
    check_resumed(path)


def test_a_run_may_be_interrupted_again_and_again(tmp_path):
    path = tmp_path / "run"
    for place in [(0, 1), (0, 2), (1, 3), (3, 1)]:
        with pytest.raises(KeyboardInterrupt):
            run(checkpoint=path, resume=True, callbacks=[InterruptAt(*place)])
    check_resumed(path)


def test_saving_changes_nothing(tmp_path):
    network, history = run(checkpoint=tmp_path / "run")
    parameters, expected = uninterrupted()
    assert same_bits(network.parameters, parameters)
    assert history == expected


def test_a_run_without_early_stopping_or_validation_resumes(tmp_path):
    path = tmp_path / "run"
    settings = {"early_stopping": None, "validation_data": None}
    expected, _ = run(**settings)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, callbacks=[InterruptAt(2, 1)], **settings)
    network, _ = run(checkpoint=path, resume=True, **settings)
    assert same_bits(network.parameters, expected.parameters)


def test_a_finished_run_is_not_run_again(tmp_path):
    path = tmp_path / "run"
    run(checkpoint=path)

    class Nothing(Callback):
        def on_batch_end(self, state):
            pytest.fail(f"a step of epoch {state.epoch} was taken")

    network, history = run(checkpoint=path, resume=True, callbacks=[Nothing()])
    parameters, expected = uninterrupted()
    assert same_bits(network.parameters, parameters)
    assert history == expected


def test_a_run_without_a_checkpoint_file_starts_from_the_beginning(tmp_path):
    check_resumed(tmp_path / "run")


def test_a_new_run_replaces_the_checkpoint_of_another(tmp_path):
    path = tmp_path / "run"
    run(optimizer="sgd", checkpoint=path)
    run(optimizer="adam", checkpoint=path)
    assert load_snapshot(path).settings["optimizer"].startswith("Adam(")


def test_an_open_seed_is_taken_from_the_checkpoint(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, random_state=None, callbacks=[InterruptAt(1, 1)])
    seed = load_snapshot(path).state.seed
    network, _ = run(checkpoint=path, resume=True, random_state=None)
    expected, _ = run(random_state=seed)
    assert same_bits(network.parameters, expected.parameters)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_checkpoints_are_written_every_so_many_epochs_and_at_the_end(tmp_path, every):
    path = tmp_path / "run"
    found = []

    class Look(Callback):
        def on_epoch_end(self, state):
            found.append((state.epoch, load_snapshot(path).state.epoch if path.exists() else 0))

    run(checkpoint=Checkpoint(path, every=every), callbacks=[Look()])
    assert found == [(epoch, (epoch - 1) // every * every) for epoch in range(1, EPOCHS + 1)]
    assert load_snapshot(path).state.reason == "epochs"


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        ({"optimizer": "sgd"}, "its optimizer is AdamW("),
        ({"batch_size": 13}, "its batch_size is 12, and here it is 13."),
        ({"learning_rate": 0.1}, "its learning_rate is 0.05, and here it is 0.1."),
        ({"epochs": 9}, "its epochs is 4, and here it is 9."),
        ({"random_state": 1}, "its random_state is 0, and here it is 1."),
        ({"augment": None}, "its augment is Augment(shift=1, flip=True, cutout=0), and here"),
        ({"early_stopping": None}, "its early_stopping is EarlyStopping("),
        ({"validation_data": 0.5}, "its data is 36 samples ("),
        ({"class_weight": {0: 2.0}}, "its data is 36 samples ("),
        ({"precision": "high"}, "its precision is default, and here it is high."),
        ({"schedule": "constant"}, "its schedule is Cosine("),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(tmp_path, settings, difference):
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, callbacks=[InterruptAt(1, 1)])
    before = path.read_bytes()
    with pytest.raises(CheckpointError) as caught:
        run(checkpoint=path, resume=True, **settings)
    assert difference in str(caught.value)
    assert path.read_bytes() == before


def test_the_checkpoint_of_another_network_is_refused(tmp_path):
    path = tmp_path / "run"
    run(checkpoint=path)
    X, y = images()
    layers = convoi.nn.Sequential(convoi.nn.Flatten(), convoi.nn.Dense(3))
    network = convoi.Network(layers, input_shape=(1, 6, 6), random_state=0)
    with pytest.raises(CheckpointError, match="its network is <Network"):
        fit(network, X, y, epochs=EPOCHS, checkpoint=path, resume=True)


def test_a_truncated_checkpoint_ends_the_attempt_to_resume(tmp_path):
    path = tmp_path / "run"
    run(checkpoint=path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="is truncated or damaged"):
        run(checkpoint=path, resume=True)


class Press(Callback):
    """Ctrl-C as the terminal sends it, in the middle of an epoch."""

    def __init__(self, times=1):
        self.times = times

    def on_batch_end(self, state):
        if (state.epoch, state.step) == (1, 1):
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


def test_ctrl_c_saves_the_step_and_the_network_has_the_parameters(tmp_path):
    path = tmp_path / "run"
    X, y = images()
    network = classifier()
    with pytest.raises(KeyboardInterrupt):
        fit(network, X, y, epochs=3, batch_size=16, checkpoint=path, callbacks=[Press()])
    loaded = load_snapshot(path)
    assert (loaded.state.epoch, loaded.state.step) == (1, 1)
    assert same_bits(
        {name: loaded.parameters[name] for name in network.parameters}, network.parameters
    )


def test_ctrl_c_is_python_s_again_after_a_run(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=tmp_path / "run", callbacks=[Press()])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_takes_effect_at_once(tmp_path):
    reached = []

    class Twice(Press):
        def on_batch_end(self, state):
            super().on_batch_end(state)
            reached.append((state.epoch, state.step))

    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=tmp_path / "run", callbacks=[Twice(times=2)])
    assert reached[-1] == (0, STEPS)


def test_a_handler_of_the_program_s_own_is_left_alone():
    received = []
    before = signal.signal(signal.SIGINT, lambda *_: received.append(1))
    try:
        _, history = run(callbacks=[Press()])
    finally:
        signal.signal(signal.SIGINT, before)
    assert received == [1]
    assert len(history) == EPOCHS


def test_a_run_in_another_thread_is_the_same():
    found = []
    thread = threading.Thread(target=lambda: found.append(run()[0].parameters))
    thread.start()
    thread.join()
    assert same_bits(found[0], uninterrupted()[0])


CHILD = """
import sys
sys.path.insert(0, sys.argv[2])
from convoi.training import Callback
from tests.training.test_resuming import run

class Count(Callback):
    def on_batch_end(self, state):
        print(state.epoch, state.step, flush=True)

run(checkpoint=sys.argv[1], resume=True, callbacks=[Count()])
print("finished", flush=True)
"""


def test_a_killed_process_leaves_a_checkpoint_to_resume_from(tmp_path):
    path = tmp_path / "run"
    command = [sys.executable, "-c", CHILD, str(path), str(Path(__file__).parents[2])]
    # The child goes on while the line that decides its end is read, so what it is doing when it is
    # killed is left to chance: a step, a validation, or any part of writing the checkpoint.
    for lines in (STEPS, STEPS + 1, STEPS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            for _ in range(lines):
                assert child.stdout.readline() not in {"", "finished\n"}
            child.kill()
        if path.exists():
            load_snapshot(path)  # is valid
    check_resumed(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("moment", ["before the file is complete", "before it is renamed"])
def test_a_process_killed_while_it_writes_leaves_the_checkpoint_before(
    tmp_path, moment, monkeypatch
):
    class Killed(BaseException):
        """Nothing catches it, and nothing is tidied up."""

    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, callbacks=[InterruptAt(1, 1)])
    before = path.read_bytes()

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync" if moment == "before the file is complete" else "replace", die)
        patch.setattr(Path, "replace", die)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            run(checkpoint=path, resume=True)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2  # the unfinished file is still there
    check_resumed(path)
    assert list(tmp_path.iterdir()) == [path]  # and is gone


def test_best_weights_that_were_saved_are_restored(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, callbacks=[InterruptAt(EPOCHS - 1, 1)])
    best = load_snapshot(path).state.best
    assert best is not None
    assert all(np.isfinite(array).all() for array in best.parameters.values())
    check_resumed(path)
