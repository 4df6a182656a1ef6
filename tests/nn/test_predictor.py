from __future__ import annotations

import threading
from unittest.mock import Mock

import numpy as np
import pytest

import convoi.compiler
from convoi import nn
from convoi.nn.predictor import Predictor
from convoi.nn.setting import Setting

SAMPLES = np.zeros((1, 2), np.float32)


class Program:
    """Stands in for a compiled program: returns the bias; waits if it is told to."""

    def __init__(self):
        self.loads = 0
        self.value = None

    def load(self, parameters):
        self.loads += 1
        self.value = parameters["bias"]

    def __call__(self, X, *, lengths):
        assert lengths is None
        if X.size > 2:
            started.set()
            assert resumed.wait(timeout=60)
        return self.value


started, resumed = threading.Event(), threading.Event()


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    """Return the programs that have been compiled."""
    made = []

    def compiled(graph, **options):
        assert graph.outputs == ("dense",)
        expected = {"dtype": "float32", "threads": 2, "precision": "high", "masked": False}
        assert options == expected
        made.append(Program())
        return made[-1]

    monkeypatch.setattr(convoi.compiler, "InferenceProgram", compiled, raising=False)
    started.clear()
    resumed.clear()
    return made


@pytest.fixture
def predictor():
    return Predictor(nn.trace(nn.Dense(3), (2,)), Setting(np.dtype("float32"), 2, "high"))


def parameters(number):
    return {"weight": np.zeros((3, 2)), "bias": np.full(3, number)}


def test_nothing_is_compiled_before_the_first_prediction(predictor, programs):
    assert programs == []
    predictor(SAMPLES, parameters(1))
    assert len(programs) == 1


def test_parameters_are_packed_once(predictor, programs):
    given = parameters(1)
    for _ in range(3):
        np.testing.assert_array_equal(predictor(SAMPLES, given), [1, 1, 1])
    assert [program.loads for program in programs] == [1]


def test_new_parameters_go_into_the_program_that_is_there(predictor, programs):
    predictor(SAMPLES, parameters(1))
    np.testing.assert_array_equal(predictor(SAMPLES, parameters(2)), [2, 2, 2])
    assert [program.loads for program in programs] == [2]


def test_a_running_prediction_keeps_the_parameters_that_it_began_with(predictor, programs):
    results = []
    slow = np.zeros((2, 2), np.float32)
    given = parameters(1)
    thread = threading.Thread(target=lambda: results.append(predictor(slow, given)))
    thread.start()
    assert started.wait(timeout=60)
    np.testing.assert_array_equal(predictor(SAMPLES, parameters(2)), [2, 2, 2])
    resumed.set()
    thread.join()
    np.testing.assert_array_equal(results[0], [1, 1, 1])
    np.testing.assert_array_equal(predictor(SAMPLES, parameters(3)), [3, 3, 3])
    assert len(programs) == 2


def test_a_prediction_that_fails_does_not_count_as_running(predictor, programs, monkeypatch):
    predictor(SAMPLES, parameters(1))
    with monkeypatch.context() as patch:
        patch.setattr(Program, "__call__", Mock(side_effect=MemoryError))
        with pytest.raises(MemoryError):
            predictor(SAMPLES, parameters(1))
    predictor(SAMPLES, parameters(2))
    assert len(programs) == 1
