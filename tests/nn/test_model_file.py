from __future__ import annotations

import json
import os
import random
import string
import struct
import sys
from contextlib import suppress

import numpy as np
import pytest
import safetensors.numpy

import convoi
from convoi import Network, nn
from convoi.errors import ArgumentError, ArgumentTypeError, ModelFileError
from convoi.nn import model_file, tensor_file
from convoi.nn.model_file import read_model, write_model

LAYERS = nn.Sequential(
    nn.Conv(3, 3, padding="same", bias=False),
    nn.BatchNorm(),
    nn.Residual(nn.LeakyReLU(0.1)),
    nn.Parallel(nn.MaxPool(2), nn.AveragePool(2, stride=2)),
    nn.Dropout(0.2),
    nn.Flatten(),
    nn.Dense(2),
)
EXTRA = {"classes": ["cat", "dog"], "scale": 0.5, "nested": {"é": [1, None, True]}}


@pytest.fixture(scope="module")
def network():
    return Network(LAYERS, input_shape=(1, 4, 4), random_state=0)


@pytest.fixture(scope="module")
def content(network, tmp_path_factory):
    """Return the bytes of a model file."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_model(path, network.graph, network.parameters, EXTRA)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def taken_apart(content):
    """Return the header and the tensors of a file."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def put_together(header, tensors):
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def signed(content):
    """Return a file with the digest that its content has, as somebody hostile would write it."""
    header, tensors = taken_apart(content)
    metadata = header["__metadata__"]
    metadata.pop("digest", None)
    metadata["digest"] = tensor_file._digest(metadata, safetensors.numpy.load(content))
    return put_together(header, tensors)


def assert_equal(model, network):
    assert model.graph == network.graph
    assert model.extra == EXTRA
    assert list(model.parameters) == list(network.parameters)
    for name, array in network.parameters.items():
        assert model.parameters[name].dtype == array.dtype
        np.testing.assert_array_equal(model.parameters[name], array)


# What is written is read


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_is_read_as_it_was_written(path, dtype):
    network = Network(LAYERS, input_shape=(1, 4, 4), dtype=dtype, random_state=0)
    write_model(path, network.graph, network.parameters, EXTRA)
    model = read_model(path)
    assert model.dtype == dtype
    assert_equal(model, network)


def test_parameters_that_are_not_finite_are_kept(path):
    network = Network(
        nn.Dense(2), (1,), parameters={"weight": [[np.nan], [1]], "bias": [-0.0, np.inf]}
    )
    network.save(path)
    bias = read_model(path).parameters["bias"]
    assert bias.tobytes() == network.parameters["bias"].tobytes()


def test_a_network_without_parameters_is_a_file(path):
    Network(nn.ReLU(), (3,)).save(path)
    assert convoi.load(path).graph == nn.trace(nn.ReLU(), (3,))


def test_a_model_without_extra_has_an_empty_dictionary(path, network):
    write_model(path, network.graph, network.parameters)
    assert read_model(path).extra == {}


def test_the_file_is_one_of_safetensors(network, content):
    tensors = safetensors.numpy.load(content)
    np.testing.assert_array_equal(tensors["6.weight"], network.parameters["6.weight"])


def test_the_file_says_what_wrote_it(content):
    header, _ = taken_apart(content)
    assert header["__metadata__"]["generator"] == f"convoi {convoi.__version__}"


def test_a_file_with_a_header_in_another_order_is_the_same_model(path, network, content):
    header, tensors = taken_apart(content)
    path.write_bytes(put_together(dict(reversed(header.items())), tensors))
    assert_equal(read_model(path), network)


@pytest.mark.parametrize("extra", [{"array": np.zeros(3)}, {"nan": float("nan")}, {1j: 0}])
def test_what_json_cannot_express_is_refused(path, network, extra):
    with pytest.raises(
        ArgumentTypeError, match="'extra' parameter of write_tensor_file must be data"
    ):
        write_model(path, network.graph, network.parameters, extra)
    assert not path.exists()


