"""Training programs: gradients against two oracles, threads, batches, what is kept."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convoi import ops
from convoi.compiler import StepSettings, TrainingProgram, Transforms, UpdateRule
from convoi.errors import ArgumentError, ArgumentTypeError, ConvoiError, ShapeError
from convoi.graph import INPUT, TARGET, WEIGHT, Builder, Graph
from convoi.runtime.program import Instance
from tests.cases import conv, pool
from tests.compiler.graphs import (
    CPUS,
    example,
    expected_training,
    network,
    on_cpu,
    program_gradients,
    relative_error,
    same_conv,
)
from tests.strategies import losses, random_graphs

if TYPE_CHECKING:
    from convoi.config import Cpu

MANY = 70
"""Samples that make several chunks of several convoys, and fill none of them."""


def lenet() -> Graph:
    return network(
        (1, 16, 16),
        same_conv(6, (5, 5)),
        ops.ReLU(),
        pool(ops.MaxPool, (2, 2)),
        conv(16, (3, 3)),
        ops.ReLU(),
        ops.Dropout(0.3),
        ops.Flatten(),
        ops.Dense(32),
        ops.ReLU(),
        ops.Dense(10),
    )


def residual() -> Graph:
    """Return a network with batch norm, a residual connection and parallel branches."""
    build = Builder.for_network((3, 9, 8))
    value = build.layer("first", same_conv(8, (3, 3), bias=False), INPUT)
    value = build.layer("norm1", ops.BatchNorm(momentum=0.3, eps=1e-2), value)
    value = shortcut = build.layer("silu", ops.SiLU(), value)
    value = build.layer("depthwise", same_conv(8, (3, 3), groups=8), value)
    value = build.layer("norm2", ops.BatchNorm(eps=1e-2), value)
    value = build.layer("sum", ops.Add(), value, shortcut)
    value = build.layer("gelu", ops.GELU(), value)
    value = build.layer("strided", conv(7, (3, 2), stride=2, padding=1), value)
    left = build.layer("left", pool(ops.AveragePool, (2, 2)), value)
    right = build.layer("right", pool(ops.LpPool, (2, 2)), value)
    value = build.layer("both", ops.Concatenate(), left, right)
    value = build.layer("drop", ops.Dropout(0.2), value)
    value = build.layer("flat", ops.Flatten(), value)
    return build.finish(build.layer("dense", ops.Dense(5), value))


def gradient_program(graph: Graph, loss: ops.Loss, parameters, **options) -> TrainingProgram:
    program = TrainingProgram(graph, loss, None, **{"dtype": "float64", "threads": 1, **options})
    program.load(parameters)
    return program


def worst(got: dict, want: dict) -> float:
    """Return the largest error of all gradients, relative to the largest of them."""
    assert list(got) == list(want)
    scale = max((float(np.abs(value).max()) for value in want.values()), default=0.0)
    return max((relative_error(got[name], want[name], scale) for name in want), default=0.0)


# Gradients ------------------------------------------------------------------------------------


@CPUS
@settings(max_examples=30)
@given(graph=random_graphs(), loss=losses(), n=st.sampled_from([1, 2, 5, 21]))
def test_gradients_are_those_of_the_definition(
    cpu: Cpu, graph: Graph, loss: ops.Loss, n: int
) -> None:
    parameters, inputs = example(graph, loss, n)
    try:
        want = expected_training(graph, loss, inputs, parameters)
    except ConvoiError:
        assume(False)
    with on_cpu(cpu):
        program = gradient_program(graph, loss, parameters)
        value, gradients, prediction = program_gradients(program, inputs)
    assert value == pytest.approx(want[0], rel=1e-9, abs=1e-12)
    assert relative_error(prediction, want[2]) < 1e-9
    assert worst(gradients, want[1]) < 1e-8


@settings(max_examples=20)
@given(graph=random_graphs(), loss=losses())
def test_float32_is_as_exact_as_it_can_be(graph: Graph, loss: ops.Loss) -> None:
    parameters, inputs = example(graph, loss, 5)
    parameters = {k: v.astype(np.float32).astype(float) for k, v in parameters.items()}
    inputs[INPUT] = inputs[INPUT].astype(np.float32).astype(float)
    try:
        want = expected_training(graph, loss, inputs, parameters)
    except ConvoiError:
        assume(False)
    program = gradient_program(graph, loss, parameters, dtype="float32")
    _, gradients, prediction = program_gradients(program, inputs)
    assert prediction.dtype == np.float32
    assert relative_error(prediction, want[2]) < 2e-5
    assert worst(gradients, want[1]) < 2e-4


@CPUS
@pytest.mark.parametrize("make", [lenet, residual])
def test_gradients_of_many_chunks_are_summed(cpu: Cpu, make) -> None:
    graph, loss = make(), ops.CrossEntropy()
    parameters, inputs = example(graph, loss, MANY)
    want = expected_training(graph, loss, inputs, parameters)
    with on_cpu(cpu):
        program = gradient_program(graph, loss, parameters)
        value, gradients, prediction = program_gradients(program, inputs)
    assert value == pytest.approx(want[0], rel=1e-12)
    assert relative_error(prediction, want[2]) < 1e-12
    assert worst(gradients, want[1]) < 1e-11


@settings(max_examples=8)
@given(graph=random_graphs(max_depth=6), loss=losses())
def test_nothing_of_a_batch_is_left_for_the_next(graph: Graph, loss: ops.Loss) -> None:
    """What a batch of NaN leaves in memory must never be read."""
    parameters, inputs = example(graph, loss, 20)
    try:
        program = gradient_program(graph, loss, parameters)
    except ConvoiError:
        assume(False)
    before = program_gradients(program, inputs)
    program_gradients(program, {**inputs, INPUT: np.full_like(inputs[INPUT], np.nan)})
    np.testing.assert_equal(program_gradients(program, inputs), before)


NUMERIC_LOSSES = [
    ops.CrossEntropy(0.1), ops.MeanSquaredError(), ops.Huber(0.5), ops.MeanAbsoluteError(),
]  # fmt: skip


@pytest.mark.parametrize("loss", NUMERIC_LOSSES, ids=str)
def test_gradients_are_the_slopes_of_the_loss(loss: ops.Loss) -> None:
    """Central differences of the program's own loss: no formula of a gradient is involved."""
    graph = residual()
    parameters, inputs = example(graph, loss, 6)
    program = gradient_program(graph, loss, parameters)
    _, gradients, _ = program_gradients(program, inputs)
    largest = max(float(np.abs(gradient).max()) for gradient in gradients.values())
    rng = np.random.default_rng(9)
    for name, gradient in gradients.items():
        place = tuple(rng.integers(gradient.shape))
        slopes = []
        for step in (1e-5, -1e-5):
            moved = {**parameters, name: parameters[name].copy()}
            moved[name][place] += step
            program.load(moved)
            slopes.append(program_gradients(program, inputs)[0] / (2e-5 if step > 0 else -2e-5))
        assert sum(slopes) == pytest.approx(gradient[place], abs=1e-6 * largest)


