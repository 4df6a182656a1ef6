from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

import convoi
from convoi import Network, nn
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.graph import WEIGHT, Graph, Node, differentiate, run
from convoi.ops import CrossEntropy, Dense, ReLU

LAYERS = nn.Sequential(
    nn.Conv(6, 3, padding="same", bias=False),
    nn.BatchNorm(),
    nn.ReLU(),
    nn.Residual(nn.Conv(6, 1)),
    nn.MaxPool(2),
    nn.Flatten(),
    nn.Dense(4),
)
SHAPE = (2, 6, 5)


def make_network(**options):
    return Network(LAYERS, input_shape=SHAPE, random_state=0, **options)


@pytest.fixture
def network():
    return make_network()


@pytest.fixture(name="X")
def samples():
    return np.random.default_rng(1).standard_normal((7, *SHAPE)).astype(np.float32)


def interpreted(network, X):
    return run(network.graph, {"input": X}, network.parameters)[network.graph.outputs[0]]


# Prediction


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_output_is_that_of_the_graph(dtype, X):
    network = make_network(dtype=dtype)
    expected = interpreted(make_network(dtype="float64"), X.astype(np.float64))
    result = network(X)
    assert result.shape == (7, 4)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "int64", "bool", "float16", "longdouble", ">f4"]
)
def test_samples_may_be_real_numbers_of_any_type(network, dtype):
    X = np.random.default_rng(0).integers(0, 2, (3, *SHAPE)).astype(dtype)
    np.testing.assert_array_equal(network(X), network(X.astype(np.float32)))


def test_samples_may_be_lists(network):
    assert network(np.zeros((2, *SHAPE)).tolist()).shape == (2, 4)


def test_no_samples_give_no_outputs(network):
    assert network(np.zeros((0, *SHAPE))).shape == (0, 4)


def test_nan_stays_in_its_sample(network, X):
    X[2, 0, 0, 0] = np.nan
    assert np.isnan(network(X)).any(axis=1).tolist() == [False, False, True] + [False] * 4


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        (SHAPE, "Use X[None] for a single sample."),
        ((7, 6, 5, 2), "Use np.moveaxis(X, -1, 1) to put the channels first."),
        ((7, 2, 6, 6), ""),
        ((), ""),
        ((0,), ""),
    ],
)
def test_samples_of_another_shape_are_refused_with_the_remedy(network, shape, remedy):
    with pytest.raises(ShapeError) as error:
        network(np.zeros(shape))
    message = (
        "The samples X must have the shape (n, 2, 6, 5). "
        f"Got an array of shape {shape} and dtype float64 instead. {remedy}"
    )
    assert str(error.value) == message.rstrip()


def test_samples_without_a_channel_axis_are_refused_with_the_remedy():
    network = Network(nn.Flatten(), input_shape=(1, 4, 4))
    with pytest.raises(ShapeError, match=r"Use X\[:, None\] to give them an axis of channels"):
        network(np.zeros((7, 4, 4)))


@pytest.mark.parametrize("X", [np.zeros((1, *SHAPE), complex), np.full((1, *SHAPE), "a"), None])
def test_samples_that_are_no_real_numbers_are_refused(network, X):
    with pytest.raises(ArgumentTypeError, match="The samples X must be real numbers"):
        network(X)


def test_several_threads_predict_at_the_same_time(network, X):
    expected = network(X)
    results = [None] * 8

    def predict(number):
        results[number] = network(X)

    threads = [threading.Thread(target=predict, args=(n,)) for n in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)


# Parameters


def test_parameters_are_in_layer_order_with_their_shapes(network):
    shapes = {name: array.shape for name, array in network.parameters.items()}
    assert list(shapes.items()) == [
        ("0.weight", (6, 2, 3, 3)),
        ("1.weight", (6,)),
        ("1.bias", (6,)),
        ("1.running_mean", (6,)),
        ("1.running_var", (6,)),
        ("3.body.weight", (6, 6, 1, 1)),
        ("3.body.bias", (6,)),
        ("6.weight", (4, 36)),
        ("6.bias", (4,)),
    ]
    assert list(network.parameter_specs) == list(shapes)
    assert network.parameter_specs["3.body.weight"].fan_in == 6


def test_parameters_are_read_only(network):
    with pytest.raises(ValueError, match="read-only"):
        network.parameters["6.bias"][0] = 1