def test_too_much_extra_is_refused(path, network):
    extra = {"text": "x" * tensor_file.MAX_EXTRA}
    with pytest.raises(ArgumentError, match="must be at most 4194304 characters"):
        write_model(path, network.graph, network.parameters, extra)


# Damage


def test_every_truncation_is_an_error(path, content):
    lengths = [*range(40), *range(40, len(content), 37), *range(len(content) - 40, len(content))]
    for length in lengths:
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            read_model(path)


def test_bytes_behind_the_tensors_are_an_error(path, content):
    path.write_bytes(content + b"\0")
    with pytest.raises(ModelFileError, match=r"The tensors have .* it is truncated"):
        read_model(path)


def flipped(content, chance):
    data = bytearray(content)
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def cut(content, chance):
    return content[: chance.randrange(len(content))]


def overwritten(content, chance):
    start, length = chance.randrange(len(content)), chance.randint(1, 20)
    return content[:start] + chance.randbytes(length) + content[start + length :]


def moved(content, chance):
    first, second, third = sorted(chance.randrange(len(content)) for _ in range(3))
    return content[:first] + content[second:third] + content[first:second] + content[third:]


def other_character(content, chance):
    """Replace one character of the header by one of JSON's."""
    (length,) = struct.unpack("<Q", content[:8])
    place = 8 + chance.randrange(length)
    character = chance.choice(string.digits + '{}[]",:. -eE\\ntfu')
    return content[:place] + character.encode() + content[place + 1 :]


def edited(content, chance):
    """Change something in the header, which stays JSON."""
    header, tensors = taken_apart(content)
    return put_together(changed(header, chance), tensors)


def edited_graph(content, chance):
    """Change something in the graph, which stays JSON."""
    header, tensors = taken_apart(content)
    metadata = header["__metadata__"]
    metadata["graph"] = json.dumps(changed(json.loads(metadata["graph"]), chance))
    return put_together(header, tensors)


VALUES = [
    None, True, False, 0, 1, 2, 7, -1, 2**31, 2**63, 2**64, 10**25, 1.5, 1e308, -0.0, "", "0",
    "F32", "F16", "relu", "conv", "input", "sha", "\0", "x" * 300, [], {}, [[]], [1], [-1],
    [2**40, 2**40], [0, 2**62], {"a": 1}, ["input"], ["0", "0"], [[1, 1], [1, 1]],
]  # fmt: skip


def changed(data, chance):
    """Return a copy of JSON data with one value, key or item changed."""
    place = chance.choice(list(places(data)))
    return rebuilt(data, place, chance)


