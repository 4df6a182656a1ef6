"""Growth, roofs and time to accuracy, as far as they can be measured without PyTorch."""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import asdict

import numpy as np
import pytest

from bench import accuracy_ours, roofline, scaling
from bench.accuracy import AccuracyRun, Recipe, accuracy_summary, check_beginning, planned_steps
from bench.agreement import DisagreementError
from bench.options import parse
from bench.roofline import KernelPoint, Roofs, measure_roofline, roofline_summary
from bench.scaling import Point, measure_scaling, scaling_summary
from bench.task import write_arrays
from bench.workloads import Workload
from convoi import Network, nn
from convoi.compiler import TrainingProgram
from convoi.graph.serialize import graph_to_dict
from convoi.nn import networks


def options(measure, **changes):
    given = parse([measure, "--quick", "--threads", "1", "--peers", "jax"])
    return dataclasses.replace(given, slice_seconds=1e-3, rounds=1, **changes)


def point(axis, value, seconds, memory, side="Convoi", samples=64):
    return Point(axis, value, side, "default", samples, 1, seconds, memory)


def test_growth_is_measured_in_a_process_for_each_point(monkeypatch):
    monkeypatch.setattr(scaling, "DEPTHS", ())
    monkeypatch.setattr(scaling, "WIDTHS", ())
    monkeypatch.setattr(scaling, "EXTENTS", ())
    monkeypatch.setattr(scaling, "default_threads", lambda: 0)
    monkeypatch.setattr(scaling, "QUICK_POINTS", 1)
    (found,) = measure_scaling(options("scaling"))
    assert (found.axis, found.value, found.samples) == ("batch", 64, 64)
    assert found.seconds > 0
    # The parameters, their gradients and the momentum are there at least.
    parameters = Network(networks.two_conv(), (1, 28, 28)).summary(show=False).parameters
    assert found.memory > 3 * 4 * parameters


def test_the_summary_of_growth():
    found = [
        point("batch", 64, 0.064, 1 << 20), point("batch", 128, 0.160, 2 << 20, samples=128),
        point("threads", 1, 1.0, 1 << 20), point("threads", 2, 0.5, 1 << 20),
        point("threads", 2, 2.0, 4 << 20, "PyTorch"), point("threads", 2, 1.0, 8 << 20, "PyTorch"),
    ]  # fmt: skip
    assert scaling_summary(found) == [
        "Time per sample over batches: within 25%.",
        "2 threads: 2.00 times as fast as one.",
        "Peak memory of a step: 0.25 to 0.25 of PyTorch's least (most for threads 2).",
    ]


def test_kernels_are_set_beside_both_roofs(monkeypatch):
    monkeypatch.setattr(roofline, "measured_peak", lambda: 5e10)
    monkeypatch.setattr(roofline, "measured_bandwidth", lambda: 1e10)
    monkeypatch.setattr(roofline, "ROUNDS", 1)
    layers = nn.Sequential(
        nn.Conv(8, 3, padding="same", bias=False), nn.BatchNorm(), nn.ReLU(),
        nn.Conv(8, 3), nn.MaxPool(2), nn.Conv(16, 3, stride=2), nn.Flatten(), nn.Dense(4),
    )  # fmt: skip
    workload = Workload("small", layers, (3, 12, 12), 4)
    monkeypatch.setattr(roofline, "WORKLOADS", (workload,))
    found = list(measure_roofline(options("roofline", networks=("small",))))
    network = workload.network()
    costs = [
        2 * node.op.cost(*map(network.graph.shape, node.inputs)).multiply_adds
        for node in network.graph.nodes
        if type(node.op).__name__ in {"Conv", "Dense"}
    ]
    predicting = [p for p in found if p.mode == "inference"]
    training = [p for p in found if p.mode == "training"]
    assert sum(p.operations for p in predicting) == sum(costs)
    # Three passes, but for the gradient of the input, which nobody needs.
    assert sum(p.operations for p in training) == 3 * sum(costs) - costs[0]
    assert all(p.seconds > 0 and p.of_bandwidth >= 0 for p in found)


