"""What the benchmark measures of Convoi is there, and is right."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest

from bench.kernels import SHAPES, checked_cases
from bench.options import parse
from bench.ours import SETTING
from bench.process import WorkerError, start_worker
from bench.results import write_results
from bench.task import Task, read_arrays, write_batch
from bench.workloads import WORKLOADS, random_batch
from convoi.codegen.target import current_target
from convoi.graph.serialize import graph_to_dict


@pytest.mark.parametrize("shape", SHAPES[:6:2], ids=str)
def test_kernels_compute_what_is_measured(shape):
    names = set(checked_cases(shape, current_target()))
    assert names >= {"forward", "backward weight"}


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_a_worker_prepares_computes_and_times(tmp_path, mode):
    network = WORKLOADS[0].network()
    batch = random_batch(network, 2, seed=0)
    write_batch(tmp_path / "batch.npz", batch)
    task = Task(mode, graph_to_dict(network.graph), str(tmp_path / "batch.npz"), threads=1)
    with start_worker(sys.executable, "bench.ours", os.environ) as worker:
        assert worker.prepare(task, SETTING) > 0
        worker.results(SETTING, tmp_path / "batch.npz", tmp_path / "results.npz")
        assert worker.time(SETTING, 0.001) > 0
        assert worker.peak_memory() > 2**20
        worker.forget()
        with pytest.raises(WorkerError, match="KeyError: 'default'"):
            worker.time(SETTING, 0.001)
    found = read_arrays(tmp_path / "results.npz")
    if mode == "training":
        loss, gradients = network.loss_and_gradients(batch.X, batch.y)
        assert found["loss"] == pytest.approx(loss, rel=1e-6)
        assert np.array_equal(found["gradient/0.weight"], gradients["0.weight"])
        step = network.parameters["0.weight"] - found["updated/0.weight"]
        assert np.allclose(step, task.learning_rate * gradients["0.weight"], atol=1e-6)
    else:
        assert np.array_equal(found["prediction"], network(batch.X))


def test_a_process_that_cannot_start_is_reported_with_its_last_words():
    with (
        start_worker(sys.executable, "bench.no_such_worker", os.environ) as worker,
        pytest.raises(WorkerError, match="No module named"),
    ):
        worker.describe()


def test_quick_results_do_not_replace_those_of_a_full_run(tmp_path):
    class Figure:
        def record(self):
            return {"seconds": 1.0}

    options = parse(["kernels", "--results", str(tmp_path)])
    quick = parse(["kernels", "--quick", "--results", str(tmp_path)])
    full_path = write_results("kernels", {"cpu": "some"}, [Figure()], options)
    quick_path = write_results("kernels", {"cpu": "some"}, [], quick)
    assert full_path != quick_path
    content = json.loads(full_path.read_text("utf-8"))
    assert content["machine"] == {"cpu": "some"}
    assert content["results"] == [{"seconds": 1.0}]


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["nothing"], ["--threads", "x"]])
def test_options_that_make_no_sense_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        parse(arguments)
    assert "error" in capsys.readouterr().err
