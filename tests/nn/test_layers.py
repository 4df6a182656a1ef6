from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from convoi import nn
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError

LAYERS = [
    nn.Conv(8, 3),
    nn.Conv(8, (3, 5), stride=(2, 1), padding=((0, 1), (2, 2)), dilation=2, groups=4),
    nn.Conv(8, 3, padding="same", bias=False, flip=True),
    nn.DepthwiseConv(3, multiplier=2, padding=1),
    nn.LocallyConnected(8, 3, stride=2, padding="same", bias="shared"),
    nn.TiledConv(8, (3, 2), tile=(2, 4), dilation=2, groups=2, bias=False, flip=True),
    nn.Dense(10),
    nn.Dense(10, bias=False),
    nn.MaxPool(2),
    nn.MaxPool(3, stride=2, padding="same"),
    nn.AveragePool((2, 3), count_padding=True, padding=(1, 2)),
    nn.LpPool(2, p=3.0),
    nn.BlurPool(5, stride=3, padding=2),
    nn.StochasticPool((2, 3), stride=1),
    nn.AdaptiveAveragePool((3, 4)),
    nn.AdaptiveMaxPool(5),
    nn.FractionalMaxPool((1.5, 2.0), overlapping=True),
    nn.GlobalAveragePool(),
    nn.GlobalMaxPool(),
    nn.BatchNorm(momentum=0.5),
    nn.Dropout(0.25),
    nn.Standardize(),
    nn.ReLU(),
    nn.LeakyReLU(0.2),
    nn.ELU(),
    nn.GELU(),
    nn.SiLU(),
    nn.HardSwish(),
    nn.HardSigmoid(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.Softmax(),
    nn.Flatten(),
    nn.ZeroPad(1),
    nn.Upsample((2, 3)),
    nn.Sequential(nn.Conv(8, 3), nn.ReLU()),
    nn.Sequential(),
    nn.Residual(nn.ReLU()),
    nn.Residual(nn.Conv(8, 1), nn.Conv(8, 1)),
    nn.Parallel(nn.ReLU(), nn.Tanh()),
    nn.Parallel(nn.ReLU(), nn.Tanh(), merge="add"),
    nn.Sequential(*(nn.Residual(nn.Sequential(nn.Conv(8, 3, padding="same"), nn.ReLU())),) * 4),
    nn.networks.InceptionModule(32, 40),
]


def name_of(layer):
    return type(layer).__name__


@pytest.mark.parametrize("layer", LAYERS, ids=name_of)
def test_the_repr_of_a_layer_is_the_code_that_makes_it(layer):
    names = {**vars(nn), **vars(nn.networks)}
    assert eval(repr(layer), names) == layer  # noqa: S307


def test_the_repr_leaves_out_what_is_default():
    assert repr(nn.Conv(8, 3, stride=1, padding="same")) == "Conv(8, 3, padding='same')"


def test_the_repr_of_a_long_layer_has_a_line_for_each_part():
    layer = nn.Sequential(nn.Residual(nn.Sequential(*[nn.Conv(64, 3, padding="same")] * 3)))
    assert repr(layer).splitlines() == [
        "Sequential(",
        "    Residual(",
        "        Sequential(",
        "            Conv(64, 3, padding='same'),",
        "            Conv(64, 3, padding='same'),",
        "            Conv(64, 3, padding='same'),",
        "        ),",
        "    ),",
        ")",
    ]


@pytest.mark.parametrize("layer", LAYERS, ids=name_of)
def test_a_layer_is_equal_to_its_copy_and_has_its_hash(layer):
    copied = pickle.loads(pickle.dumps(layer))
    assert copied == layer
    assert hash(copied) == hash(layer)


@pytest.mark.parametrize("layer", LAYERS, ids=name_of)
def test_a_layer_cannot_be_changed(layer):
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.filters = 3


def test_different_layers_are_not_equal():
    assert len({repr(layer) for layer in LAYERS}) == len(set(LAYERS)) == len(LAYERS)


def test_every_layer_that_is_exported_is_among_those_tested():
    exported = {
        value
        for value in vars(nn).values()
        if isinstance(value, type) and issubclass(value, nn.Layer) and value is not nn.Layer
    }
    assert exported <= {type(layer) for layer in LAYERS}


def test_lists_and_arrays_of_integers_are_tuples():
    layer = nn.Conv(
        np.int64(8), [3, 5], padding=np.array([[0, 1], [2, 2]]), stride=np.array([1, 2])
    )
    assert layer == nn.Conv(8, (3, 5), padding=((0, 1), (2, 2)), stride=(1, 2))
    assert type(layer.filters) is int
    assert type(layer.padding[0][0]) is int


def test_a_sequence_of_layers_has_length_items_and_iteration():
    layer = nn.Sequential(nn.ReLU(), nn.Tanh())
    assert len(layer) == 2
    assert layer[-1] == nn.Tanh()
    assert list(layer) == [nn.ReLU(), nn.Tanh()]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nn.Conv(0, 3),
            (
                "The 'filters' parameter of Conv must be an integer greater than or equal to 1. "
                "Got 0 instead."
            ),
        ),
        (
            lambda: nn.LocallyConnected(8, 3, bias="per position"),
            (
                "The 'bias' parameter of LocallyConnected must be True, False or 'shared'. Got "
                "'per position' instead."
            ),
        ),
        (
            lambda: nn.TiledConv(8, 3, tile=0),
            (
                "The 'tile' parameter of TiledConv must be an integer greater than or equal to 1, "
                "or one for each spatial axis. Got 0 instead."
            ),
        ),
        (
            lambda: nn.TiledConv(8, (3, 3), tile=(2, 2, 2)),
            (
                "The parameters of TiledConv that are given per spatial axis must have the same "
                "length. Got kernel_size=(3, 3), tile=(2, 2, 2) instead."
            ),
        ),
        (
            lambda: nn.FractionalMaxPool(0.5),
            (
                "The 'ratio' parameter of FractionalMaxPool must be a number greater than or "
                "equal to 1. Got 0.5 instead."
            ),
        ),
        (
            lambda: nn.FractionalMaxPool(()),
            (
                "The 'ratio' parameter of FractionalMaxPool must be one value, or one for each of "
                "1 to 3 spatial axes. Got () instead."
            ),
        ),
        (
            lambda: nn.AdaptiveMaxPool(0),
            (
                "The 'output_size' parameter of AdaptiveMaxPool must be an integer greater than "
                "or equal to 1, or one for each spatial axis. Got 0 instead."
            ),
        ),
        (
            lambda: nn.BlurPool(2, padding=2),
            (
                "The 'padding' parameter of BlurPool must be smaller than size=2, so that every "
                "window holds a position of the input. Got 2 instead."
            ),
        ),
        (
            lambda: nn.Conv(8, 0),
            (
                "The 'kernel_size' parameter of Conv must be an integer greater than or equal to "
                "1, or one for each spatial axis. Got 0 instead."
            ),
        ),
        (
            lambda: nn.Conv(8, (3, 0)),
            (
                "The 'kernel_size' parameter of Conv must be an integer greater than or equal to "
                "1, or a sequence of 2 of them, one for each spatial axis. Got (3, 0) instead."
            ),
        ),
        (
            lambda: nn.Conv(8, (3, 3, 3, 3)),
            (
                "The 'kernel_size' parameter of Conv must be one value, or one for each of 1 to 3 "
                "spatial axes. Got (3, 3, 3, 3) instead."
            ),
        ),
        (
            lambda: nn.Conv(8, ()),
            (
                "The 'kernel_size' parameter of Conv must be one value, or one for each of 1 to 3 "
                "spatial axes. Got () instead."
            ),
        ),
        (
            lambda: nn.Conv(8, 3, padding="full"),
            (
                "The 'padding' parameter of Conv must be 'valid', 'same', 'causal', an integer "
                "greater than or equal to 0, or for each spatial axis one or a pair (low, high) "
                "of them. Got 'full' instead."
            ),
        ),
        (
            lambda: nn.Conv(8, 3, padding=-1),
            (
                "The 'padding' parameter of Conv must be 'valid', 'same', 'causal', an integer "
                "greater than or equal to 0, or for each spatial axis one or a pair (low, high) "
                "of them. Got -1 instead."
            ),
        ),
        (
            lambda: nn.Conv(8, 3, padding=((1, 2, 3),)),
            (
                "The 'padding' parameter of Conv must be 'valid', 'same', 'causal', an integer "
                "greater than or equal to 0, or for each spatial axis one or a pair (low, high) "
                "of them. Got ((1, 2, 3),) instead."
            ),
        ),
        (
            lambda: nn.Conv(8, (3, 3), stride=(1, 1, 1)),
            (
                "The parameters of Conv that are given per spatial axis must have the same length. "
                "Got kernel_size=(3, 3), stride=(1, 1, 1) instead."
            ),
        ),
        (
            lambda: nn.Conv(8, 3, groups=3),
            "The 'groups' parameter of Conv must be a divisor of filters=8. Got 3 instead.",
        ),
        (
            lambda: nn.MaxPool(2, padding=2),
            (
                "The 'padding' parameter of MaxPool must be smaller than size=2, so that every "
                "window holds a position of the input. Got 2 instead."
            ),
        ),
        (
            lambda: nn.AveragePool((2, 3), padding=((1, 0), (0, 3))),
            (
                "The 'padding' parameter of AveragePool must be smaller than size=(2, 3), so that "
                "every window holds a position of the input. Got ((1, 0), (0, 3)) instead."
            ),
        ),
        (
            lambda: nn.LpPool(2, p=0.5),
            (
                "The 'p' parameter of LpPool must be a number greater than or equal to 1. Got 0.5 "
                "instead."
            ),
        ),
        (
            lambda: nn.Dropout(1.0),
            (
                "The 'rate' parameter of Dropout must be a number greater than or equal to 0 and "
                "less than 1. Got 1.0 instead."
            ),
        ),
        (
            lambda: nn.BatchNorm(eps=0),
            "The 'eps' parameter of BatchNorm must be a number greater than 0. Got 0 instead.",
        ),
        (
            lambda: nn.ZeroPad("same"),
            (
                "The 'padding' parameter of ZeroPad must be an integer greater than or equal to 0, "
                "or for each spatial axis one or a pair (low, high) of them. Got 'same' instead."
            ),
        ),
        (
            lambda: nn.Parallel(nn.ReLU()),
            "Parallel must have two or more branches. Got 1 instead. Use the layer itself.",
        ),
        (
            lambda: nn.Parallel(nn.ReLU(), nn.Tanh(), merge="multiply"),
            (
                "The 'merge' parameter of Parallel must be one of 'concatenate', 'add'. Got "
                "'multiply' instead."
            ),
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_is_expected(make, message):
    with pytest.raises((ArgumentError, ArgumentTypeError)) as error:
        make()
    assert str(error.value) == message


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv(8.0, 3),
        lambda: nn.Conv(8, 3.0),
        lambda: nn.Conv(8, "3"),
        lambda: nn.Conv(8, True),
        lambda: nn.Conv(8, 3, padding=1.5),
        lambda: nn.Conv(8, 3, padding=None),
        lambda: nn.Conv(8, 3, padding=((0.5, 1),)),
        lambda: nn.Conv(8, 3, bias=1),
        lambda: nn.DepthwiseConv(3, multiplier=None),
        lambda: nn.Dense("10"),
        lambda: nn.LeakyReLU("steep"),
        lambda: nn.Upsample(1.5),
        lambda: nn.Sequential("relu"),
        lambda: nn.Residual(None),
        lambda: nn.Residual(nn.ReLU(), 3),
    ],
)
def test_a_wrong_type_is_a_type_error(make):
    with pytest.raises(ArgumentTypeError, match="parameter of"):
        make()


