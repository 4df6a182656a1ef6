"""The CPU that code is generated for."""

from __future__ import annotations

import platform

import pytest

from convoi.codegen import target as targets
from convoi.codegen.target import Target, current_target
from convoi.config import override
from convoi.errors import ArgumentError
from tests.kernels.harness import ALL_TARGETS, target_named


@pytest.mark.parametrize(("cpu", "lanes"), list(zip(ALL_TARGETS, [4, 8, 16], strict=True)))
def test_a_forced_target_has_the_lanes_of_its_level(cpu: str, lanes: int) -> None:
    target = target_named(cpu)
    assert (target.lanes("float32"), target.lanes("float64")) == (lanes, lanes // 2)


def test_layers_may_use_narrower_vectors_down_to_16_bytes() -> None:
    target = Target("x86_64-linux", "any", "", 64, 32)
    assert target.widths("float32") == (16, 8, 4)
    assert target.widths("float64") == (8, 4, 2)


def test_the_native_target_is_this_cpu() -> None:
    with override(cpu="native"):
        target = current_target()
    assert target.cpu
    assert target.lanes("float32") >= 4


@pytest.mark.parametrize(
    ("features", "vectors"),
    [
        ({"avx512f": True, "avx2": True, "fma": True}, (64, 32)),
        ({"avx2": True, "fma": True}, (32, 16)),
        ({"avx2": True}, (16, 16)),
        ({}, (16, 16)),
    ],
)
def test_vectors_follow_from_the_features_of_the_cpu(
    features: dict[str, bool], vectors: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert targets._host_vectors(features) == vectors


def test_neon_has_short_vectors_and_many_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert targets._host_vectors({"neon": True}) == (16, 32)


def test_a_level_that_the_cpu_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(targets, "_host_vectors", lambda _: (32, 16))
    with pytest.raises(ArgumentError, match=r"needs vectors of 64 bytes.* has 32\. Choose a lower"):
        targets._target.__wrapped__("x86-64-v4")


def test_a_level_of_another_architecture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(ArgumentError, match=r"this machine is a aarch64\. Unset it"):
        targets._target.__wrapped__("x86-64-v3")


@pytest.mark.parametrize(
    ("triple", "is_x86", "is_aarch64"),
    [
        ("x86_64-unknown-linux-gnu", True, False),
        ("aarch64-unknown-linux-gnu", False, True),
        ("arm64-apple-darwin", False, True),
        ("riscv64-unknown-linux-gnu", False, False),
    ],
)
def test_a_target_knows_its_architecture(triple: str, is_x86: bool, is_aarch64: bool) -> None:
    target = Target(triple, "any", "", 16, 32)
    assert (target.is_x86, target.is_aarch64) == (is_x86, is_aarch64)
