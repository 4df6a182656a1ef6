"""What CONVOI_DEBUG shows of programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from convoi import ops
from convoi.compiler import InferenceProgram, StepSettings, TrainingProgram, UpdateRule
from convoi.config import override
from convoi.graph import Builder

if TYPE_CHECKING:
    import pytest

    from convoi.graph import Graph


def normed_network() -> Graph:
    build = Builder.for_network((3, 5))
    value = build.layer("conv", ops.Conv(4, (3,), (1,), ((1, 1),), (1,)), "input")
    value = build.layer("norm", ops.BatchNorm(), value)
    return build.finish(build.layer("relu", ops.ReLU(), value))


PARAMETERS = {
    "conv.weight": np.ones((4, 3, 3)),
    "conv.bias": np.zeros(4),
    "norm.weight": np.ones(4),
    "norm.bias": np.zeros(4),
    "norm.running_mean": np.zeros(4),
    "norm.running_var": np.ones(4),
}


def predict(debug: int) -> None:
    with override(debug=debug):
        program = InferenceProgram(normed_network(), threads=1)
    program.load(PARAMETERS)
    program(np.ones((7, 3, 5)))


def train(debug: int) -> None:
    with override(debug=debug):
        program = TrainingProgram(
            normed_network(), ops.MeanSquaredError(), UpdateRule("sgd"), threads=1
        )
    program.load(PARAMETERS)
    target = np.ones((7, 4, 5))
    program.step(np.ones((7, 3, 5)), np.arange(7), target, np.ones(7), StepSettings(0.1))


def test_nothing_is_shown_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    predict(0)
    assert capsys.readouterr() == ("", "")


def test_timing_shows_the_compilation_and_each_run(capsys: pytest.CaptureFixture[str]) -> None:
    predict(1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(
        r"convoi: InferenceProgram: compiled in \d+\.\d{3} s\n"
        r"convoi: InferenceProgram: 7 samples in \d+\.\d{3} ms\n"
        r"  segment 0, \d+ samples at a time: \d+\.\d{3} ms\n",
        shown.err,
    )


def test_the_time_of_a_step_is_shown_by_segments(capsys: pytest.CaptureFixture[str]) -> None:
    train(1)
    report = capsys.readouterr().err.partition("7 samples in ")[2]
    segments = re.findall(r"^  segment (\d+), (.*): \d+\.\d{3} ms$", report, re.MULTILINE)
    assert [int(number) for number, _ in segments] == list(range(len(segments)))
    words = [re.sub(r"\d+", "N", words) for _, words in segments]
    assert words == [
        "N samples at a time",
        "once",
        "N samples at a time",
        "once",
        "N samples at a time",
        "N units, N at a time",
    ]


def test_the_plan_shows_memory_segments_and_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    train(2)
    report = capsys.readouterr().err
    headline = re.search(
        r"TrainingProgram: segments: 6; bytes: (\d+) per thread, (\d+) per sample between "
        r"segments, (\d+) per chunk, (\d+) for parameters and tables\n",
        report,
    )
    assert headline is not None
    assert all(int(figure) > 0 for figure in headline.groups())
    assert re.search(r"  segment 0, \d+ samples at a time\n(    .*\n)*?    pack: Pack\n", report)
    assert "    update: SGD\n" in report


def test_the_setting_counts_when_the_program_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    predict(0)
    with override(debug=1):
        assert capsys.readouterr().err == ""
    predict(1)
    assert capsys.readouterr().err.count("\n") == 3