def test_grids_of_several_shapes_may_be_added_when_flat() -> None:
    build = Builder.for_network((3, 4, 4))
    a = build.layer("flat_a", ops.Flatten(), build.layer("a", conv(5, (1, 1)), INPUT))
    b = build.layer("flat_b", ops.Flatten(), build.layer("b", conv(20, (3, 3)), INPUT))
    graph = build.finish(build.layer("out", ops.Dense(4), build.layer("sum", ops.Add(), a, b)))
    check_against_definition(graph, ops.MeanSquaredError())


def test_a_value_may_have_many_readers() -> None:
    build = Builder.for_network((6,))
    value = build.layer("value", ops.Dense(7), INPUT)
    heads = [build.layer(f"head{i}", ops.Dense(3), value) for i in range(45)]
    graph = build.finish(build.layer("sum", ops.Add(), *heads))
    check_against_definition(graph, ops.MeanSquaredError())


def test_a_value_may_have_several_names_behind_a_batch_norm() -> None:
    graph = network(
        (4, 3), conv(9, (3,)), ops.BatchNorm(), ops.Flatten(), ops.Flatten(), ops.Dense(3),
        ops.BatchNorm(), ops.Dense(2),
    )  # fmt: skip
    check_against_definition(graph, ops.MeanSquaredError(), n=21)


def test_groups_of_few_channels_are_convolved_forward_and_backward() -> None:
    graph = network(
        (32, 6, 5), conv(32, (3, 3), groups=8, padding=((1, 1), (1, 1))), ops.BatchNorm(),
        conv(64, (3, 3), groups=16), ops.Flatten(), ops.Dense(2),
    )  # fmt: skip
    check_against_definition(graph, ops.MeanSquaredError(), n=7)


