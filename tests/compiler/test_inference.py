"""Inference programs against the NumPy definition, for arrays and batches of all kinds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convoi import ops
from convoi.compiler import InferenceProgram
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.graph import INPUT, Builder, Graph, Node, run
from convoi.kernels import base
from convoi.runtime.linker import Linker
from tests.cases import conv, pool
from tests.compiler.graphs import CPUS, network, on_cpu, relative_error, same_conv
from tests.strategies import graph_parameters, random_graphs

if TYPE_CHECKING:
    from convoi.config import Cpu

TOLERANCE = {"float32": 2e-5, "float64": 1e-11}
BATCHES = (0, 1, 3, 20, 2)
"""Sizes that follow one another: memory is reused, grows, and is not filled."""


def expected(graph: Graph, parameters, X):
    return run(graph, {INPUT: np.asarray(X, np.float64)}, parameters)[graph.outputs[0]]


def loaded(graph: Graph, seed: int = 0, **options) -> tuple[InferenceProgram, dict]:
    parameters = graph_parameters(graph, np.random.default_rng(seed))
    program = InferenceProgram(graph, **options)
    program.load(parameters)
    return program, parameters


def lenet() -> Graph:
    return network(
        (1, 16, 16),
        ops.Standardize(),
        same_conv(6, (5, 5)),
        ops.ReLU(),
        pool(ops.MaxPool, (2, 2)),
        conv(16, (3, 3)),
        ops.BatchNorm(),
        ops.ReLU(),
        ops.Dropout(0.3),
        ops.Flatten(),
        ops.Dense(10),
    )


@CPUS
@settings(max_examples=40)
@given(graph=random_graphs(), dtype=st.sampled_from(["float32", "float64"]))
def test_programs_compute_what_the_graph_means(cpu: Cpu, graph: Graph, dtype: str) -> None:
    with on_cpu(cpu):
        program, parameters = loaded(graph, dtype=dtype, threads=1)
        X = np.random.default_rng(1).standard_normal((max(BATCHES), *graph.shape(INPUT)))
        want = expected(graph, parameters, X)
        for n in BATCHES:
            got = program(X[:n])
            assert got.dtype == np.dtype(dtype)
            assert relative_error(got, want[:n]) < TOLERANCE[dtype]


@CPUS
@pytest.mark.parametrize("precision", ["default", "high"])
def test_fast_convolution_is_as_near_as_it_promises(cpu: Cpu, precision) -> None:
    graph = network((32, 12, 12), same_conv(48, (3, 3)), ops.ReLU(), same_conv(32, (3, 3)))
    with on_cpu(cpu):
        program, parameters = loaded(graph, precision=precision, threads=1)
        X = np.random.default_rng(1).standard_normal((5, 32, 12, 12))
        error = relative_error(program(X), expected(graph, parameters, X.astype(np.float32)))
    assert error < {"default": 2e-5, "high": 2e-6}[precision]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_predictions_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    graph = lenet()
    X = np.random.default_rng(1).standard_normal((70, 1, 16, 16)).astype(np.float32)
    one, _ = loaded(graph, threads=1)
    several, _ = loaded(graph, threads=threads)
    np.testing.assert_array_equal(several(X), one(X))


def test_a_sample_does_not_depend_on_those_beside_it() -> None:
    graph = lenet()
    X = np.random.default_rng(1).standard_normal((70, 1, 16, 16)).astype(np.float32)
    program, parameters = loaded(graph, threads=2)
    whole = program(X)
    np.testing.assert_allclose(program(X[41:42]), whole[41:42], rtol=1e-5, atol=1e-6)
    assert relative_error(whole, expected(graph, parameters, X)) < 2e-5


# Arrays ---------------------------------------------------------------------------------------

DTYPES = [
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64", ">f8", ">i4",
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_may_have_any_real_dtype(dtype: str) -> None:
    X = np.random.default_rng(2).integers(0, 100, (9, 3, 6, 5)).astype(dtype)
    graph = network((3, 6, 5), same_conv(4, (3, 3)))
    program, parameters = loaded(graph, threads=1)
    assert relative_error(program(X), expected(graph, parameters, X)) < 1e-5


def views():
    """Return arrays (9, 3, 6, 5) of all kinds of strides, with the same numbers."""
    X = np.random.default_rng(3).standard_normal((9, 3, 6, 5)).astype(np.float32)
    rows = np.zeros((20, 7, 14, 13), np.float32)
    rows[1:19:2, 3:0:-1, 1:13:2, 2:12:2] = X
    unaligned = np.zeros(X.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(X.shape)
    unaligned[...] = X
    return {
        "contiguous": X,
        "Fortran": np.asfortranarray(X),
        "channels last": np.moveaxis(np.ascontiguousarray(np.moveaxis(X, 1, -1)), -1, 1),
        "every other, backwards": rows[1:19:2, 3:0:-1, 1:13:2, 2:12:2],
        "transposed": np.swapaxes(np.ascontiguousarray(np.swapaxes(X, 2, 3)), 2, 3),
        "unaligned": unaligned,
    }


@pytest.mark.parametrize("name", views())
@pytest.mark.parametrize("op", [same_conv(4, (3, 3)), ops.ReLU()], ids=["unpadded", "padded"])
def test_inputs_may_have_any_strides(name: str, op: ops.Operation) -> None:
    X = views()[name]
    program, parameters = loaded(network((3, 6, 5), op), threads=1)
    assert relative_error(program(X), expected(program.graph, parameters, X)) < 1e-5


def test_an_input_may_be_one_number_repeated() -> None:
    X = np.broadcast_to(np.float32(2.5), (4, 3, 6, 5))
    program, parameters = loaded(network((3, 6, 5), same_conv(4, (3, 3))), threads=1)
    assert relative_error(program(X), expected(program.graph, parameters, X)) < 1e-5


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_features_may_lie_either_way(order) -> None:
    X = np.array(np.random.default_rng(3).standard_normal((9, 19)), order=order)
    program, parameters = loaded(network((19,), ops.Dense(5)), threads=1)
    assert relative_error(program(X), expected(program.graph, parameters, X)) < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("indices", [[], [5], [8, 0, 0, 3], np.arange(8, -1, -1)])
def test_rows_are_gathered_by_their_numbers(indices, dtype: str) -> None:
    X = np.random.default_rng(3).standard_normal((9, 3, 6)).astype(dtype)
    program, parameters = loaded(network((3, 6), same_conv(4, (3,))), threads=1)
    want = expected(program.graph, parameters, X)[np.asarray(indices, int)]
    assert relative_error(program(X, indices), want) < 1e-5


@settings(max_examples=12)
@given(graph=random_graphs())
def test_nan_stays_in_its_sample_and_in_its_batch(graph: Graph) -> None:
    program, _ = loaded(graph, threads=1)
    X = np.random.default_rng(3).standard_normal((20, *graph.shape(INPUT))).astype(np.float32)
    clean = program(X)
    spoilt = X.copy()
    spoilt[7] = np.nan
    others = np.arange(20) != 7
    np.testing.assert_array_equal(program(spoilt)[others], clean[others])
    program(np.full_like(X, np.nan))
    np.testing.assert_array_equal(program(X), clean)


def test_the_prediction_for_nan_is_nan() -> None:
    program, _ = loaded(lenet(), threads=1)
    assert np.isnan(program(np.full((2, 1, 16, 16), np.nan))).all()


# Graphs ---------------------------------------------------------------------------------------


def test_a_network_may_be_nothing_but_dropout() -> None:
    X = np.random.default_rng(3).standard_normal((5, 3, 4)).astype(np.float32)
    program, _ = loaded(network((3, 4), ops.Dropout(0.5)))
    np.testing.assert_array_equal(program(X), X)


def test_many_branches_are_added() -> None:
    build = Builder.for_network((4, 6))
    branches = [build.layer(f"b{i}", same_conv(5, (3,)), INPUT) for i in range(45)]
    graph = build.finish(build.layer("sum", ops.Add(), *branches))
    program, parameters = loaded(graph, threads=1)
    X = np.random.default_rng(3).standard_normal((5, 4, 6)).astype(np.float32)
    assert relative_error(program(X), expected(graph, parameters, X)) < 1e-5


def test_nodes_that_share_a_parameter_are_refused() -> None:
    spec = {"w": ops.Dense(3, bias=False).parameters((3,))[0]}
    dense = ops.Dense(3, bias=False)
    nodes = (Node("a", dense, (INPUT,), ("w",)), Node("b", dense, ("a",), ("w",)))
    with pytest.raises(ArgumentError, match="'w' belongs to 'a' and to 'b'"):
        InferenceProgram(Graph({INPUT: (3,)}, nodes, ("b",), spec))


def test_small_convoys_are_shared_among_threads() -> None:
    """Chunks begin at tiles of the dense layer only where convoys hold whole tiles."""
    graph = network((3, 90, 90), same_conv(32, (3, 3)), ops.GlobalAveragePool(), ops.Dense(64))
    (segment,) = InferenceProgram(graph, threads=1)._compiled.plan.segments
    assert segment.granule == 1 or segment.convoy % segment.granule == 0


# Programs -------------------------------------------------------------------------------------


def test_loading_again_replaces_the_parameters() -> None:
    graph = network((3, 6), same_conv(4, (3,)), ops.BatchNorm())
    program, _ = loaded(graph, seed=0)
    other = graph_parameters(graph, np.random.default_rng(1))
    program.load(other)
    X = np.random.default_rng(3).standard_normal((5, 3, 6)).astype(np.float32)
    assert relative_error(program(X), expected(graph, other, X)) < 1e-5


def test_parameters_that_do_not_fit_are_refused() -> None:
    program, parameters = loaded(network((3, 6), same_conv(4, (3,))))
    with pytest.raises(ArgumentError, match=r"must hold an array for '0\.bias', got only"):
        program.load({"0.weight": parameters["0.weight"]})
    with pytest.raises(ShapeError, match=r"hold '0.weight' of shape \(4, 3, 3\), got \(4, 3, 5\)"):
        program.load({**parameters, "0.weight": np.zeros((4, 3, 5))})


def test_several_threads_may_call_a_program_at_once() -> None:
    program, _ = loaded(lenet(), threads=2)
    rng = np.random.default_rng(3)
    batches = [rng.standard_normal((n, 1, 16, 16)).astype(np.float32) for n in (1, 17, 70, 33)]
    want = [program(X) for X in batches]

    def call(number: int) -> None:
        X = batches[number]
        results.extend(np.array_equal(program(X), want[number]) for _ in range(15))

    results: list[bool] = []
    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [True] * 60
    assert len(program._free) <= 5


def test_a_refused_call_leaves_the_program_usable() -> None:
    program, _ = loaded(lenet())
    X = np.random.default_rng(3).standard_normal((5, 1, 16, 16)).astype(np.float32)
    want = program(X)
    with pytest.raises(ShapeError, match=r"\(n, 1, 16, 16\), got \(5, 16, 16, 1\)"):
        program(np.moveaxis(X, 1, -1))
    with pytest.raises(ArgumentTypeError, match="complex"):
        program(X.astype(complex))
    with pytest.raises(ArgumentError, match="from 0 to 4"):
        program(X, [5])
    np.testing.assert_array_equal(program(X), want)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "'dtype' parameter of InferenceProgram must be"),
        ({"precision": "low"}, "'precision' parameter of InferenceProgram must be"),
        ({"threads": 0}, "'threads' parameter of InferenceProgram must be"),
    ],
)
def test_options_are_checked(options, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        InferenceProgram(network((3,), ops.ReLU()), **options)


def test_a_program_tells_what_each_thread_holds() -> None:
    program, _ = loaded(lenet(), threads=3)
    assert program.arena_bytes > 4 * 6 * 16 * 16


def test_programs_keep_their_kernels_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "LINKER", Linker(kept_bytes=1))
    graph = lenet()
    program, parameters = loaded(graph)
    rng = np.random.default_rng(0)
    X = rng.random((5, 1, 16, 16), np.float32)
    first = program(X)
    other, _ = loaded(network((3, 9, 9), same_conv(5, (3, 3)), ops.SiLU(), ops.Flatten()))
    other(rng.random((2, 3, 9, 9)))  # loads kernels, and unloads what nobody holds
    for batch in (X, X.astype(np.float64), np.uint8(X * 255)):
        program(batch)  # each dtype has a packing kernel of its own
    np.testing.assert_array_equal(program(X), first)
    assert relative_error(first, expected(graph, parameters, X)) < TOLERANCE["float32"]
