"""The store of machine code: what is found again, and what counts as absent."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from convoi.config import override
from convoi.runtime import object_store
from convoi.runtime.object_store import clear_store, read_object, store_info, write_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "ab" + "0" * 38
CODE = b"\x7fELF" + bytes(range(256)) * 20


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with override(cache_dir=tmp_path / "cache"):
        yield tmp_path / "cache"


def file_of(folder: Path, key: str = KEY) -> Path:
    return folder / key[:2] / f"{key}.o"


def test_what_was_written_is_read(folder: Path) -> None:
    assert read_object(KEY) is None
    write_object(KEY, CODE)
    assert read_object(KEY) == CODE
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [f"{KEY}.o"]


def damage_nothing_left(path: Path) -> None:
    path.write_bytes(b"")


def damage_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def damage_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)


def damage_digest(path: Path) -> None:
    path.write_bytes(b"?" * 16 + path.read_bytes()[16:])


def damage_longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def damage_other_key(path: Path) -> None:
    other = "ab" + "1" * 38
    write_object(other, CODE)
    shutil.copy(path.with_name(f"{other}.o"), path)


DAMAGES = [
    damage_nothing_left,
    damage_truncated,
    damage_one_bit,
    damage_digest,
    damage_longer,
    damage_other_key,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__.removeprefix("damage_"))
def test_a_damaged_file_counts_as_absent_and_is_replaced(damage, folder: Path) -> None:
    write_object(KEY, CODE)
    damage(file_of(folder))
    assert read_object(KEY) is None
    write_object(KEY, CODE)
    assert read_object(KEY) == CODE


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with override(cache_dir=tmp_path / "file" / "cache"):
        write_object(KEY, CODE)
        assert read_object(KEY) is None
        assert store_info().files == 0
        assert clear_store().files == 0


def test_a_folder_in_the_place_of_a_file_is_no_error(folder: Path) -> None:
    file_of(folder).mkdir(parents=True)
    write_object(KEY, CODE)
    assert read_object(KEY) is None
    assert not list(folder.rglob("*.part"))


def test_a_disk_that_is_full_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(object_store.os, "fdopen", full)
    write_object(KEY, CODE)
    monkeypatch.undo()
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_switched_off_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with override(cache_dir="off"):
        write_object(KEY, CODE)
        assert read_object(KEY) is None
        assert store_info() == clear_store()
        assert store_info().folder is None
    assert list(tmp_path.iterdir()) == []


def test_info_counts_and_clear_deletes(folder: Path) -> None:
    keys = [f"{i:02x}" + "0" * 38 for i in range(3)]
    for key in keys:
        write_object(key, CODE)
    left_over = folder / "00" / "interrupted.part"
    left_over.write_bytes(b"half")
    info = store_info()
    assert (info.folder, info.files) == (folder, 3)
    assert info.bytes == 3 * (len(CODE) + object_store.DIGEST_BYTES)
    assert clear_store() == info
    assert store_info().files == 0
    assert not left_over.exists()
    assert read_object(keys[0]) is None


WRITER = """
import sys
from convoi.runtime.object_store import read_object, write_object
key, code = sys.argv[1], bytes.fromhex(sys.argv[2]) * 3000
for _ in range(200):
    write_object(key, code)
    found = read_object(key)
    assert found is not None and len(set(found[i:i + 4] for i in range(0, len(found), 4))) == 1
"""


def test_processes_that_write_at_once_never_see_half_a_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVOI_CACHE_DIR", str(folder))
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, KEY, code], stderr=subprocess.PIPE)
        for code in ("01020304", "0a0b0c0d")
    ]
    errors = [writer.communicate()[1].decode() for writer in writers]
    assert errors == ["", ""]
    assert read_object(KEY) in {bytes.fromhex(code) * 3000 for code in ("01020304", "0a0b0c0d")}
