"""What is said about the kernels of a network is what the program consists of."""

from __future__ import annotations

import io

import pytest

from convoi import Network, nn
from convoi.codegen.target import current_target
from convoi.compiler import InferenceProgram
from convoi.errors import ArgumentError, ArgumentTypeError


def network(**options):
    layers = nn.Sequential(
        nn.Conv(16, 3, padding="same"), nn.BatchNorm(), nn.ReLU(),
        nn.Conv(16, 3, padding="same"), nn.ReLU(),
        nn.Conv(16, 3, stride=2), nn.Conv(16, 3, groups=2), nn.Conv(24, 1),
        nn.GlobalAveragePool(), nn.Dense(10),
    )  # fmt: skip
    return Network(layers, (3, 16, 16), random_state=0, **options)


def by_layer(explanation):
    return {kernel.layer: kernel for kernel in explanation.kernels}


def test_the_kernels_are_those_of_the_program():
    explained = network().explain(show=False)
    calls = InferenceProgram(network().graph)._compiled.plan.calls
    names = [(call.label, call.kernel) for call in calls if not call.label.startswith("clear ")]
    assert [(kernel.layer, kernel.kernel) for kernel in explained.kernels] == names


def test_convolutions_have_form_tile_lanes_fusions_and_costs():
    kernels = by_layer(network().explain(show=False))
    fast = kernels["4"]
    assert fast.kernel == "FastCorrelate"
    assert fast.form == min((name for name in fast.costs if name != "direct"), key=fast.costs.get)
    assert fast.fused == ("ReLU",)
    assert fast.lanes == min(16, current_target().lanes("float32"))
    assert f"{fast.form} costs" in fast.reason
    direct = kernels["5"]
    assert direct.form is None
    assert direct.reason == "direct for a stride"
    tiles = [name for name in direct.costs if name.startswith("tile ")]
    assert f"tile {direct.tile}" == tiles[0] == min(direct.costs, key=direct.costs.get)


@pytest.mark.parametrize(
    ("layer", "words"),
    [("2", "fewer than 5 channels"), ("6", "groups"), ("7", "one tap"), ("9", "one tap")],
)
def test_the_reason_for_a_direct_kernel_is_given(layer, words):
    assert words in by_layer(network().explain(show=False))[layer].reason


def test_high_precision_is_a_reason():
    kernel = by_layer(network(precision="high").explain(show=False))["4"]
    assert (kernel.form, kernel.reason) == (None, "direct for precision='high'")


def test_training_has_all_passes():
    found = network().explain(show=False, training=True, batch_size=64).kernels
    kinds = {kernel.kernel for kernel in found}
    assert {"FastCorrelate", "FastWeightGradient", "WeightGradient"} <= kinds
    pack = next(kernel for kernel in found if kernel.layer == "pack")
    assert pack.convoys == -(-64 // pack.convoy)


def test_parts_are_those_that_threads_share():
    layers = nn.Sequential(nn.Conv(32, 3), nn.ReLU(), nn.GlobalAveragePool(), nn.Dense(2))
    large = Network(layers, (16, 32, 32), threads=2)
    explained = large.explain(show=False)
    calls = InferenceProgram(large.graph)._compiled.plan.calls
    shares = {c.label: min(c.units, c.shares) for c in calls if not c.clears}
    assert {kernel.layer: kernel.parts for kernel in explained.kernels} == shares
    assert max(shares.values()) > 1
    assert min(shares.values()) == 1
    notes = " ".join(explained.notes())
    divided = sum(parts > 1 for parts in shares.values())
    assert f"{divided} of {len(shares)} kernels are" in notes
    whole = [layer for layer, parts in shares.items() if parts == 1]
    assert f"gain nothing: {', '.join(whole)}." in notes
    assert [row[-1] for row in explained.rows()] == [str(min(2, p)) for p in shares.values()]


@pytest.mark.parametrize(
    ("options", "training", "words"),
    [({"threads": 1}, False, "one thread predicts"), ({"threads": 2}, True, "in training")],
)
def test_it_is_said_where_nothing_is_divided(options, training, words):
    explained = network(**options).explain(show=False, training=training)
    assert words in explained.notes()[-1]
    assert {row[-1] for row in explained.rows()} == {"1"}


def test_the_table_is_printed(capsys):
    explained = network().explain()
    assert "FastCorrelate" in capsys.readouterr().out
    text = io.StringIO()
    explained.show(text)
    assert all(note in text.getvalue().replace("\n", " ") for note in explained.notes()[:1])
    assert repr(explained).endswith("kernels of predictions>")


def test_arguments_are_checked():
    with pytest.raises(ArgumentError, match="batch_size"):
        network().explain(batch_size=0)
    with pytest.raises(ArgumentTypeError, match="training"):
        network().explain(training=1)
