"""The peers' networks, as far as they can be built without the peers."""

from __future__ import annotations

import numpy as np
import pytest

from bench.ncnn_model import build_ncnn
from bench.networks import COMPARISONS
from bench.options import parse
from bench.peers import PEERS, PYTORCH
from bench.workloads import CORE, WORKLOADS
from convoi import Network, nn
from convoi.graph.serialize import graph_to_dict


def ncnn_lines(layers: nn.Layer, input_shape: tuple[int, ...]):
    network = Network(layers, input_shape, random_state=0)
    model = build_ncnn(graph_to_dict(network.graph), network.parameters)
    magic, counts, *lines = model.param.splitlines()
    assert magic == "7767517"
    assert counts == f"{len(lines)} {model.blobs}"
    return network, model, [line.split() for line in lines]


def blobs(fields):
    inputs, outputs = int(fields[2]), int(fields[3])
    names = fields[4 : 4 + inputs + outputs]
    return names[:inputs], names[inputs:]


@pytest.mark.parametrize("workload", WORKLOADS[:6], ids=lambda workload: workload.name)
def test_each_value_of_an_ncnn_model_is_made_once_and_read_once(workload):
    _, model, lines = ncnn_lines(workload.layers, workload.input_shape)
    made = [name for fields in lines for name in blobs(fields)[1]]
    read = [name for fields in lines for name in blobs(fields)[0]]
    assert len(made) == len(set(made)) == model.blobs
    assert sorted(read) == sorted(set(made) - {"y"})


def test_ncnn_gets_norms_folded_into_convolutions():
    layers = nn.Sequential(nn.Conv(4, 3, bias=False), nn.BatchNorm(), nn.ReLU())
    network, model, lines = ncnn_lines(layers, (2, 8, 8))
    assert [fields[0] for fields in lines] == ["Input", "Convolution", "ReLU"]
    numbers = np.frombuffer(b"".join(model.weights)[4:], "<f4")
    scale = 1 / np.sqrt(1 + 1e-5)  # what a new norm does
    weight = network.parameters["0.weight"].ravel()
    np.testing.assert_allclose(numbers, [*(weight * scale), 0, 0, 0, 0], rtol=1e-6)


def test_peers_take_what_they_can_do():
    by_key = {peer.key: peer for peer in PEERS}
    assert set(by_key) == {"pytorch", "onnxruntime", "openvino", "ncnn", "jax"}
    assert by_key["ncnn"].takes("inference", 1)
    assert not by_key["ncnn"].takes("inference", 8)
    assert not by_key["openvino"].takes("training", 8)
    assert PYTORCH.takes("training", 64)


def test_large_networks_are_measured_in_small_batches_only():
    large = [workload for workload in WORKLOADS if workload.most_samples is not None]
    assert large
    for workload in large:
        measures = {n: m for n, m in COMPARISONS.items() if workload in m.workloads}
        measured = {name for name, measure in measures.items() if measure.takes(workload)}
        assert measured == {"inference-8", "latency"}


def test_local_layers_are_compared_with_pytorch_alone():
    measure = COMPARISONS["local"]
    assert [peer.name for peer in PEERS if measure.has(peer, 64)] == ["PyTorch"]
    assert [peer.name for peer in PEERS if COMPARISONS["training"].has(peer, 64)] == [
        "PyTorch",
        "JAX",
    ]


def test_networks_are_chosen_by_name():
    assert parse([]).networks == CORE
    assert parse(["--networks", "lenet-5, vgg"]).networks == ("LeNet-5", "VGG")
    assert parse(["--networks", "all"]).networks == tuple(w.name for w in WORKLOADS)
    with pytest.raises(SystemExit):
        parse(["--networks", "lenet-6"])
