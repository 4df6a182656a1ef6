from __future__ import annotations

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOI_CACHE_DIR", str(tmp_path))
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "ab12.o").write_bytes(b"0" * 1000)
    (tmp_path / "other.txt").touch()
    return tmp_path


def test_info_tells_how_much_code_there_is(convoi, folder):
    expected = {"folder": str(folder), "files": 1, "bytes": 1000}
    assert convoi("cache", "info", "--json").json == expected
    assert convoi("cache", "info").out == f"{folder}: 1 files, 0.0 MB\n"


def test_clear_deletes_the_code_and_nothing_else(convoi, folder):
    assert convoi("cache", "clear").out == "Deleted 1 files, 0.0 MB\n"
    assert convoi("cache", "info", "--json").json["files"] == 0
    assert (folder / "other.txt").exists()
    assert convoi("cache", "clear", "--json").json["files"] == 0


@pytest.mark.parametrize("action", ["info", "clear"])
def test_there_may_be_no_folder(convoi, monkeypatch, action):
    monkeypatch.setenv("CONVOI_CACHE_DIR", "off")
    assert "in memory only" in convoi("cache", action).out
    assert convoi("cache", action, "--json").json["folder"] is None
