from __future__ import annotations

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOI_CACHE_DIR", str(tmp_path))
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / f"ab{0:038}.o").write_bytes(b"0" * 1000)
    (tmp_path / "other.txt").touch()
    return tmp_path


def test_info_tells_how_much_code_there_is(convoi, folder):
    expected = {"folder": str(folder), "files": 1, "bytes": 1000, "limit": 10**9}
    assert convoi("cache", "info", "--json").json == expected
    assert convoi("cache", "info").out == f"{folder}: 1 files, 0.0 MB (at most 1000.0 MB)\n"


def test_info_tells_that_there_is_no_limit(convoi, monkeypatch, folder):
    monkeypatch.setenv("CONVOI_CACHE_SIZE", "unlimited")
    assert convoi("cache", "info").out == f"{folder}: 1 files, 0.0 MB (no limit)\n"
    assert convoi("cache", "info", "--json").json["limit"] is None


def test_trim_leaves_so_much(convoi, folder):
    assert convoi("cache", "trim", "1 kB", "--json").json["files"] == 0
    assert convoi("cache", "trim", "999").out == "Deleted 1 files, 0.0 MB\n"
    assert (folder / "other.txt").exists()


@pytest.mark.parametrize("size", ["much", "unlimited", "-1"])
def test_trim_wants_a_size(convoi, folder, size):
    result = convoi("cache", "trim", "--", size)
    assert result.code == 2
    assert "SIZE must be a size" in result.err
    assert (folder / "ab").is_dir()


def test_clear_deletes_the_code_and_nothing_else(convoi, folder):
    assert convoi("cache", "clear").out == "Deleted 1 files, 0.0 MB\n"
    assert convoi("cache", "info", "--json").json["files"] == 0
    assert (folder / "other.txt").exists()
    assert convoi("cache", "clear", "--json").json["files"] == 0


@pytest.mark.parametrize("action", [["info"], ["clear"], ["trim", "1 MB"]])
def test_there_may_be_no_folder(convoi, monkeypatch, action):
    monkeypatch.setenv("CONVOI_CACHE_DIR", "off")
    assert "in memory only" in convoi("cache", *action).out
    assert convoi("cache", *action, "--json").json["folder"] is None
