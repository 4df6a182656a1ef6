"""From a kernel to its address: generated once, stored, found again."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convoi.codegen.target import current_target
from convoi.codegen.types import I64
from convoi.config import override
from convoi.kernels import base
from convoi.kernels.base import Kernel, kernel_address
from convoi.runtime.linker import Linker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Value
    from convoi.kernels.base import CallArguments

CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


@dataclass(frozen=True)
class Store(Kernel):
    """Store first + 10 * count + 100 * fresh + a number."""

    number: int
    arguments = ("output",)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        total = f.add(call.first, f.mul(call.count, 10))
        total = f.add(total, f.mul(call.fresh, 100))
        f.store(f.value(f.add(total, self.number)), f.at(pointers[0], 0, I64))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep machine code in a folder of the test, in a process that has loaded none."""
    new_process(monkeypatch)
    with override(cache_dir=tmp_path):
        yield tmp_path


def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "LINKER", Linker())


def never(*_: object) -> bytes:
    pytest.fail("machine code was generated again")


def stored(number: int) -> int:
    output = np.zeros(1, np.int64)
    pointers = (ctypes.c_void_p * 1)(output.ctypes.data)
    CALL(kernel_address(Store(number), current_target()))(ctypes.addressof(pointers), 3, 2, 1)
    return int(output[0])


@pytest.mark.usefixtures("folder")
def test_a_kernel_gets_its_pointers_and_integers() -> None:
    assert stored(5000) == 5123


def test_a_kernel_is_generated_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(1)
    assert len(list(folder.glob("??/*.o"))) == 1
    monkeypatch.setattr(base, "assemble", never)
    assert stored(1) == 124
    new_process(monkeypatch)
    assert stored(1) == 124


def test_damaged_machine_code_is_generated_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(1)
    (file,) = folder.glob("??/*.o")
    content = file.read_bytes()
    file.write_bytes(content[:100])
    new_process(monkeypatch)
    assert stored(1) == 124
    assert len(file.read_bytes()) == len(content)
    new_process(monkeypatch)
    monkeypatch.setattr(base, "assemble", never)
    assert stored(1) == 124


def test_without_a_folder_kernels_work_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_process(monkeypatch)
    (tmp_path / "file").touch()
    for cache in ("off", tmp_path / "file" / "cache"):
        with override(cache_dir=cache):
            assert stored(2) == 125
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("folder")
def test_what_differs_has_another_address() -> None:
    target = current_target()

    @dataclass(frozen=True)
    class Other(Store):
        pass

    Other.__qualname__ = Store.__qualname__
    Other.__module__ = "another.module"
    assert repr(Other(1)) == repr(Store(1))
    addresses = {
        kernel_address(Store(1), target),
        kernel_address(Store(2), target),
        kernel_address(Other(1), target),
        kernel_address(Store(1), replace(target, features=target.features + ",+sse2")),
    }
    assert len(addresses) == 4
    assert kernel_address(Store(1), target) in addresses


NETWORK = """
import numpy as np
from convoi import Network, nn
layers = nn.Sequential(nn.Conv(8, 3), nn.ReLU(), nn.GlobalAveragePool(), nn.Dense(3))
network = Network(layers, (2, 9, 9), random_state=0, threads=1)
X = np.random.default_rng(0).standard_normal((5, 2, 9, 9)).astype("float32")
"""
COMPILE = f"""
import sys
{NETWORK}
print("ready", flush=True)
sys.stdin.readline()
print(network(X).tobytes().hex())
"""


def test_processes_that_compile_a_network_at_once_compute_what_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVOI_CACHE_DIR", str(tmp_path))
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", COMPILE]
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    found = [process.communicate("\n")[0].strip() for process in processes]
    names: dict[str, Any] = {}
    exec(NETWORK, names)  # noqa: S102 - the text of this test
    with override(cache_dir="off"):
        expected = names["network"](names["X"])
    assert found == [expected.tobytes().hex()] * 2
    assert len(list(tmp_path.glob("??/*.o"))) > 3
    assert not list(tmp_path.rglob("*.part"))