def check_against_definition(graph: Graph, loss: ops.Loss, n: int = 5) -> None:
    parameters, inputs = example(graph, loss, n)
    want = expected_training(graph, loss, inputs, parameters)
    program = gradient_program(graph, loss, parameters)
    assert worst(program_gradients(program, inputs)[1], want[1]) < 1e-10


def test_samples_count_by_their_weight() -> None:
    graph, loss = lenet(), ops.CrossEntropy()
    parameters, inputs = example(graph, loss, 12)
    inputs[WEIGHT] = np.arange(12) / 66
    value, gradients, _ = program_gradients(gradient_program(graph, loss, parameters), inputs)
    want = expected_training(graph, loss, inputs, parameters)
    assert value == pytest.approx(want[0])
    assert worst(gradients, want[1]) < 1e-11


# Batches --------------------------------------------------------------------------------------


def test_batches_of_any_size_follow_one_another() -> None:
    graph, loss = residual(), ops.CrossEntropy()
    parameters, inputs = example(graph, loss, 130)
    program = gradient_program(graph, loss, parameters)
    for n in (3, 130, 1, 70, 130, 2):
        some = {**inputs, WEIGHT: np.full(n, 1 / n)}
        some.update({name: inputs[name][:n] for name in (INPUT, TARGET)})
        want = expected_training(graph, loss, some, parameters)
        value, gradients, prediction = program_gradients(program, some)
        assert value == pytest.approx(want[0], rel=1e-11)
        assert relative_error(prediction, want[2]) < 1e-10
        assert worst(gradients, want[1]) < 1e-10


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float16", ">f4"])
def test_rows_of_any_dtype_are_gathered(dtype: str) -> None:
    graph, loss = lenet(), ops.CrossEntropy()
    parameters, inputs = example(graph, loss, 9)
    X = np.random.default_rng(4).integers(0, 2, (30, 1, 16, 16)).astype(dtype)
    rows = np.array([29, 0, 7, 7, 3, 12, 1, 28, 5])
    program = gradient_program(graph, loss, parameters)
    got = program.gradients(X, rows, inputs[TARGET], inputs[WEIGHT], seed=3)
    inputs[INPUT], inputs["seed"] = X[rows].astype(float), np.uint64(3)
    want = expected_training(graph, loss, inputs, parameters)
    assert worst(got[1], want[1]) < 1e-11


# Threads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lenet, residual])
@pytest.mark.parametrize("clip", [False, True])
def test_training_is_bit_identical_for_any_number_of_threads(make, clip: bool) -> None:
    graph, loss = make(), ops.CrossEntropy()
    parameters, inputs = example(graph, loss, MANY)
    results = []
    for threads in (1, 2, 3, 8):
        rule = UpdateRule("adamw", clip=clip)
        program = TrainingProgram(graph, loss, rule, threads=threads)
        program.load(parameters)
        steps = []
        for step in range(3):
            rows = np.random.default_rng(step).permutation(MANY)
            weight = np.full(MANY, 1 / MANY)
            numbers = StepSettings(0.01, step + 1, weight_decay=0.1, clip_norm=0.5)
            result = program.step(
                inputs[INPUT], rows, inputs[TARGET][rows], weight, numbers, seed=step
            )
            steps += [np.float64(result.loss), result.prediction]
            steps += [np.float64(result.gradient_norm or 0.0)]
        slots = program.slots()
        held = [*program.parameters().values(), *slots["mean"].values(), *slots["square"].values()]
        results.append(b"".join(array.tobytes() for array in [*steps, *held]))
    assert len(set(results)) == 1


def test_callers_of_one_program_wait_for_each_other() -> None:
    graph, loss = residual(), ops.CrossEntropy()
    parameters, inputs = example(graph, loss, 20)
    program = gradient_program(graph, loss, parameters, threads=2)
    want = [program_gradients(program, inputs, seed)[1] for seed in range(3)]

    def call(seed: int) -> None:
        for _ in range(10):
            got = program_gradients(program, inputs, seed)[1]
            results.append(all(np.array_equal(got[name], want[seed][name]) for name in got))

    results: list[bool] = []
    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [True] * 30


# What is kept ---------------------------------------------------------------------------------


def stepping(graph: Graph, parameters, rule: UpdateRule, **options) -> TrainingProgram:
    program = TrainingProgram(
        graph, ops.CrossEntropy(), rule, **{"dtype": "float64", "threads": 1, **options}
    )
    program.load(parameters)
    return program


def one_step(program: TrainingProgram, inputs, step: int = 1, **numbers):
    rows = np.arange(len(inputs[INPUT]))
    chosen = StepSettings(0.05, step, **numbers)
    return program.step(inputs[INPUT], rows, inputs[TARGET], inputs[WEIGHT], chosen, seed=step)