def places(data, where=()):
    if where:
        yield where
    if isinstance(data, dict):
        for key, value in data.items():
            yield from places(value, (*where, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from places(value, (*where, index))


def rebuilt(data, place, chance):
    key, *rest = place
    result = dict(data) if isinstance(data, dict) else list(data)
    if rest:
        result[key] = rebuilt(data[key], rest, chance)
        return result
    action = chance.choice(["replace", "replace", "remove", "add", "nudge"])
    if action == "remove":
        del result[key]
    elif action == "add":
        copied = chance.choice([data[key], chance.choice(VALUES)])
        if isinstance(result, dict):
            result[chance.choice(["new", "weight", "0.weight", "digest"])] = copied
        else:
            result.insert(key, copied)
    elif action == "nudge" and type(data[key]) is int:
        result[key] = data[key] + chance.choice([-1, 1, 2])
    else:
        result[key] = chance.choice(VALUES)
    return result


DAMAGES = [flipped, cut, overwritten, moved, other_character, edited, edited_graph]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_a_damaged_file_is_an_error_or_the_model_that_was_written(path, network, content, damage):
    chance = random.Random(0)  # noqa: S311 - no secret
    refused = 0
    for _ in range(150):
        path.write_bytes(damage(content, chance))
        try:
            model = read_model(path)
        except ModelFileError:
            refused += 1
        else:
            assert_equal(model, network)
    assert refused > 100


@pytest.mark.parametrize("damage", [edited, edited_graph], ids=lambda f: f.__name__)
def test_a_hostile_file_with_a_true_digest_is_an_error_or_a_network(path, content, damage):
    chance = random.Random(1)  # noqa: S311 - no secret
    networks = 0
    for _ in range(300):
        data = damage(content, chance)
        with suppress(Exception):  # what has no digest is tested without one
            data = signed(data)
        path.write_bytes(data)
        try:
            model = read_model(path)
        except ModelFileError:
            continue
        networks += 1
        Network(model.graph, dtype=model.dtype, parameters=model.parameters)
    assert networks > 0


# What is wrong is said


def with_metadata(content, **changes):
    header, tensors = taken_apart(content)
    metadata = {**header["__metadata__"], **changes}
    header["__metadata__"] = {key: text for key, text in metadata.items() if text is not None}
    return put_together(header, tensors)


def with_tensor(content, name, **changes):
    header, tensors = taken_apart(content)
    header[name] = {**header[name], **changes}
    return put_together(header, tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: b"", "It is shorter than it says: it is truncated, or no safetensors file."),
        (lambda _: b"\x89PNG\r\n\x1a\n" + bytes(99), "It is shorter than it says"),
        (
            lambda _: struct.pack("<Q", 2**26) + b"{}",
            "It is shorter than it says: it is truncated, or no safetensors file.",
        ),
        (lambda _: put_together("[]", b""), "Its header is no dictionary."),
        (lambda _: put_together("{'a': 1}", b""), "Its header is no valid JSON: it is damaged."),
        (lambda _: put_together("[" * 99_999, b""), "Its header is no valid JSON"),
        (lambda _: put_together('{"a": NaN}', b""), "A number in it is NaN."),
        (lambda _: put_together('{"a": ' + "9" * 99 + "}", b""), "A number in it is too long."),
        (lambda _: put_together('{"a": 1, "a": 2}', b""), "A key stands in it twice."),
        (lambda _: struct.pack("<Q", 2) + b"\xff\xff", "Its header is no text: it is damaged."),
        (
            lambda _: safetensors.numpy.save({"a": np.zeros(3)}),
            "It holds no description of a network: it was not written by Convoi.",
        ),
        (
            lambda _: safetensors.numpy.save({"a": np.zeros(3)}, {"format": "pt"}),
            "It holds no description of a network: it was not written by Convoi.",
        ),
        (
            lambda c: with_metadata(c, version="2"),
            (
                "It has version '2' of the format, and this release of Convoi reads '1'. Install a "
                "newer release."
            ),
        ),
        (lambda c: with_metadata(c, graph=None), "It holds no description of a network."),
        (lambda c: with_metadata(c, graph="{"), "Its graph is no valid JSON: it is damaged."),
        (lambda c: with_metadata(c, extra="[]"), "The checksum in it is not that of its content"),
        (lambda c: signed(with_metadata(c, extra="[]")), "The 'extra' metadata are no dictionary."),
        (lambda c: with_metadata(c, digest=None), "The checksum in it is not that of its content"),
        (
            lambda c: with_tensor(c, "6.bias", dtype="F16"),
            "Tensor '6.bias' must be float32 or float64. Got 'F16'.",
        ),
        (
            lambda c: with_tensor(c, "6.bias", shape=[1, 2]),
            "Tensor '6.bias' must have the shape (2,). Got (1, 2).",
        ),
        (
            lambda c: with_tensor(c, "6.bias", shape=["2"]),
            "Tensor '6.bias' must have the shape (2,). Got (-1,).",
        ),
        (
            lambda c: with_tensor(c, "6.bias", data_offsets=[0, 4]),
            "Tensor '6.bias' has the wrong place.",
        ),
        (
            lambda c: with_tensor(c, "6.bias", data_offsets=[4, 12]),
            "The tensors overlap, or there are gaps between them.",
        ),
        (lambda c: with_tensor(c, "6.bias", more=1), "The entry of tensor '6.bias' is invalid."),
        (
            lambda c: c.replace(b'"6.bias"', b'"7.bias"'),
            "Tensors and description do not fit: ['6.bias', '7.bias'] are in one of them only.",
        ),
    ],
)
def test_a_message_names_the_file_and_what_is_wrong_with_it(path, content, change, message):
    path.write_bytes(change(content))
    with pytest.raises(ModelFileError) as error:
        convoi.load(path)
    assert str(error.value).startswith(f"The model file {str(path)!r} cannot be used. {message}")


