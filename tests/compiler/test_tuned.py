"""Measured choices: kept in a file, used when they are there, harmless when it is damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from convoi import Network, config, nn
from convoi.codegen.target import current_target
from convoi.compiler import tuning
from convoi.compiler.choose_fast import DIRECT, gradient_signature
from convoi.compiler.convoys import convoy_signature
from convoi.compiler.pipeline import compile_inference, compile_training
from convoi.compiler.tuned import (
    clear_choices,
    forced,
    store_choices,
    stored_choices,
    tuning_file,
)
from convoi.compiler.tuning import tune
from convoi.compiler.tuning_programs import WholePrograms
from convoi.ops import CrossEntropy

SHAPE = (8, 12, 12)


@pytest.fixture(autouse=True)
def _folder(tmp_path):
    with config.override(cache_dir=tmp_path):
        yield


def network():
    layers = nn.Sequential(nn.Conv(8, 3, padding="same"), nn.ReLU(), nn.Conv(16, 1))
    return Network(layers, SHAPE, random_state=0)


def kernels(network, *, training=False):
    """Return form and tile of each kernel of a network."""
    found = network.explain(show=False, training=training).kernels
    return {kernel.layer: kernel.form or kernel.tile for kernel in found}


def signature(prefix):
    return next(f.signature for f in tune(network().graph) if f.signature.startswith(prefix))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(tuning, "ROUNDS", 1)
    monkeypatch.setattr(tuning, "TURN_SECONDS", 0.0)


@pytest.mark.usefixtures("quick")
def test_each_choice_of_each_layer_is_measured():
    found = list(tune(network().graph, training=True))
    assert [(each.layer, each.part, each.signature.split()[0]) for each in found] == [
        ("0", "forward", "form"),
        ("2", "forward", "tile"),
        ("2", "backward", "tile"),
        ("0", "weights", "weights"),
        ("pack to output", "predict", "convoy"),
        ("pack to prediction", "train", "convoy"),
    ]
    for each in found:
        assert {each.model, each.best} <= set(each.seconds)
        assert len(each.seconds) > 1
        assert each.gain >= 1


@pytest.mark.usefixtures("quick")
def test_a_stored_choice_is_used_until_it_is_cleared_or_switched_off():
    before = kernels(network())
    assert before["1"] != DIRECT
    name = signature("form")
    store_choices({name: DIRECT})
    after = kernels(network())
    assert after["1"] not in {"F(4,3)", "F(2,3)", "F(5,3)"}
    with config.override(tune="off"):
        assert kernels(network()) == before
    assert clear_choices() == 1
    assert kernels(network()) == before


@pytest.mark.usefixtures("quick")
def test_each_candidate_is_what_is_compiled_when_it_is_chosen():
    before = kernels(network())["2"]
    found = next(found for found in tune(network().graph) if found.layer == "2")
    assert len(found.seconds) > 1
    for candidate in found.seconds:
        store_choices({found.signature: candidate})
        assert kernels(network())["2"] == candidate
    clear_choices()
    assert kernels(network())["2"] == before


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("training", [False, True])
def test_networks_compute_the_same_with_any_choice(training):
    X = np.random.default_rng(0).standard_normal((5, *SHAPE), np.float32)
    exact = Network(network().graph, dtype="float64", parameters=network().parameters)
    for found in tune(network().graph, training=training):
        for candidate in found.seconds if found.part != "train" else ():
            with forced({found.signature: candidate}):
                np.testing.assert_allclose(network()(X), exact(X), atol=2e-5)


def deep(**options):
    layers = nn.Sequential(
        nn.Conv(16, 3, padding="same"), nn.BatchNorm(), nn.ReLU(), nn.Conv(16, 3), nn.ReLU(),
        nn.GlobalAveragePool(), nn.Dense(3),
    )  # fmt: skip
    return Network(layers, SHAPE, random_state=0, **options)


@pytest.mark.usefixtures("quick")
def test_gradients_of_weights_and_convoys_are_measured_and_used():
    found = list(tune(deep().graph, training=True))
    assert {each.part for each in found} == {"forward", "backward", "weights", "predict", "train"}
    best = {each.signature: each.best for each in found}
    weights = next(each for each in found if each.part == "weights")
    assert set(weights.seconds) == {weights.model, DIRECT}
    convoys = [each.signature for each in found if each.part == "train"]
    assert len(set(convoys)) == len(convoys) > 1

    store_choices({**best, **dict.fromkeys(convoys, "5")})
    explained = deep().explain(show=False, training=True)
    assert {k.convoy for k in explained.kernels if "convoy" in k.measured} == {5}
    assert explained.notes()[-1].startswith("Measured on this machine, by convoi tune: the convoy")
    store_choices({weights.signature: DIRECT})
    kernel = by_layer(deep(), training=True)[f"{weights.layer}/conv_backward_weight"]
    assert (kernel.kernel, kernel.reason) == ("WeightGradient", "measured to be the quickest")
    assert "form" in kernel.measured
    with config.override(tune="off"):
        assert {kernel.measured for kernel in by_layer(deep(), training=True).values()} == {()}


@pytest.mark.usefixtures("quick")
def test_a_segment_that_gains_nothing_by_cuts_is_left_whole():
    layers = nn.Sequential(nn.Conv(16, 1), nn.MaxPool(5, stride=4), nn.Flatten(), nn.Dense(128))
    network = Network(layers, (4, 49, 49), random_state=0)

    def segments():
        kernels = network.explain(show=False).kernels
        return {kernel.segment for kernel in kernels}, {
            name for k in kernels for name in k.measured
        }

    count, measured = segments()
    assert (len(count) > 1, measured) == (True, set())
    (cuts,) = WholePrograms(network.graph, "float32", 1).cuts(training=False)
    assert (set(cuts.seconds), cuts.model) == ({"cut", "uncut"}, "cut")
    store_choices({cuts.signature: "uncut"})
    assert segments() == ({0}, {"cuts"})


def test_gradients_are_the_same_with_other_choices():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((21, *SHAPE), np.float32), rng.integers(3, size=21)
    loss, exact = deep(dtype="float64").loss_and_gradients(X, y)
    forms = {weights_signature(): DIRECT}
    with forced(forms):
        choices = dict.fromkeys(convoys(deep(), training=True), "7")
        with forced(choices):
            value, gradients = deep().loss_and_gradients(X, y)
    assert value == pytest.approx(loss, rel=1e-5)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, exact[name], atol=2e-5)


def by_layer(network, *, training):
    return {k.layer: k for k in network.explain(show=False, training=training).kernels}


def weights_signature():
    """Return the signature of the gradient of the weights of the second convolution."""
    conv, shape = deep().graph.node("3").op, deep().graph.shape("2")
    form = by_layer(deep(), training=False)["4"].form
    return gradient_signature(conv, shape, form)


@pytest.mark.parametrize("size", ["0", "-3", "65", "many", "\u0663", "1" * 5000])
def test_a_convoy_that_may_not_be_is_passed_over(size):
    before = [k.convoy for k in deep().explain(show=False).kernels]
    with forced(dict.fromkeys(convoys(deep()), size)):
        assert [k.convoy for k in deep().explain(show=False).kernels] == before


def convoys(network, *, training=False):
    """Return the signatures of a network's segments."""
    graph, dtype, target = network.graph, "float32", current_target()
    if training:
        loss = CrossEntropy()
        compiled = compile_training(graph, loss, dtype, target, augment=False, link=False)
    else:
        compiled = compile_inference(graph, dtype, target, link=False)
    return [convoy_signature(steps.steps) for steps in compiled.memory.steps]


