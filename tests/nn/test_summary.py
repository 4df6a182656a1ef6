from __future__ import annotations

import io

import pytest

from convoi import Network, nn
from convoi.nn import LayerSummary

LAYERS = nn.Sequential(
    nn.Conv(8, (3, 2), stride=2, groups=2),
    nn.BatchNorm(),
    nn.MaxPool(3, stride=1),
    nn.Flatten(),
    nn.Dense(10, bias=False),
)


@pytest.fixture(scope="module")
def network():
    return Network(LAYERS, input_shape=(4, 9, 10), random_state=0)


def test_a_record_has_the_counts_of_its_layer(network):
    summary = network.summary(show=False)
    assert summary.layers == (
        LayerSummary("0", "Conv 3x2, stride 2x2, 2 groups", (8, 4, 5), 8 * 12 + 8, 96 * 20),
        LayerSummary("1", "BatchNorm", (8, 4, 5), 32, summary.layers[1].multiply_adds),
        LayerSummary("2", "MaxPool 3x3, stride 1x1", (8, 2, 3), 0, 0),
        LayerSummary("3", "Flatten", (48,), 0, 0),
        LayerSummary("4", "Dense", (10,), 480, 480),
    )


def test_the_totals_are_those_of_the_records(network):
    summary = network.summary(show=False)
    assert summary.parameters == sum(layer.parameters for layer in summary) == 616
    assert summary.trainable == summary.parameters - 16
    assert summary.multiply_adds == sum(layer.multiply_adds for layer in summary)
    assert summary.parameter_bytes == 4 * summary.parameters
    assert len(summary) == 5


def test_the_table_shows_every_layer_and_the_totals(network):
    text = io.StringIO()
    network.summary(show=False).show(text)
    lines = text.getvalue().splitlines()
    assert any("Conv 3x2" in line and "(8, 4, 5)" in line and "104" in line for line in lines)
    assert any("Total" in line and "616" in line for line in lines)
    assert "600 trainable parameters, 2.5 kB" in lines[-1]


def test_summary_prints_the_table(network, capsys):
    network.summary()
    assert "Total" in capsys.readouterr().out


def test_summary_is_silent_if_asked(network, capsys):
    network.summary(show=False)
    assert capsys.readouterr().out == ""


def test_the_repr_is_one_line(network):
    assert repr(network.summary(show=False)).startswith("<NetworkSummary: 5 layers, 616 parameters")