def test_a_header_that_is_longer_than_any_is_not_read(path):
    with path.open("wb") as file:
        file.write(struct.pack("<Q", tensor_file.MAX_HEADER + 1))
        file.truncate(2 * tensor_file.MAX_HEADER)
    with pytest.raises(ModelFileError, match="Its header has 33554433 bytes, more than"):
        read_model(path)


def test_a_tensor_larger_than_the_file_is_refused_before_it_is_read(path):
    graph = nn.trace(nn.Dense(2**12, bias=False), (2**12,))
    text = model_file.graph_to_json(graph)
    entry = {"dtype": "F32", "shape": [2**12, 2**12], "data_offsets": [0, 2**26]}
    metadata = {"format": "convoi", "version": "1", "graph": text}
    path.write_bytes(put_together({"__metadata__": metadata, "weight": entry}, b""))
    with pytest.raises(ModelFileError, match="67108864 bytes, and the file has 0 for them"):
        read_model(path)


def test_tensors_of_different_types_are_refused(path, network):
    tensors = {name: array.astype(np.float64) for name, array in network.parameters.items()}
    tensors["6.bias"] = network.parameters["6.bias"]
    write_model(path, network.graph, tensors)
    with pytest.raises(ModelFileError, match="The tensors are of different types"):
        read_model(path)


def test_a_missing_file_is_an_error_of_model_files(path):
    with pytest.raises(ModelFileError, match="cannot be read: No such file or directory"):
        convoi.load(path)


def test_a_folder_is_no_model_file(tmp_path):
    with pytest.raises(ModelFileError, match="It is no file"):
        convoi.load(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes in folders there")
def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(ModelFileError, match="It is no file"):
        convoi.load(path)


def test_tensors_of_the_caller_are_kept(path, network):
    arrays = {"extra.a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(3)}
    write_model(path, network.graph, network.parameters, arrays=arrays)
    model = read_model(path)
    assert list(model.parameters) == list(network.parameters)
    assert model.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(model.arrays[name], array)


def test_a_tensor_with_the_name_of_a_parameter_is_refused(path, network):
    (name, *_) = network.parameters
    with pytest.raises(ArgumentError, match="must have names of its own"):
        write_model(path, network.graph, network.parameters, arrays={name: np.zeros(1, np.float32)})


@pytest.mark.parametrize(
    "table",
    [
        '{"b": ["float32", 3]}',
        '{"b": ["float32", -1]}',
        '{"b": ["int64", 2]}',
        '{"b": ["int8", 2]}',
        '{"b": [2]}',
        '{"b": []}',
        "[]",
        '{"c": ["float32", 2]}',
        "{}",
    ],
)
def test_a_table_of_tensors_that_does_not_fit_is_refused(path, network, table):
    arrays = {"b": np.zeros(2, np.float32)}
    write_model(path, network.graph, network.parameters, arrays=arrays)
    path.write_bytes(with_metadata(path.read_bytes(), arrays=table))
    with pytest.raises(ModelFileError, match=r"Tensor|tensors|Tensors"):
        read_model(path)