def test_the_choice_is_explained():
    store_choices({"form 8>8 [12, 12] kernel [3, 3] from [-1, -1]": "F(2,3)"})
    kernel = next(k for k in network().explain(show=False).kernels if k.layer == "1")
    assert (kernel.form, kernel.reason) == ("F(2,3)", "measured to be the quickest")


def test_choices_are_added_to_those_that_are_there():
    store_choices({"a": "1", "b": "2"})
    store_choices({"b": "3"})
    assert dict(stored_choices()) == {"a": "1", "b": "3"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": 2, "choices": {"a": "1"}}',
        b'{"format": 1, "choices": [1]}',
        b'{"format": 1, "choices": {"a": 1}}',
    ],
)
def test_a_damaged_file_holds_nothing_and_is_replaced(content):
    path = tuning_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    assert dict(stored_choices()) == {}
    kernels(network())
    store_choices({"a": "1"})
    assert json.loads(path.read_text())["choices"] == {"a": "1"}


def test_a_choice_that_is_no_candidate_is_passed_over():
    before = kernels(network())
    store_choices({"form 8>8 [12, 12] kernel [3, 3] from [-1, -1]": "F(9,9)"})
    assert kernels(network()) == before


def test_a_folder_that_cannot_be_read_is_no_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with config.override(cache_dir=blocked / "folder"):
        assert dict(stored_choices()) == {}
        assert clear_choices() == 0
        with pytest.raises(OSError, match="file"):
            store_choices({"a": "1"})


def test_nothing_is_kept_without_a_folder():
    with config.override(cache_dir="off"):
        assert tuning_file() is None
        assert store_choices({"a": "1"}) is None
        assert dict(stored_choices()) == {}


def test_each_processor_has_its_own_choices():
    store_choices({"a": "1"})
    other = "x86-64-v3" if config.cpu() == "x86-64-v2" else "x86-64-v2"
    with config.override(cpu=other):
        assert dict(stored_choices()) == {}