def test_the_summary_of_kernels():
    roofs = Roofs(1e11, 1e10)
    found = [
        KernelPoint("A", "training", "0", "Correlate", 3e-6, 270_000, 1e3, roofs),
        KernelPoint("A", "training", "1", "Add", 1e-6, 0, 5e3, roofs),
    ]
    (line,) = roofline_summary(found)
    assert line == (
        "A, training: products take 75% of the time, at 0.90 of the peak, 100% of it at 0.8 or "
        "more; the rest moves 0.50 times what a copy does."
    )


def test_the_planned_steps_are_those_of_fit(monkeypatch, tmp_path, capsys):
    taken = []
    prepare, take = TrainingProgram.prepare, TrainingProgram.take
    transforms_of = {}

    def noting(self, *arrays, transforms, **others):
        step = prepare(self, *arrays, transforms=transforms, **others)
        transforms_of[step] = transforms
        return step

    def noted(self, step, settings, **others):
        rows = step.source.rows
        taken.append((np.array(rows), settings.learning_rate, transforms_of[step]))
        return take(self, step, settings, **others)

    monkeypatch.setattr(TrainingProgram, "prepare", noting)
    monkeypatch.setattr(TrainingProgram, "take", noted)
    rng = np.random.default_rng(0)
    network = Network(networks.two_conv(width=4), (1, 28, 28), random_state=0)
    X = rng.standard_normal((300, 1, 28, 28), np.float32)
    arrays = {"X": X, "y": rng.integers(10, size=300), "X_test": X[:9], "y_test": np.arange(9)}
    named = {f"parameter/{name}": array for name, array in network.parameters.items()}
    write_arrays(tmp_path / "run.npz", {**arrays, **named})
    graph = graph_to_dict(network.graph)
    recipe = Recipe(graph, str(tmp_path / "run.npz"), 2, 7, 128, 0.003, 1, "default")
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(asdict(recipe))))
    accuracy_ours.main()
    assert set(json.loads(capsys.readouterr().out)) == {"accuracy", "seconds", "first_losses"}

    planned = planned_steps(300, 2, 7)
    assert planned["size"].tolist() == [len(rows) for rows, _, _ in taken]
    assert planned["rate"].tolist() == [rate for _, rate, _ in taken]
    assert np.array_equal(planned["order"], np.concatenate([rows for rows, _, _ in taken]))
    shifts = np.concatenate([transforms.shift for _, _, transforms in taken])
    flips = np.concatenate([transforms.flip for _, _, transforms in taken])
    assert np.array_equal(planned["shift"], shifts)
    assert np.array_equal(planned["flip"], flips[:, -1])


def test_runs_that_do_not_begin_alike_are_refused():
    ours = AccuracyRun("Convoi", 0, 0.9, 1.0, 2.0)
    check_beginning(AccuracyRun("PyTorch", 0, 0.9, 3.0, 2.001), ours)
    with pytest.raises(DisagreementError, match="first 10 steps"):
        check_beginning(AccuracyRun("PyTorch", 0, 0.9, 3.0, 2.1), ours)
    with pytest.raises(DisagreementError):
        check_beginning(AccuracyRun("PyTorch", 0, 0.9, 3.0, float("nan")), ours)


def test_the_summary_of_accuracies():
    runs = [
        AccuracyRun("Convoi", 0, 0.90, 2.0, 2.0), AccuracyRun("Convoi", 1, 0.92, 2.0, 2.0),
        AccuracyRun("PyTorch", 0, 0.91, 8.0, 2.0),
    ]  # fmt: skip
    assert accuracy_summary(runs) == [
        "Convoi: accuracy 0.9100 ± 0.0141, 2.0 s (1.00 times Convoi's).",
        "PyTorch: accuracy 0.9100 ± 0.0000, 8.0 s (4.00 times Convoi's).",
    ]
