from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from convoi.nn.atomic_file import remove_remains, write_atomically


def test_a_new_file_has_the_content_and_usual_permissions(tmp_path):
    path = tmp_path / "new"
    usual = tmp_path / "usual"
    usual.touch()
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode == usual.stat().st_mode


def test_an_old_file_is_replaced_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "old"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_atomically(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege there")
def test_a_symbolic_link_stays_one(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_an_error_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "old"
    path.write_bytes(b"old")

    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", b"")


def test_the_remains_of_killed_writers_are_removed_and_nothing_else(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", Mock(side_effect=Killed))
        patch.setattr(Path, "unlink", Mock())
        for name in ("file", "file.other"):
            with pytest.raises(Killed):
                write_atomically(tmp_path / name, b"content")
    (tmp_path / "file").touch()
    (tmp_path / ".file.part").touch()
    remains = {path.name for path in tmp_path.iterdir()}

    remove_remains(tmp_path / "file")
    kept = {path.name for path in tmp_path.iterdir()}
    assert len(remains - kept) == 1
    assert {"file", ".file.part"} < kept
    assert any(name.startswith(".file.other.") for name in kept)


def test_there_may_be_no_remains_and_no_folder(tmp_path):
    remove_remains(tmp_path / "missing" / "file")
    assert list(tmp_path.iterdir()) == []
