from __future__ import annotations

import dataclasses
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from convoi.config import VARIABLES, Debug, Settings, override, settings
from convoi.errors import ArgumentError, ArgumentTypeError

DOCUMENTED = Path(__file__).parent.parent / "docs" / "reference" / "config.md"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Start each test from an environment that sets nothing."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    return monkeypatch


def in_new_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_every_setting_has_one_variable():
    fields = [field.name for field in dataclasses.fields(Settings)]
    assert [variable.field for variable in VARIABLES] == fields


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_every_variable_stands_in_the_documentation(variable):
    row = f"| `{variable.name}` | {variable.accepts} | {variable.default} | {variable.meaning} |"
    assert row in DOCUMENTED.read_text(encoding="utf-8").splitlines()


def test_defaults():
    current = settings()
    assert current.cpu == "native"
    assert current.debug is Debug.OFF
    assert current.threads is None


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("CONVOI_CPU", "x86-64-v2", "cpu", "x86-64-v2"),
        ("CONVOI_CPU", "native", "cpu", "native"),
        ("CONVOI_DEBUG", "3", "debug", Debug.IR),
        ("CONVOI_CACHE_DIR", "some/folder", "cache_dir", Path("some/folder")),
        ("CONVOI_CACHE_DIR", "off", "cache_dir", None),
        ("CONVOI_CACHE_SIZE", "4096", "cache_size", 4096),
        ("CONVOI_CACHE_SIZE", "1.5 GB", "cache_size", 1_500_000_000),
        ("CONVOI_CACHE_SIZE", "500m", "cache_size", 500_000_000),
        ("CONVOI_CACHE_SIZE", "2KiB", "cache_size", 2048),
        ("CONVOI_CACHE_SIZE", "Unlimited", "cache_size", None),
        ("CONVOI_THREADS", "12", "threads", 12),
        ("CONVOI_DATA_DIR", "some/folder", "data_dir", Path("some/folder")),
        ("CONVOI_TUNE", "off", "tune", False),
        ("CONVOI_TUNE", "ON", "tune", True),
    ],
)
def test_a_variable_is_read(environment, name, text, field, value):
    environment.setenv(name, text)
    assert getattr(settings(), field) == value


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_an_empty_variable_counts_as_unset(environment, variable):
    unset = settings()
    environment.setenv(variable.name, "")
    assert settings() == unset


def test_a_change_of_the_environment_is_seen(environment):
    environment.setenv("CONVOI_THREADS", "2")
    assert settings().threads == 2
    environment.setenv("CONVOI_THREADS", "3")
    assert settings().threads == 3


def test_settings_are_parsed_once_for_an_environment(environment):
    environment.setenv("CONVOI_THREADS", "2")
    assert settings() is settings()


