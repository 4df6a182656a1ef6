from __future__ import annotations

import re
import subprocess
import sys

import pytest

import convoi as package
from convoi.cli import options
from convoi.nn import networks

COMMANDS = ["train", "predict", "evaluate", "summary", "cache"]


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def plain(text):
    """Return text without the frames and line breaks of a terminal."""
    return " ".join(re.sub(r"[│╭╮╰╯─]|\x1b\[[0-9;]*m", " ", text).split())


def test_help_needs_none_of_the_libraries_that_take_time():
    modules = python("import sys, convoi.cli; print(*sys.modules)").stdout.split()
    heavy = {"numpy", "scipy", "sklearn", "llvmlite", "PIL", "safetensors"}
    assert not heavy & {name.partition(".")[0] for name in modules}


def test_help_lists_the_commands_and_the_exit_status(convoi):
    result = convoi("--help")
    assert result.code == 0
    for command in COMMANDS:
        assert command in result.out
    assert "Exit status: 0 success, 1 error, 2 wrong usage, 130 interrupted" in plain(result.out)


@pytest.mark.parametrize("command", COMMANDS[:-1])
def test_the_help_of_a_command_ends_in_examples(convoi, command):
    text = plain(convoi(command, "--help").out)
    assert f"Examples: convoi {command} " in text


def test_the_names_of_networks_in_the_help_are_all_there_are():
    assert {*options.NETWORKS.split(", "), "auto"} == set(networks.NETWORKS)


def test_the_version_is_shown(convoi):
    assert convoi("--version").out == f"convoi {package.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["paint"],
        ["train"],
        ["train", "digits", "--epochs", "0"],
        ["train", "digits", "--augment", "heavy"],
        ["train", "digits", "--network", "lenet"],
        ["train", "digits", "--resume"],
        ["train", "digits", "--image-size", "8by8"],
        ["train", "digits", "--output", "no/such/folder/model"],
        ["summary", "resnet"],
        ["summary", "resnet", "--input-shape", "3x-1x2"],
        ["summary", "lenet"],
        ["predict", "model", "--top", "0", "a.png"],
    ],
    ids=" ".join,
)
def test_wrong_usage_has_status_2_and_prints_nothing_as_result(convoi, arguments):
    result = convoi(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "digit"], "convoi: There is no file, folder or data set 'digit'. Did you mean"),
        (["evaluate", "no-model", "digits"], "convoi: The model file 'no-model' cannot be read"),
        (["predict", "no-model", "a.png"], "convoi: The model file 'no-model' cannot be read"),
        (["train", "digits", "--learning-rate", "-1"], "convoi: The 'learning_rate' parameter"),
    ],
)
def test_an_error_is_reported_on_one_line_and_has_status_1(convoi, arguments, message):
    result = convoi(*arguments)
    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith(message)
    assert result.err.count("\n") == 1


def test_debugging_shows_the_traceback(convoi, monkeypatch):
    monkeypatch.setenv("CONVOI_DEBUG", "1")
    with pytest.raises(package.errors.DataFileError, match="no file, folder or data set"):
        convoi("train", "digit")


def test_a_setting_that_is_wrong_is_reported(convoi, monkeypatch):
    monkeypatch.setenv("CONVOI_DEBUG", "loud")
    result = convoi("train", "digits", "--epochs", "1")
    assert result.code == 1
    assert "CONVOI_DEBUG must be an integer from 0 to 4" in result.err


def test_an_interrupt_has_status_130(convoi, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("convoi.data.open_source", interrupt)
    result = convoi("train", "digits")
    assert result.code == 130
    assert result.err == "convoi: interrupted\n"


def test_output_that_nobody_reads_is_no_traceback():
    command = [sys.executable, "-c", "from convoi.cli import main; main()"]
    command += ["summary", "resnet", "--input-shape", "3x32x32"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        error = process.stderr.read()
    assert process.returncode == 141
    assert error == b""
