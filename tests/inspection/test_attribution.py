from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convoi import Network, inspection, nn
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from tests.inspection.networks import definition, output_by_definition, samples, small


def numeric_gradient(function, x, step=1e-5):
    """Return central differences of a function of one sample, element by element."""
    gradient = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        ahead, back = x.copy(), x.copy()
        ahead[place] += step
        back[place] -= step
        gradient[place] = (function(ahead) - function(back)) / (2 * step)
    return gradient


@pytest.mark.parametrize("shape", [(1, 9, 8), (2, 20)])
def test_the_input_gradient_agrees_with_differences(shape):
    network, X = small(shape), samples(2, shape)
    outputs = [2, 0]
    found = inspection.input_gradient(network, X, outputs)
    for x, output, gradient in zip(X, outputs, found, strict=True):
        want = numeric_gradient(lambda x, k=output: output_by_definition(network, x[None])[0, k], x)
        np.testing.assert_allclose(gradient, want, rtol=1e-4, atol=1e-8)


def test_the_largest_output_is_explained_by_default():
    layers = nn.Sequential(nn.Conv(4, 3), nn.ReLU(), nn.Flatten(), nn.Dense(3))
    network, X = Network(layers, (1, 9, 8), random_state=0, dtype="float64"), samples()
    best = output_by_definition(network, X).argmax(axis=1)
    assert len(set(best.tolist())) > 1
    for function in (
        inspection.input_gradient,
        inspection.saliency,
        inspection.integrated_gradients,
        inspection.grad_cam,
    ):
        np.testing.assert_array_equal(function(network, X), function(network, X, best))


def test_saliency_is_the_largest_gradient_over_the_channels():
    network, X = small((3, 9, 8)), samples(shape=(3, 9, 8))
    gradient = inspection.input_gradient(network, X, 1)
    found = inspection.saliency(network, X, 1)
    np.testing.assert_array_equal(found, np.abs(gradient).max(axis=1))
    assert found.shape == (6, 9, 8)


@settings(max_examples=5)
@given(
    shape=st.sampled_from([(1, 9, 8), (3, 7, 12), (2, 20)]),
    output=st.integers(0, 2),
    baseline=st.floats(-2, 2),
    seed=st.integers(0, 99),
)
def test_integrated_gradients_sum_to_the_difference_of_outputs(shape, output, baseline, seed):
    network, X = small(shape), samples(3, shape, seed)
    parts = inspection.integrated_gradients(network, X, output, baseline=baseline, steps=200)
    ends = (output_by_definition(network, x)[:, output] for x in (X, np.full_like(X, baseline)))
    difference = np.subtract(*ends)
    found = parts.reshape(len(X), -1).sum(axis=1)
    # Pools jump from one maximum to another, which quadrature meets between its points.
    np.testing.assert_allclose(found, difference, atol=2e-3 * np.abs(parts).sum())


def test_integrated_gradients_of_a_linear_network_are_weight_times_input():
    network = Network(nn.Dense(2), (3,), random_state=0, dtype="float64")
    X = samples(4, (3,))
    weight = network.parameters["weight"][1]
    found = inspection.integrated_gradients(network, X, 1, baseline=[1.0, 0.0, -1.0], steps=1)
    np.testing.assert_allclose(found, weight * (X - [1.0, 0.0, -1.0]), rtol=1e-12)


@pytest.mark.parametrize("layer", ["3", "4", None])
@pytest.mark.parametrize("shape", [(1, 9, 8), (2, 20)])
def test_grad_cam_is_what_its_definition_says(layer, shape):
    network, X = small(shape), samples(3, shape)
    name = layer or "5"
    maps = definition(network, X)[name]
    # Its gradient, from the definition: the rest of the network, differentiated numerically.
    rest = [node for node in network.graph.nodes if int(node.name) > int(name)]

    def tail(value, output):
        for node in rest:
            parameters = [network.parameters[p] for p in node.parameters]
            value = node.op.reference(value, *parameters)
        return value[0, output]

    outputs, want = [0, 1, 2], []
    for output, values in zip(outputs, maps, strict=True):
        gradient = numeric_gradient(lambda v, k=output: tail(v[None], k), values)
        alpha = gradient.reshape(len(gradient), -1).mean(axis=1)
        want.append(np.maximum(np.tensordot(alpha, values, 1), 0))
    found = inspection.grad_cam(network, X, outputs, layer=layer, resize=False)
    assert np.max(want) > 0
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-9)


def test_grad_cam_is_brought_to_the_size_of_the_input():
    network, X = small(), samples(3)
    coarse = inspection.grad_cam(network, X, 0, resize=False)
    fine = inspection.grad_cam(network, X, 0)
    assert (coarse.shape, fine.shape) == ((3, 2, 2), (3, 9, 8))
    np.testing.assert_allclose(fine[:, [0, 0, -1, -1], [0, -1, 0, -1]], coarse.reshape(3, 4))
    assert (fine.max(axis=(1, 2)) <= coarse.max(axis=(1, 2)) * (1 + 1e-12)).all()


def test_resizing_keeps_a_slope_a_slope():
    from convoi.inspection.attribution import _resized

    coarse = np.arange(4.0)[None]
    fine = _resized(coarse, (8,))[0]
    np.testing.assert_allclose(fine, [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    np.testing.assert_allclose(_resized(np.array([[5.0]]), (3,)), [[5, 5, 5]])


def test_grad_cam_looks_at_the_end_of_the_last_block():
    layers = nn.Sequential(
        nn.Conv(4, 3, padding="same"),
        nn.Residual(nn.Sequential(nn.Conv(4, 3, padding="same"), nn.BatchNorm())),
        nn.ReLU(),
        nn.MaxPool(2),
        nn.Flatten(),
        nn.Dense(2),
    )
    assert inspection.grad_cam_layer(Network(layers, (1, 8, 8))) == "2"


def test_refuses_what_cannot_be_explained():
    network, X = small(), samples()
    with pytest.raises(ArgumentError, match=r"must hold numbers from 0 to 2\. Got 3 instead"):
        inspection.saliency(network, X, 3)
    with pytest.raises(ArgumentTypeError, match="'output' parameter of saliency"):
        inspection.saliency(network, X, 0.5)
    with pytest.raises(ShapeError, match=r"must have the shape \(\) or \(6,\). Got \(2,\)"):
        inspection.input_gradient(network, X, [0, 1])
    with pytest.raises(ShapeError, match="'baseline' parameter"):
        inspection.integrated_gradients(network, X, baseline=np.zeros(5))
    with pytest.raises(ArgumentError, match=r"a layer whose output has positions\. Got '6'"):
        inspection.grad_cam(network, X, layer="6")
    with pytest.raises(ArgumentError, match="Grad-CAM needs a convolution"):
        inspection.grad_cam(Network(nn.Dense(2), (4,)), np.ones((1, 4)))
    with pytest.raises(ShapeError, match=r"explains outputs of shape \(n,\)"):
        inspection.saliency(Network(nn.Conv(2, 3), (1, 5, 5)), np.ones((1, 1, 5, 5)))
