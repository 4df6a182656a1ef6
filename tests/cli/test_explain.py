from __future__ import annotations

from convoi.nn import Network, networks


def test_a_network_is_explained_by_name(convoi):
    report = convoi("explain", "two_conv", "--input-shape", "1x28x28", "--json").json
    network = Network(networks.two_conv(10), input_shape=(1, 28, 28))
    assert report == network.explain(show=False).as_dict()


def test_the_text_has_a_row_for_each_kernel(convoi):
    arguments = ("two_conv", "--input-shape", "1x28x28", "--training", "--batch-size", "32")
    lines = convoi("explain", *arguments).out.splitlines()
    assert lines[0].split()[:4] == ["segment", "layer", "kernel", "form"]
    assert any("FastWeightGradient" in line for line in lines)
    assert "A batch of 32" in " ".join(lines)