def test_assigned_parameters_are_used_and_copied(network, X):
    network(X)
    other = make_network(dtype="float64")
    values = {name: array + 0.5 for name, array in other.parameters.items()}
    network.parameters = values
    other.parameters = values
    for array in values.values():
        array[...] = 0
    np.testing.assert_allclose(network(X), interpreted(other, X.astype(float)), rtol=1e-4)
    assert network.parameters["6.bias"].dtype == np.float32


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda p: p.pop("6.bias"),
            ArgumentError,
            "The parameters of a network must be given as a whole: missing are '6.bias'.",
        ),
        (
            lambda p: p.update({"7.bias": p.pop("6.bias")}),
            ArgumentError,
            (
                "The parameters of a network must be given as a whole: missing are '6.bias', "
                "unknown are '7.bias'."
            ),
        ),
        (
            lambda p: p.clear(),
            ArgumentError,
            (
                "The parameters of a network must be given as a whole: missing are '0.weight', "
                "'1.weight', '1.bias', '1.running_mean', '1.running_var' and 4 more."
            ),
        ),
        (
            lambda p: p.update({"6.bias": np.zeros(3)}),
            ShapeError,
            "The parameter '6.bias' must have the shape (4,). Got (3,) instead.",
        ),
        (
            lambda p: p.update({"6.bias": ["a"] * 4}),
            ArgumentTypeError,
            (
                "The parameter '6.bias' must be real numbers. Got an array of shape (4,) and dtype "
                "<U1 instead."
            ),
        ),
    ],
)
def test_parameters_that_do_not_fit_are_refused_and_change_nothing(network, change, error, message):
    before = network.parameters
    values = dict(before)
    change(values)
    with pytest.raises(error) as raised:
        network.parameters = values
    assert str(raised.value) == message
    assert all(network.parameters[name] is array for name, array in before.items())


def test_parameters_that_are_no_dictionary_are_refused(network):
    with pytest.raises(ArgumentTypeError, match="must be a dictionary of arrays by name"):
        network.parameters = [np.zeros(3)]


def test_parameters_may_be_given_when_the_network_is_made(network, X):
    same = Network(LAYERS, SHAPE, parameters=network.parameters)
    np.testing.assert_array_equal(same(X), network(X))


# Making networks


def test_a_network_describes_itself(network):
    assert network.input_shape == SHAPE
    assert network.output_shape == (4,)
    assert network.dtype == np.float32
    assert network.threads is None
    assert network.precision == "default"
    assert repr(network) == "<Network: (2, 6, 5) to (4,), 322 parameters, float32>"


def test_a_graph_makes_the_network_that_its_layers_make(network, X):
    same = Network(network.graph, random_state=0)
    np.testing.assert_array_equal(same(X), network(X))


def test_a_graph_may_come_with_its_input_shape(network):
    assert Network(network.graph, SHAPE).input_shape == SHAPE


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Network(nn.ReLU()), ArgumentTypeError, "'input_shape' parameter of Network is"),
        (lambda: Network(nn.ReLU, (3,)), ArgumentTypeError, r"such as ReLU\(\) with parentheses"),
        (lambda: Network("resnet", (3,)), ArgumentTypeError, "must be a layer. Got 'resnet'"),
        (lambda: Network(nn.ReLU(), (3,), dtype="float16"), ArgumentError, "'dtype' parameter"),
        (lambda: Network(nn.ReLU(), (3,), dtype=None), ArgumentTypeError, "'dtype' parameter"),
        (lambda: Network(nn.ReLU(), (3,), dtype="real"), ArgumentError, "'dtype' parameter"),
        (lambda: Network(nn.ReLU(), (3,), threads=0), ArgumentError, "'threads' parameter"),
        (lambda: Network(nn.ReLU(), (3,), precision="low"), ArgumentError, "'default', 'high'"),
        (lambda: Network(nn.ReLU(), (3,), precision=2), ArgumentTypeError, "'precision' parameter"),
        (lambda: Network(nn.ReLU(), (3,), random_state="a"), ArgumentTypeError, "'random_state'"),
        (
            lambda: Network(nn.trace(nn.ReLU(), (3,)), (4,)),
            ArgumentError,
            r"'input_shape' parameter of Network must be \(3,\), as in the graph",
        ),
        (
            lambda: Network(Graph({"x": (3,)}, (Node("y", ReLU(), ("x",)),), ("y",))),
            ArgumentError,
            "must have the one input 'input' and one output",
        ),
    ],
)
def test_what_makes_no_network_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_graph_with_a_shared_parameter_is_refused():
    specs = nn.trace(nn.Dense(3, bias=False), (3,)).parameters
    nodes = (
        Node("0", Dense(3, bias=False), ("input",), ("weight",)),
        Node("1", Dense(3, bias=False), ("0",), ("weight",)),
    )
    with pytest.raises(ArgumentError, match="every parameter must belong to one node"):
        Network(Graph({"input": (3,)}, nodes, ("1",), specs))


# Copies and files


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
)
def test_a_copy_predicts_the_same_and_is_independent(network, X, copied):
    expected = network(X)
    other = copied(network)
    np.testing.assert_array_equal(other(X), expected)
    other.parameters = {name: 0 * array for name, array in other.parameters.items()}
    np.testing.assert_array_equal(network(X), expected)


def test_the_parameters_of_an_unpickled_network_are_read_only(network):
    other = pickle.loads(pickle.dumps(network))
    with pytest.raises(ValueError, match="read-only"):
        other.parameters["6.bias"][0] = 1


def test_a_copy_computes_as_exactly():
    network = make_network(precision="high", threads=2)
    other = pickle.loads(pickle.dumps(network))
    assert (other.precision, other.threads) == ("high", 2)


