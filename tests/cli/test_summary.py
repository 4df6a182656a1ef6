from __future__ import annotations

import pytest

from convoi.estimators import load_estimator
from convoi.nn import Network, networks


def test_a_model_file_is_summarised(convoi, model):
    report = convoi("summary", model, "--json").json
    network = load_estimator(model).network_
    assert report["input_shape"] == [1, 8, 8]
    assert report["output_shape"] == [2]
    assert report["parameters"] == sum(array.size for array in network.parameters.values())
    assert [layer["layer"] for layer in report["layers"]][:2] == ["Standardize", "Conv 3x3"]


def test_a_network_is_summarised_by_name(convoi):
    report = convoi("summary", "lenet5", "--input-shape", "1x28x28", "--json").json
    expected = Network(networks.lenet5(10), input_shape=(1, 28, 28)).summary(show=False)
    assert report["parameters"] == expected.parameters == 61_706
    assert report["multiply_adds"] == expected.multiply_adds


@pytest.mark.parametrize("shape", ["3x32x32", "3,32,32", "(3, 32, 32)"])
def test_a_shape_can_be_written_in_several_ways(convoi, shape):
    arguments = ["--input-shape", shape, "--outputs", "7", "--json"]
    report = convoi("summary", "resnet", *arguments).json
    assert report["input_shape"] == [3, 32, 32]
    assert report["output_shape"] == [7]


def test_the_text_has_a_row_for_each_layer_and_the_totals(convoi):
    lines = convoi("summary", "lenet5", "--input-shape", "1x28x28").out.splitlines()
    assert lines[0].split()[:4] == ["Name", "Layer", "Output", "Parameters"]
    first = ["0", "Conv", "5x5", "6x28x28", "156", "107,736", "117,600", "18.8", "kB", "10.4"]
    assert lines[1].split() == [*first, "5x5", "/", "1x1"]
    assert lines[13].split()[:4] == ["Total", "61,706", "412,960", "416,520"]
    assert "Input 1x28x28, output 10" in lines
    assert "61,706 trainable parameters, 0.2 MB" in lines


def test_times_and_memory_are_reported_if_asked(convoi):
    arguments = ["--input-shape", "1x28x28", "--batch-size", "3", "--measure", "--json"]
    report = convoi("summary", "lenet5", *arguments).json
    assert report["memory"]["prediction"]["batch_size"] == 3
    assert report["layers"][3]["fraction_of_peak"] > 0
    assert report["layers"][3]["receptive_field"]["size"] == [14, 14]


def test_a_shape_that_does_not_fit_is_an_error(convoi):
    result = convoi("summary", "lenet5", "--input-shape", "1x4x4")
    assert result.code == 1
    assert result.err.startswith("convoi: ")
