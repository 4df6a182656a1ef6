from __future__ import annotations

import io

import numpy as np
import pytest

from convoi import Network, inspection, nn
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError

RNG = np.random.default_rng(0)
ROUNDING = 1e-6


def network_of(*layers, shape=(1, 14, 13), dtype="float32"):
    return Network(nn.Sequential(*layers), input_shape=shape, dtype=dtype, random_state=0)


def samples_for(network, n=5):
    return RNG.uniform(size=(n, *network.input_shape))


def measured(network, *shifts, **options):
    return inspection.equivariance(network, samples_for(network), shifts=shifts, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_valid_stack_without_strides_is_equivariant_inside(dtype):
    stack = (nn.Conv(4, 3), nn.ReLU(), nn.Conv(3, (2, 3), dilation=2), nn.Tanh(), nn.Conv(2, 1))
    found = measured(network_of(*stack, dtype=dtype), 1, (0, -2), (3, 1))
    rounding = 10 * float(np.finfo(dtype).eps)
    assert all(layer.exact and layer.interior_positions for layer in found)
    assert all(layer.interior < rounding for layer in found)
    assert all(layer.border is None for layer in found)  # nothing there sees what moved in


@pytest.mark.parametrize("layer", [nn.LocallyConnected(4, 3), nn.TiledConv(4, 3, tile=2)])
def test_layers_that_do_not_share_their_weights_are_not_equivariant(layer):
    (found,) = measured(network_of(layer), 1)
    assert (found.exact, found.output_shift) == (True, (1, 1))
    assert found.interior > 0.5


def test_a_tiled_layer_is_equivariant_to_shifts_by_its_tile():
    (found,) = measured(network_of(nn.TiledConv(4, 3, tile=2)), 2)
    assert found.interior < ROUNDING


def test_the_interior_is_what_the_border_does_not_reach():
    (conv,) = measured(network_of(nn.Conv(1, 3, padding=1), shape=(1, 10)), 2)
    # Positions 2 to 9 overlap. 9 sees padding, and 2 the zeros that moved in.
    assert (conv.interior_positions, conv.output_shift) == (6, (2,))


def test_padding_breaks_equivariance_at_the_border_only():
    found = measured(network_of(nn.Conv(4, 3, padding=1), nn.Conv(4, 3, padding=1)), 1)
    assert all(layer.interior < ROUNDING < layer.border for layer in found)


def test_multiples_of_the_stride_are_exact_and_others_are_reported():
    layers = (nn.Conv(4, 3), nn.MaxPool(2), nn.Conv(4, 3, stride=2, padding=1))
    network = network_of(*layers, shape=(1, 24, 24))
    whole = {layer.name: layer for layer in measured(network, 4)}
    assert [whole[name].output_shift for name in "012"] == [(4, 4), (2, 2), (1, 1)]
    assert all(layer.exact and layer.interior < ROUNDING for layer in whole.values())
    rounded = {layer.name: layer for layer in measured(network, 3)}
    assert [rounded[name].exact for name in "012"] == [True, False, False]
    assert rounded["0"].interior < ROUNDING < 0.01 < rounded["1"].interior


def test_upsampling_moves_by_more():
    (layer,) = measured(network_of(nn.Upsample(2)), (1, 0))
    assert (layer.output_shift, layer.exact) == ((2, 0), True)
    assert layer.interior == 0


def test_positions_are_given_up_by_flatten_and_dense():
    *_, dense = measured(network_of(nn.Conv(2, 3), nn.Flatten(), nn.Dense(3)), 1)
    assert (dense.output_shift, dense.interior, dense.interior_positions) == (None, None, 0)
    assert dense.border > 0.01


def test_wrapping_makes_a_global_average_invariant():
    network = network_of(nn.GlobalAveragePool(), shape=(3, 9, 9))
    (layer,) = measured(network, (2, 5), boundary="wrap")
    assert layer.border < ROUNDING


def test_a_shift_as_large_as_the_output_leaves_nothing_to_compare():
    (layer,) = measured(network_of(nn.Conv(1, 9), shape=(1, 10)), 5)
    assert (layer.interior, layer.border) == (None, None)


def test_predictions_are_compared_with_those_of_the_network():
    network = network_of(nn.Flatten(), nn.Dense(4))
    X = samples_for(network)
    (found,) = inspection.equivariance(network, X, shifts=[(1, 0)]).predictions
    moved = np.zeros_like(X)
    moved[:, :, 1:] = X[:, :, :-1]
    before, after = network(X), network(moved)
    probability = [np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (before, after)]
    chosen = (np.arange(5), before.argmax(axis=1))
    assert found.unchanged == np.mean(before.argmax(axis=1) == after.argmax(axis=1))
    change = np.abs(probability[0][chosen] - probability[1][chosen]).mean()
    assert found.probability_change == pytest.approx(change, rel=1e-5)


def test_outputs_of_softmax_are_probabilities_already():
    layers = (nn.Flatten(), nn.Dense(4))
    plain, normed = network_of(*layers), network_of(*layers, nn.Softmax())
    X = samples_for(plain)
    found = [inspection.equivariance(n, X, shifts=[1]).predictions[0] for n in (plain, normed)]
    assert found[0].probability_change == pytest.approx(found[1].probability_change, rel=1e-4)


def test_networks_that_do_not_classify_have_no_predictions():
    assert measured(network_of(nn.Conv(2, 3)), 1).predictions == ()


def test_the_table_shows_layers_and_predictions():
    text = io.StringIO()
    network = network_of(nn.MaxPool(2), nn.Flatten(), nn.Dense(3))
    measured(network, 1, (0, -2)).show(text)
    assert "≈ +0" in text.getvalue() or "≈ 0, 0" in text.getvalue()
    assert "Shifted by 0, -2:" in text.getvalue()


def test_series_are_shifted_along_time():
    found = measured(network_of(nn.Conv(4, 5), shape=(2, 30)), 7)
    assert found.layers[0].interior < ROUNDING
    assert found.as_dict()["layers"][0]["shift"] == (7,)


@pytest.mark.parametrize(
    ("shifts", "error", "message"),
    [
        ([], ArgumentError, "'shifts' parameter of equivariance must be a sequence"),
        (3, ArgumentTypeError, "'shifts' parameter"),
        ([(1, 2, 3)], ArgumentError, "'shifts' parameter"),
        ([13], ArgumentError, r"smaller than the input.*\(14, 13\)\. Got \(13, 13\)"),
        ([1.5], ArgumentTypeError, "'shifts' parameter"),
    ],
)
def test_shifts_that_cannot_be_are_refused(shifts, error, message):
    network = network_of(nn.Conv(1, 3))
    with pytest.raises(error, match=message):
        inspection.equivariance(network, samples_for(network), shifts=shifts)


def test_what_cannot_be_shifted_is_refused():
    network = network_of(nn.Conv(1, 3))
    with pytest.raises(DataError, match="at least one sample"):
        inspection.equivariance(network, np.zeros((0, 1, 14, 13)))
    with pytest.raises(ShapeError, match="The samples X must have the shape"):
        inspection.equivariance(network, np.zeros((2, 3)))
    with pytest.raises(ShapeError, match="spatial axes"):
        inspection.equivariance(Network(nn.Dense(2), (3,)), np.zeros((2, 3)))
    with pytest.raises(ArgumentTypeError, match="'network' parameter"):
        inspection.equivariance(nn.Conv(1, 3), np.zeros((2, 3)))
    with pytest.raises(ArgumentError, match="'boundary' parameter"):
        inspection.equivariance(network, samples_for(network), boundary="torus")
