"""The store of machine code: what is found again, and what counts as absent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from convoi.config import override
from convoi.runtime import object_store
from convoi.runtime.object_store import (
    JOURNAL,
    clear_store,
    read_object,
    store_info,
    trim_store,
    write_object,
)

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
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {f"{KEY}.o", JOURNAL}


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
    left_over = folder / "00" / f"{keys[0]}.interrupted.part"
    left_over.write_bytes(b"half")
    info = store_info()
    assert (info.folder, info.files) == (folder, 3)
    assert info.bytes == 3 * (len(CODE) + object_store.DIGEST_BYTES)
    assert clear_store() == info
    assert store_info().files == 0
    assert not left_over.exists()
    assert read_object(keys[0]) is None


# The limit ----------------------------------------------------------------------------------------

SIZE = len(CODE) + object_store.DIGEST_BYTES


def keys(count: int) -> list[str]:
    return [f"{i:02x}" + "0" * 38 for i in range(count)]


def write_old(folder: Path, names: list[str]) -> None:
    """Write code that was used in this order, long ago."""
    for i, key in enumerate(names):
        write_object(key, CODE)
        os.utime(file_of(folder, key), (1000 + i, 1000 + i))


def left(names: list[str]) -> list[int]:
    return [i for i, key in enumerate(names) if read_object(key) is not None]


def test_what_was_used_longest_ago_goes_first(folder: Path) -> None:
    names = keys(6)
    write_old(folder, names)
    assert read_object(names[0]) == CODE
    assert trim_store(3 * SIZE).files == 3
    assert left(names) == [0, 4, 5]


@pytest.mark.usefixtures("folder")
def test_the_folder_never_exceeds_its_limit() -> None:
    with override(cache_size=10 * SIZE):
        for key in keys(40):
            write_object(key, CODE)
            assert 0 < store_info().bytes <= 10 * SIZE
            assert read_object(key) == CODE


def test_a_folder_that_is_too_large_from_the_start_is_trimmed(folder: Path) -> None:
    names = keys(12)
    write_old(folder, names)
    (folder / JOURNAL).unlink()
    with override(cache_size=5 * SIZE):
        write_object("ff" + "0" * 38, CODE)
        assert left(names) == [9, 10, 11]


def test_without_a_limit_nothing_goes(folder: Path) -> None:
    with override(cache_size="unlimited"):
        write_old(folder, keys(20))
        assert len(left(keys(20))) == 20


@pytest.mark.usefixtures("folder")
def test_code_larger_than_the_limit_is_not_kept() -> None:
    with override(cache_size=1):
        write_object(KEY, CODE)
        assert store_info().files == 0


def test_files_of_others_are_left_alone(folder: Path) -> None:
    for name in ("ab/main.o", "ab/other.part", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(CODE)
    write_object(KEY, CODE)
    assert trim_store(0).files == 1
    clear_store()
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {
        "main.o", "other.part", "notes.txt"
    }  # fmt: skip


@pytest.mark.usefixtures("folder")
def test_code_in_a_folder_that_is_read_only_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Read-only file system")

    write_object(KEY, CODE)
    monkeypatch.setattr(object_store.os, "utime", refuse)
    assert read_object(KEY) == CODE


# Several processes --------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from convoi.runtime.object_store import write_object
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_object(sys.argv[1], bytes(10000))
"""


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_that_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVOI_CACHE_DIR", str(folder))
    killed = subprocess.run([sys.executable, "-c", KILLED, KEY], check=False)
    assert killed.returncode == -signal.SIGKILL
    (half,) = folder.rglob("*.part")
    assert read_object(KEY) is None
    write_object(KEY, CODE)
    assert read_object(KEY) == CODE
    trim_store(10**9)
    assert half.exists()  # somebody may still be writing it
    os.utime(half, (1000, 1000))
    trim_store(10**9)
    assert not half.exists()


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


LIMITED = """
import sys
from convoi.runtime.object_store import read_object, store_info, write_object
for i in range(100):
    key = f"{i * int(sys.argv[1]) % 256:02x}" + "0" * 38
    write_object(key, bytes([i]) * 10000)
    assert read_object(key) in {None, bytes([i]) * 10000}
"""


def test_processes_that_make_room_at_once_do_not_disturb_each_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVOI_CACHE_DIR", str(folder))
    monkeypatch.setenv("CONVOI_CACHE_SIZE", "200 kB")
    writers = [
        subprocess.Popen([sys.executable, "-c", LIMITED, step], stderr=subprocess.PIPE)
        for step in ("1", "1")
    ]
    errors = [writer.communicate()[1].decode() for writer in writers]
    assert errors == ["", ""]
    # The last file of each may come while the other one looks.
    assert 0 < store_info().bytes <= 200_000 + 20_000