@pytest.mark.parametrize(
    ("name", "text", "expectation"),
    [
        ("CONVOI_CPU", "avx2", "one of 'native', 'x86-64-v2', 'x86-64-v3', 'x86-64-v4'"),
        ("CONVOI_DEBUG", "5", "an integer from 0 to 4"),
        ("CONVOI_DEBUG", "-1", "an integer from 0 to 4"),
        ("CONVOI_DEBUG", "yes", "an integer from 0 to 4"),
        ("CONVOI_THREADS", "0", "an integer greater than or equal to 1"),
        ("CONVOI_THREADS", "1.5", "an integer greater than or equal to 1"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(environment, name, text, expectation):
    environment.setenv(name, text)
    with pytest.raises(ArgumentError) as raised:
        settings()
    assert str(raised.value) == (
        f"The environment variable {name} must be {expectation}. Got {text!r} instead."
    )


def test_override_holds_inside_its_block_only():
    with override(cpu="x86-64-v3", debug=1, threads=3):
        inside = settings()
    assert (inside.cpu, inside.debug, inside.threads) == ("x86-64-v3", Debug.TIMING, 3)
    assert settings().cpu == "native"


def test_override_ends_when_its_block_fails():
    with pytest.raises(KeyError), override(threads=3):
        raise KeyError
    assert settings().threads is None


def test_override_wins_over_the_environment(environment):
    environment.setenv("CONVOI_THREADS", "2")
    with override(threads=3) as changed:
        assert changed.threads == 3


def test_overrides_nest():
    with override(threads=3, debug=1):
        with override(debug=2):
            assert (settings().threads, settings().debug) == (3, Debug.PLAN)
        assert settings().debug == Debug.TIMING


def test_override_gives_the_settings_in_force():
    with override(debug=4) as changed:
        assert changed is settings()


def test_override_holds_in_its_own_thread_only():
    with override(threads=3):
        assert in_new_thread(lambda: settings().threads) is None


def test_override_leaves_the_environment_alone():
    before = dict(os.environ)
    with override(cpu="x86-64-v2", debug=1, cache_dir="off", threads=1, data_dir="data"):
        assert dict(os.environ) == before


def test_override_accepts_paths_and_numpy_integers(tmp_path):
    with override(cache_dir=tmp_path, threads=np.int64(2)) as changed:
        assert (changed.cache_dir, changed.threads) == (tmp_path, 2)


def test_override_can_turn_the_cache_on_disk_off():
    with override(cache_dir="off") as changed:
        assert changed.cache_dir is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"debug": 7}, "The 'debug' parameter of override must be an integer from 0 to 4. Got 7"),
        ({"threads": 0}, "The 'threads' parameter of override must be .* Got 0 instead"),
        ({"cpu": "v3"}, "The 'cpu' parameter of override must be one of .* Got 'v3' instead"),
        ({"cache_dir": ""}, "The 'cache_dir' parameter of override must be a folder, or 'off'"),
        ({"cache_size": -1}, "The 'cache_size' parameter of override must be a size .* Got -1"),
        (
            {"cache_size": "big"},
            "parameter of override must be a size such as .* Got 'big' instead",
        ),
        ({"tune": "x"}, "The 'tune' parameter of override must be 'on' or 'off'. Got 'x'"),
        ({"data_dir": ""}, "The 'data_dir' parameter of override must be a folder. Got ''"),
    ],
)
def test_override_refuses_a_wrong_value(changes, message):
    with pytest.raises(ArgumentError, match=message), override(**changes):
        pass


@pytest.mark.parametrize("changes", [{"threads": 1.5}, {"debug": True}, {"cpu": ["native"]}])
def test_override_refuses_a_wrong_type(changes):
    with pytest.raises(ArgumentTypeError, match=r"parameter of override must be .* Got"):
        override(**changes).__enter__()


@pytest.mark.skipif(sys.platform != "linux", reason="the XDG folders are Linux's")
class TestDefaultFolders:
    def test_they_lie_in_the_home_folder(self, environment, tmp_path):
        environment.delenv("XDG_CACHE_HOME", raising=False)
        environment.delenv("XDG_DATA_HOME", raising=False)
        environment.setenv("HOME", str(tmp_path))
        assert settings().cache_dir == tmp_path / ".cache" / "convoi"
        assert settings().data_dir == tmp_path / ".local" / "share" / "convoi"

    def test_they_follow_the_xdg_variables(self, environment, tmp_path):
        environment.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        environment.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        assert settings().cache_dir == tmp_path / "cache" / "convoi"
        assert settings().data_dir == tmp_path / "data" / "convoi"

    def test_a_relative_xdg_variable_is_ignored(self, environment, tmp_path):
        environment.setenv("HOME", str(tmp_path))
        environment.setenv("XDG_CACHE_HOME", "cache")
        assert settings().cache_dir == tmp_path / ".cache" / "convoi"

    def test_a_tilde_is_the_home_folder(self, environment, tmp_path):
        environment.setenv("HOME", str(tmp_path))
        environment.setenv("CONVOI_CACHE_DIR", "~/code")
        assert settings().cache_dir == tmp_path / "code"

    def test_without_a_home_folder_code_is_kept_in_memory(self, environment):
        def no_home():
            raise RuntimeError

        environment.setenv("HOME", "/unknown")  # a value that no other test has parsed
        environment.setattr(Path, "home", no_home)
        assert settings().cache_dir is None