def test_parameters_come_back_as_they_were_given() -> None:
    build = Builder.for_network((3, 6))
    value = build.layer("scaled", ops.Standardize(), INPUT)
    value = build.layer("conv", conv(17, (2,)), value)
    value = build.layer("norm", ops.BatchNorm(), value)
    value = build.layer("depthwise", conv(17, (2,), groups=17), value)
    value = build.layer("grouped", conv(34, (2,), groups=17), value)
    graph = build.finish(build.layer("dense", ops.Dense(3), build.layer("f", ops.Flatten(), value)))
    parameters, _ = example(graph, ops.CrossEntropy(), 2)
    back = stepping(graph, parameters, UpdateRule("sgd")).parameters()
    assert list(back) == list(graph.parameters)
    for name, array in parameters.items():
        np.testing.assert_array_equal(back[name], array)


def test_gradients_change_nothing() -> None:
    graph = residual()
    parameters, inputs = example(graph, ops.CrossEntropy(), 12)
    program = stepping(graph, parameters, UpdateRule("adam"))
    one_step(program, inputs)
    before = program.parameters(), program.slots()
    program_gradients(program, inputs)
    after = program.parameters(), program.slots()
    np.testing.assert_equal(after, before)


def test_steps_update_the_running_statistics_as_pytorch_does() -> None:
    graph = network((3, 7), ops.BatchNorm(momentum=0.3), conv(2, (7,)), ops.Flatten())
    parameters, inputs = example(graph, ops.CrossEntropy(), MANY)
    program = stepping(graph, parameters, UpdateRule("sgd"))
    one_step(program, inputs)
    held = program.parameters()
    mean = inputs[INPUT].mean(axis=(0, 2))
    variance = inputs[INPUT].var(axis=(0, 2), ddof=1)
    for name, batch in [("0.running_mean", mean), ("0.running_var", variance)]:
        want = 0.7 * parameters[name] + 0.3 * batch
        np.testing.assert_allclose(held[name], want, rtol=1e-12)


@pytest.mark.parametrize("rule", [UpdateRule("sgd", momentum=True), UpdateRule("adam")])
def test_training_goes_on_from_what_was_kept(rule: UpdateRule) -> None:
    graph = residual()
    parameters, inputs = example(graph, ops.CrossEntropy(), 20)
    first = stepping(graph, parameters, rule, dtype="float32")
    one_step(first, inputs, 1, momentum=0.9)
    second = TrainingProgram(graph, ops.CrossEntropy(), rule, threads=1)
    second.load(first.parameters(), first.slots())
    results = [one_step(program, inputs, 2, momentum=0.9) for program in (first, second)]
    assert results[0].loss == results[1].loss
    np.testing.assert_equal(second.parameters(), first.parameters())
    np.testing.assert_equal(second.slots(), first.slots())


def test_loading_without_slots_forgets_them() -> None:
    graph = lenet()
    parameters, inputs = example(graph, ops.CrossEntropy(), 6)
    program = stepping(graph, parameters, UpdateRule("sgd", momentum=True))
    one_step(program, inputs, momentum=0.9)
    program.load(parameters)
    assert not any(array.any() for array in program.slots()["momentum"].values())


def test_a_step_gives_loss_and_prediction_from_before_it() -> None:
    graph = lenet()
    parameters, inputs = example(graph, ops.CrossEntropy(), 6)
    program = stepping(graph, parameters, UpdateRule("sgd"))
    loss, _, prediction = program_gradients(program, inputs, seed=1)
    result = one_step(program, inputs)
    assert result.loss == loss
    np.testing.assert_array_equal(result.prediction, prediction)
    assert result.gradient_norm is None


def test_prepared_steps_may_be_taken_in_any_order_and_again() -> None:
    graph = lenet()
    parameters, inputs = example(graph, ops.CrossEntropy(), 9)
    programs = [stepping(graph, parameters, UpdateRule("sgd")) for _ in range(2)]
    arrays = [inputs[name] for name in (INPUT, TARGET, WEIGHT)]
    parts = [np.arange(9), np.arange(4), np.arange(3, 9)]
    steps = [
        programs[0].prepare(arrays[0], rows, *(array[rows] for array in arrays[1:]))
        for rows in parts
    ]
    for number, part in enumerate((2, 0, 1, 0, 2), 1):
        settings = StepSettings(0.05, number)
        norm = programs[0].take(steps[part], settings)
        rows = parts[part]
        labelled = (array[rows] for array in arrays[1:])
        result = programs[1].step(arrays[0], rows, *labelled, settings)
        assert (steps[part].loss, norm) == (result.loss, result.gradient_norm)
        np.testing.assert_array_equal(steps[part].prediction, result.prediction)
    first, second = (program.parameters() for program in programs)
    assert worst(first, second) == 0