def test_a_class_in_place_of_a_layer_is_answered_with_the_call():
    with pytest.raises(ArgumentTypeError, match=r"such as ReLU\(\) with parentheses"):
        nn.Sequential(nn.Conv(8, 3), nn.ReLU)


def test_a_list_in_place_of_a_layer_is_answered_with_a_sequence():
    with pytest.raises(ArgumentTypeError, match="several layers as separate arguments"):
        nn.Sequential([nn.Conv(8, 3), nn.ReLU()])


@pytest.mark.parametrize(
    ("size", "dilation", "stride"), [(3, 1, 1), (4, 3, 1), (1, 2, 1), (5, 2, 3)]
)
def test_causal_padding_is_in_front(size, dilation, stride):
    layer = nn.Conv(2, size, padding="causal", dilation=dilation, stride=stride)
    (node,) = nn.trace(layer, (1, 20)).nodes
    assert node.op.padding == ((dilation * (size - 1), 0),)
    assert nn.trace(layer, (1, 20)).shape(node.name) == (2, -(-20 // stride))


def test_causal_padding_is_for_series():
    with pytest.raises(ShapeError, match="Give padding='same'"):
        nn.trace(nn.Conv(2, 3, padding="causal"), (1, 8, 8))


def test_pooling_has_no_causal_padding():
    with pytest.raises(ArgumentError, match="'valid', 'same', an integer"):
        nn.MaxPool(3, padding="causal")
