"""Every operation of the registry is complete."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from convoi import ops
from convoi.ops import Domain, registered
from tests.cases import CASES, cases, make_inputs, make_parameters

OPERATIONS = [pytest.param(cls, id=name) for name, cls in registered()]

DEPENDS_ON_BATCH = (ops.BatchNormBackward, ops.MaskedBatchNormBackward)
"""Per-sample operations whose definition counts the samples."""


@pytest.mark.parametrize("cls", OPERATIONS)
def test_is_documented_by_a_formula_or_by_what_it_returns(cls):
    assert cls.__doc__
    assert "``" in cls.__doc__ or ":math:`" in cls.__doc__ or ".. math::" in cls.__doc__


@pytest.mark.parametrize("cls", OPERATIONS)
def test_is_a_public_frozen_dataclass_with_an_example(cls):
    assert cls.__dataclass_params__.frozen
    assert cls.__name__ in ops.__all__
    assert any(type(case.op) is cls for case in CASES)


@pytest.mark.parametrize("cls", OPERATIONS)
def test_is_found_by_its_name(cls):
    assert ops.lookup(cls.name) is cls


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("case", cases())
def test_reference_has_the_inferred_shape_and_keeps_the_dtype(case, dtype, rng):
    arrays = make_inputs(case, rng, n=3, dtype=dtype)
    result = case.op.reference(*arrays, *make_parameters(case, rng, dtype))
    leading = (3,) if case.op.domain is Domain.SAMPLE else ()
    assert result.shape == (*leading, *case.op.infer_shape(*case.inputs))
    assert result.dtype == dtype


@pytest.mark.parametrize("case", cases())
def test_reference_leaves_its_operands_alone(case, rng):
    operands = [*make_inputs(case, rng), *make_parameters(case, rng)]
    copies = [array.copy() for array in operands]
    case.op.reference(*operands)
    for array, copy in zip(operands, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    "case",
    cases(lambda op: op.domain is Domain.SAMPLE and not isinstance(op, DEPENDS_ON_BATCH)),
)
def test_a_sample_does_not_see_the_others(case, rng):
    arrays = make_inputs(case, rng, n=3)
    parameters = make_parameters(case, rng)
    first = [
        array if position in case.op.batch_inputs else array[:1]
        for position, array in enumerate(arrays)
    ]
    whole = case.op.reference(*arrays, *parameters)
    alone = case.op.reference(*first, *parameters)
    np.testing.assert_allclose(alone, whole[:1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", cases(lambda op: op.is_layer()))
def test_no_samples_give_no_results(case, rng):
    arrays = make_inputs(case, rng, n=0)
    result = case.op.reference(*arrays, *make_parameters(case, rng))
    assert result.shape == (0, *case.op.infer_shape(*case.inputs))


@pytest.mark.parametrize("case", cases())
def test_cost_counts_what_is_read_and_written(case):
    cost = case.op.cost(*case.inputs)
    sizes = [int(np.prod(shape)) for shape in case.inputs]
    specs = case.op.parameters(*case.inputs)
    assert cost.elements_read == sum(sizes)
    assert cost.elements_written == np.prod(case.op.infer_shape(*case.inputs))
    assert cost.parameters == sum(int(np.prod(spec.shape)) for spec in specs)
    assert cost.multiply_adds >= 0


@pytest.mark.parametrize("case", cases())
def test_equals_and_hashes_by_its_attributes(case):
    copy = dataclasses.replace(case.op)
    assert copy == case.op
    assert hash(copy) == hash(case.op)


@pytest.mark.parametrize("case", cases())
def test_survives_pickling(case):
    assert pickle.loads(pickle.dumps(case.op)) == case.op


def test_two_operations_cannot_share_a_name():
    with pytest.raises(ValueError, match="Two operations are called 'conv'"):
        ops.register(type("Other", (ops.Operation,), {"name": "conv"}))


def test_costs_add_up():
    assert ops.Cost(1, 2, 3, 4) + ops.Cost(10, 20, 30, 40) == ops.Cost(11, 22, 33, 44)
