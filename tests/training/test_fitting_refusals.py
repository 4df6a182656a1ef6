"""What ``fit`` does not take, and what it says."""

from __future__ import annotations

import numpy as np
import pytest

from convoi import Network, nn
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.training import EarlyStopping, fit
from tests.training.examples import classifier, images, linear_data, same_bits


def trained(X=None, y=None, **settings):
    """Train a network for an epoch."""
    if X is None:
        X, y = images()
    fit(classifier(), X, y, **({"epochs": 1, "random_state": 0} | settings))


def test_batch_normalisation_refuses_a_batch_of_one_value():
    X, y = linear_data(samples=5)
    network = Network(nn.Sequential(nn.BatchNorm(), nn.Dense(1)), input_shape=(4,), random_state=0)
    with pytest.raises(ArgumentError) as caught:
        fit(network, X, y, epochs=1, batch_size=2, loss="mean_squared")
    assert str(caught.value) == (
        "The batch normalisation '0' has one value for each sample and channel, so each batch "
        "needs two samples at least. 5 samples in batches of up to 2 leave a batch of 1. "
        "Choose another 'batch_size'."
    )


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"epochs": 0}, ArgumentError, "'epochs' parameter of fit must be an integer greater"),
        ({"batch_size": 2.5}, ArgumentTypeError, "'batch_size' parameter of fit must be an integ"),
        (
            {"learning_rate": 0.0},
            ArgumentError,
            "'learning_rate' parameter of fit must be a number greater than 0. Got 0.0 instead.",
        ),
        ({"threads": 0}, ArgumentError, "'threads' parameter of fit must be an integer greater"),
        ({"precision": "low"}, ArgumentError, "'precision' parameter of fit must be one of"),
        ({"loss": "hinge"}, ArgumentError, "'loss' parameter of fit must be one of"),
        (
            {"verbose": "yes"},
            ArgumentError,
            "'verbose' parameter of fit must be 'auto', True or False. Got 'yes' instead.",
        ),
        (
            {"callbacks": print},
            ArgumentTypeError,
            (
                "'callbacks' parameter of fit must be a list of instances of classes derived from "
                "convoi.training.Callback"
            ),
        ),
        (
            {"validation_data": 1.5},
            ArgumentError,
            (
                "'validation_data' parameter of fit must be a number between 0 and 1, (X, y), "
                "(X, y, sample_weight) or None. Got 1.5 instead."
            ),
        ),
        (
            {"validation_data": "some"},
            ArgumentTypeError,
            "'validation_data' parameter of fit must be a number between 0 and 1",
        ),
        (
            {"validation_data": (np.zeros((3, 6, 6)), [0, 1, 2])},
            ShapeError,
            "'validation_data: X' parameter of fit must have the shape (n, 1, 6, 6)",
        ),
        (
            {"validation_data": (np.zeros((3, 1, 6, 6)), [0, 1])},
            DataError,
            "'validation_data: y' parameter of fit must be an array of shape (3,)",
        ),
        (
            {"early_stopping": EarlyStopping(monitor="validation_loss")},
            ArgumentError,
            (
                "'monitor' parameter of EarlyStopping must be one of the run's figures, 'loss', "
                "'accuracy'. Got 'validation_loss' instead."
            ),
        ),
        (
            {"resume": True},
            ArgumentError,
            (
                "The 'resume' parameter of fit needs a checkpoint to resume from. "
                "Got checkpoint=None instead. Give its path."
            ),
        ),
        (
            {"checkpoint": "/no/such/folder/run"},
            ArgumentError,
            (
                "'checkpoint' parameter of fit must be a file in a folder that exists. "
                "Got '/no/such/folder/run' instead. Make the folder first."
            ),
        ),
    ],
)
def test_wrong_settings_are_refused(settings, error, message):
    with pytest.raises(error) as caught:
        trained(**settings)
    assert message in str(caught.value)


def test_nan_in_the_samples_is_refused_before_anything_changes():
    X, y = images()
    X[17, 0, 3, 3] = np.nan
    network = classifier()
    before = network.parameters
    with pytest.raises(DataError, match="in sample 17"):
        fit(network, X, y, epochs=1)
    assert same_bits(network.parameters, before)


def test_a_layer_tree_is_no_network():
    X, y = images()
    with pytest.raises(ArgumentTypeError, match="'network' parameter of fit must be a Network"):
        fit(nn.Dense(3), X, y, epochs=1)


def test_a_network_without_parameters_is_refused():
    X, y = images()
    network = Network(nn.Flatten(), input_shape=(1, 6, 6))
    with pytest.raises(ArgumentError, match="add a layer with weights"):
        fit(network, X, y, epochs=1)


def test_weights_that_leave_one_side_of_a_split_empty_are_refused():
    X, y = images()
    weight = np.zeros(len(X))
    weight[0] = 1
    with pytest.raises(DataError, match="zero for all of the 12 samples on one side"):
        trained(X, y, sample_weight=weight, validation_data=0.25)