def test_memory_that_runs_out_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = residual()
    parameters, inputs = example(graph, ops.CrossEntropy(), 12)
    program = stepping(graph, parameters, UpdateRule("sgd"))
    before = program.parameters()

    def fail(*_: object) -> int:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Instance, "prepare", fail)
        for attempt in (one_step, program_gradients):
            with pytest.raises(MemoryError):
                attempt(program, inputs)
    np.testing.assert_equal(program.parameters(), before)
    assert np.isfinite(one_step(program, inputs).loss)


# Dropout --------------------------------------------------------------------------------------


def test_dropout_depends_on_the_seed_and_on_nothing_else() -> None:
    graph = network((40,), ops.Dropout(0.5))
    program = gradient_program(graph, ops.MeanSquaredError(), {}, threads=2)
    X = np.ones((MANY, 40))
    rows, weight = np.arange(MANY), np.ones(MANY)

    def masks(seed: int):
        return program.gradients(X, rows, X, weight, seed=seed)[2]

    first = masks(7)
    np.testing.assert_array_equal(masks(7), first)
    assert np.mean(masks(8) != first) > 0.3
    assert set(np.unique(first)) == {0.0, 2.0}
    np.testing.assert_array_equal(masks(7 + 2**64), first)


# Transforms -----------------------------------------------------------------------------------


def transformed(X, transforms: Transforms):
    """Return samples mirrored, then moved, then cut: by definition, element by element."""
    result = np.zeros_like(X)
    for n, (sample, out) in enumerate(zip(X, result, strict=True)):
        axes = tuple(1 + a for a in np.flatnonzero(transforms.flip[n]))
        mirrored = np.flip(sample, axes)
        for place in np.ndindex(sample.shape[1:]):
            source = np.array(place) - transforms.shift[n]
            inside = np.all((source >= 0) & (source < sample.shape[1:]))
            cut = all(
                low <= p < high for p, (low, high) in zip(place, transforms.cutout[n], strict=True)
            )
            if inside and not cut:
                out[(slice(None), *place)] = mirrored[(slice(None), *source)]
    return result


