"""What CONVOI_DEBUG shows of programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convoi import ops
from convoi.compiler import InferenceProgram, StepSettings, TrainingProgram, UpdateRule
from convoi.config import override
from convoi.graph import Builder

if TYPE_CHECKING:
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
    assert re.search(
        r"  segment 0, \d+ samples at a time\n(    .*\n)*?    pack: Pack, .*\n", report
    )
    assert re.search(r"    update: SGD, moves \d\.\d kB per unit \(at least .*\)\n", report)


def test_the_bytes_that_are_moved_stand_beside_the_fewest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    predict(2)
    report = capsys.readouterr().err
    # 7 samples of (3, 5) and (4, 5) float32. The input is packed and read, with a number of 8 bytes
    # that tells which sample it is; the output written, read and copied to the caller. The 36
    # weights and 4 biases are read once.
    least = 7 * (8 + 4 * (2 * 15 + 3 * 20)) + 4 * (36 + 4)
    total = re.search(r"  in all: (.*) moved, at least (.*), (\d+\.\d+) times\n", report)
    assert total is not None
    moved, fewest = (float(words.removesuffix(" kB")) for words in total.groups()[:2])
    assert fewest == round(least / 1e3, 1)
    assert moved > fewest
    assert float(total[3]) == pytest.approx(moved / fewest, abs=0.1)


def test_the_setting_counts_when_the_program_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    predict(0)
    with override(debug=1):
        assert capsys.readouterr().err == ""
    predict(1)
    assert capsys.readouterr().err.count("\n") == 3
