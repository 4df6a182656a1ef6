from __future__ import annotations

import json

import pytest

from convoi.compiler import tuning

CONV = ["two_conv", "--input-shape", "1x8x8"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch, tmp_path):
    monkeypatch.setenv("CONVOI_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "ROUNDS", 1)
    monkeypatch.setattr(tuning, "TURN_SECONDS", 0.0)


def test_winners_are_kept_and_cleared(convoi, tmp_path):
    report = convoi("tune", *CONV, "--json").json
    (file,) = (tmp_path / "cache").glob("tuning-*.json")
    assert report["file"] == str(file)
    kept = json.loads(file.read_text())["choices"]
    assert kept == {layer["signature"]: layer["best"] for layer in report["layers"]}
    assert convoi("tune", "--clear").out == f"Deleted {len(kept)} measured choices.\n"
    assert not file.exists()


def test_the_text_has_a_row_for_each_choice(convoi):
    lines = convoi("tune", *CONV).out.splitlines()
    assert lines[0].split()[:2] == ["layer", "pass"]
    assert lines[-1].startswith("Kept in ")


def test_nothing_is_kept_where_there_is_no_cache(convoi, monkeypatch):
    monkeypatch.setenv("CONVOI_CACHE_DIR", "off")
    assert "nothing is kept" in convoi("tune", *CONV).out


def test_a_folder_that_cannot_be_written_is_an_error_on_one_line(convoi, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONVOI_CACHE_DIR", str(tmp_path / "file" / "cache"))
    result = convoi("tune", *CONV)
    assert result.code == 1
    assert result.err.startswith("convoi: ")


def test_a_network_is_needed(convoi):
    result = convoi("tune")
    assert result.code == 2
    assert "--clear" in result.err