@pytest.mark.parametrize("shape", [(3, 9), (1, 7, 6), (2, 4, 5, 3)], ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_samples_are_transformed_while_they_are_packed(shape, dtype: str) -> None:
    rng = np.random.default_rng(6)
    n, rank = 24, len(shape) - 1
    X = rng.integers(1, 200, (n, *shape)).astype(dtype)
    transforms = Transforms(
        shift=rng.integers(-4, 5, (n, rank)),
        flip=rng.random((n, rank)) < 0.5,
        cutout=np.sort(rng.integers(-2, 12, (n, rank, 2)), axis=-1),
    )
    graph = network(shape, ops.ReLU())
    program = gradient_program(graph, ops.MeanSquaredError(), {}, augment=True)
    rows = rng.permutation(n)
    zeros = np.zeros((n, *shape))
    *_, got = program.gradients(X, rows, zeros, np.ones(n), transforms=transforms)
    np.testing.assert_array_equal(got, transformed(X[rows], transforms))
    *_, plain = program.gradients(X, rows, zeros, np.ones(n))
    np.testing.assert_array_equal(plain, X[rows])


def test_what_moves_in_is_zero_after_standardisation_too() -> None:
    graph = network((1, 4), ops.Standardize())
    parameters = {"0.mean": np.array([5.0]), "0.std": np.array([2.0])}
    program = gradient_program(graph, ops.MeanSquaredError(), parameters, augment=True)
    transforms = Transforms(np.array([[2]]), np.array([[False]]), np.zeros((1, 1, 2), np.int64))
    X, zeros = np.array([[[7.0, 9.0, 11.0, 13.0]]]), np.zeros((1, 1, 4))
    *_, got = program.gradients(X, [0], zeros, [1.0], transforms=transforms)
    assert got.tolist() == [[[0.0, 0.0, 1.0, 2.0]]]


# Errors ---------------------------------------------------------------------------------------

X, ROWS, CLASSES, WEIGHTS = np.zeros((4, 1, 16, 16)), np.arange(4), np.arange(4), np.full(4, 0.25)
STILL = Transforms(np.zeros((4, 2)), np.zeros((4, 2)), np.zeros((4, 2, 2)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X[:, 0], ROWS, CLASSES, WEIGHTS), ShapeError, r"'X' .* \(n, 1, 16, 16\)"),
        ((X, [4], CLASSES[:1], WEIGHTS[:1]), ArgumentError, "row numbers from 0 to 3"),
        ((X, ROWS[:0], CLASSES[:0], WEIGHTS[:0]), ArgumentError, "at least one sample, got none"),
        ((X, ROWS, CLASSES[:3], WEIGHTS), ShapeError, r"'target' .* shape \(4,\), got \(3,\)"),
        ((X, ROWS, CLASSES + 7, WEIGHTS), ArgumentError, "class numbers from 0 to 9, got .* 10"),
        ((X, ROWS, CLASSES - 1, WEIGHTS), ArgumentError, "class numbers from 0 to 9, got .* -1"),
        ((X, ROWS, CLASSES + 0.5, WEIGHTS), ArgumentTypeError, "integers, got the dtype float64"),
        ((X, ROWS, CLASSES, WEIGHTS[:2]), ShapeError, r"'weight' .* shape \(4,\), got \(2,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, error, message: str) -> None:
    program = gradient_program(lenet(), ops.CrossEntropy(), example_of_lenet())
    with pytest.raises(error, match=message):
        program.gradients(*arguments)


def example_of_lenet():
    return example(lenet(), ops.CrossEntropy(), 1)[0]


@pytest.mark.parametrize("field", ["shift", "flip", "cutout"])
def test_transforms_of_another_shape_are_refused(field: str) -> None:
    program = gradient_program(lenet(), ops.CrossEntropy(), example_of_lenet(), augment=True)
    transforms = replace(STILL, **{field: getattr(STILL, field)[:1]})
    with pytest.raises(ShapeError, match=f"'{field}' field of Transforms must have the shape"):
        program.gradients(X, ROWS, CLASSES, WEIGHTS, transforms=transforms)


def test_transforms_need_a_program_that_augments() -> None:
    program = gradient_program(lenet(), ops.CrossEntropy(), example_of_lenet())
    with pytest.raises(ArgumentError, match="made with augment=True"):
        program.gradients(X, ROWS, CLASSES, WEIGHTS, transforms=STILL)


def test_steps_need_a_rule() -> None:
    program = gradient_program(lenet(), ops.CrossEntropy(), example_of_lenet())
    with pytest.raises(ArgumentError, match="made without an optimiser"):
        program.step(X, ROWS, CLASSES, WEIGHTS, StepSettings(0.1))


def test_parameters_and_slots_that_do_not_fit_are_refused() -> None:
    given = example_of_lenet()
    program = TrainingProgram(lenet(), ops.CrossEntropy(), UpdateRule("adam"))
    short = {**given, "7.weight": given["7.weight"][:, 1:]}
    with pytest.raises(ShapeError, match=r"hold '7.weight' of shape \(32, 576\), got \(32, 575\)"):
        program.load(short)
    with pytest.raises(
        ArgumentError, match=r"parameters must hold an array for '0\.weight', got on"
    ):
        program.load({})
    with pytest.raises(ArgumentError, match=r"slot 'square' must hold an array for '0\.weight'"):
        program.load(given, {"mean": given})
    with pytest.raises(ShapeError, match=r"slot 'mean' must hold '7\.weight'"):
        program.load(given, {"mean": short, "square": given})


@pytest.mark.parametrize(("dtype", "eps"), [("float64", 0.0), ("float32", 1e-39)])
def test_adam_needs_an_epsilon_that_does_not_vanish(dtype: str, eps: float) -> None:
    program = TrainingProgram(lenet(), ops.CrossEntropy(), UpdateRule("adam"), dtype=dtype)
    program.load(example_of_lenet())
    with pytest.raises(ArgumentError, match="'eps' parameter of StepSettings must be at least"):
        program.step(X, ROWS, CLASSES, WEIGHTS, StepSettings(0.1, eps=eps))


@pytest.mark.parametrize(
    ("options", "name"), [({"dtype": "int8"}, "dtype"), ({"precision": "low"}, "precision")]
)
def test_options_are_checked(options, name: str) -> None:
    with pytest.raises(ArgumentError, match=f"'{name}' parameter of TrainingProgram must be"):
        TrainingProgram(lenet(), ops.CrossEntropy(), None, **options)