def test_the_precision_is_of_the_run_and_not_of_the_file(tmp_path):
    make_network(precision="high").save(tmp_path / "model.safetensors")
    assert convoi.load(tmp_path / "model.safetensors").precision == "default"
    assert convoi.load(tmp_path / "model.safetensors", precision="high").precision == "high"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_network_is_loaded_again(tmp_path, X, dtype):
    network = make_network(dtype=dtype)
    network.save(tmp_path / "model.safetensors")
    loaded = convoi.load(str(tmp_path / "model.safetensors"), threads=1)
    assert loaded.graph == network.graph
    assert loaded.dtype == network.dtype
    assert loaded.threads == 1
    assert list(loaded.parameters) == list(network.parameters)
    np.testing.assert_array_equal(loaded(X), network(X))


# Loss and gradients


@pytest.mark.parametrize(
    ("loss", "y"),
    [("cross_entropy", [0, 1, 2, 3, 0, 1, 2]), ("mean_squared", np.arange(28.0).reshape(7, 4))],
)
def test_loss_and_gradients_are_those_of_the_differentiated_graph(X, loss, y):
    network = make_network(dtype="float64")
    weight = np.arange(1.0, 8)
    op = nn.LOSSES[loss]
    training = differentiate(network.graph, op)
    arrays = {"input": X.astype(float), "target": np.asarray(y), WEIGHT: weight / weight.sum()}
    values = run(training.graph, arrays, network.parameters)

    value, gradients = network.loss_and_gradients(X, y, loss, weight)
    assert value == pytest.approx(values[training.loss].sum(), rel=1e-10)
    trainable = [n for n, spec in network.parameter_specs.items() if spec.kind.trainable]
    assert list(gradients) == trainable
    for name, gradient in gradients.items():
        expected = values[training.gradients[name]]
        np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-10)


def test_gradients_follow_the_parameters_that_are_assigned(network, X):
    y = [0] * 7
    first, _ = network.loss_and_gradients(X, y)
    network.parameters = {name: 0 * array for name, array in network.parameters.items()}
    second, _ = network.loss_and_gradients(X, y)
    assert first != second
    assert second == pytest.approx(np.log(4))


def test_gradients_of_another_loss_are_computed_after_the_first(network, X):
    y = [0] * 7
    plain, _ = network.loss_and_gradients(X, y)
    smooth, _ = network.loss_and_gradients(X, y, CrossEntropy(label_smoothing=0.5))
    again, _ = network.loss_and_gradients(X, y)
    assert plain == again != smooth


def test_the_gradient_leaves_the_network_as_it_is(network, X):
    before, output = network.parameters, network(X)
    network.loss_and_gradients(X, [0] * 7)
    assert all(network.parameters[name] is array for name, array in before.items())
    np.testing.assert_array_equal(network(X), output)


def test_the_masks_of_dropout_follow_from_the_seed():
    layers = nn.Sequential(nn.Dropout(0.5), nn.Dense(3))
    network = Network(layers, (50,), random_state=0)
    X, y = np.ones((4, 50)), [0, 1, 2, 0]
    losses = [network.loss_and_gradients(X, y, seed=seed)[0] for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": np.zeros((0, *SHAPE)), "y": []}, DataError, "needs at least one sample"),
        ({"y": [0, 1]}, ShapeError, "The class numbers y must have the shape"),
        ({"y": [9] * 7}, DataError, "Sample 0 has 9"),
        ({"loss": "hinge"}, ArgumentError, "'loss' parameter of loss_and_gradients"),
        ({"sample_weight": [1.0]}, ShapeError, "The sample_weight must have the shape"),
        ({"seed": -1}, ArgumentError, "'seed' parameter of loss_and_gradients"),
    ],
)
def test_samples_and_targets_that_cannot_be_used_are_refused(network, X, arguments, error, message):
    with pytest.raises(error, match=message):
        network.loss_and_gradients(**{"X": X, "y": [0] * 7, **arguments})


# Precision


def wide_network(**options):
    """Return a network whose second convolution pays to transform."""
    layers = nn.Sequential(nn.Conv(32, 3), nn.Tanh(), nn.Conv(32, 3), nn.Flatten(), nn.Dense(3))
    return Network(layers, input_shape=(2, 14, 14), random_state=0, **options)


def test_both_precisions_are_near_to_exact():
    X = np.random.default_rng(0).standard_normal((4, 2, 14, 14)).astype(np.float32)
    exact = wide_network(dtype="float64")
    expected, slopes = exact(X), exact.loss_and_gradients(X, [0, 1, 2, 0])[1]["2.weight"]
    found = {}
    for precision in ("default", "high"):
        network = wide_network(precision=precision)
        network.parameters = exact.parameters
        found[precision] = network(X), network.loss_and_gradients(X, [0, 1, 2, 0])[1]["2.weight"]
        output, gradient = found[precision]
        assert np.abs(output - expected).max() < 1e-5 * np.abs(expected).max()
        assert np.abs(gradient - slopes).max() < 1e-5 * np.abs(slopes).max()
    for high, default in zip(found["high"], found["default"], strict=True):
        assert not np.array_equal(high, default)
