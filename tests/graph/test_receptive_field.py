from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from convoi import nn, ops
from convoi.errors import ArgumentError
from convoi.graph import INPUT, receptive_fields, run
from tests.strategies import graph_parameters, random_graphs


def field_of(layers, shape):
    graph = nn.trace(layers, shape)
    return receptive_fields(graph)[graph.outputs[0]]


def not_a_slice(op):
    """Leave out what reads some channels only: fields tell positions apart, and not channels."""
    return not isinstance(op, ops.ChannelSlice)


def perturbed(graph, parameters):
    """Return, for each input position, the values of the graph that change with it.

    NaN stands for any other number: it spreads through every operation, and hides behind none.
    """
    channels, *spatial = graph.shape(INPUT)
    positions = list(np.ndindex(*spatial))
    x = np.ones((len(positions), channels, *spatial))
    for sample, position in zip(x, positions, strict=True):
        sample[(slice(None), *position)] = np.nan
    with np.errstate(all="ignore"):
        return positions, run(graph, {INPUT: x}, parameters)


@settings(max_examples=40)
@given(random_graphs(ranks=(1, 2), max_depth=6, accept=not_a_slice))
def test_every_position_sees_what_changes_it(graph):
    parameters = graph_parameters(graph, np.random.default_rng(0))
    positions, values = perturbed(graph, parameters)
    fields = receptive_fields(graph)
    for node in graph.nodes:
        changed = np.isnan(values[node.name]).any(axis=1)  # of any channel
        for place in np.ndindex(*changed.shape[1:]):
            seen = np.array([p for p, row in zip(positions, changed, strict=True) if row[place]])
            box = fields[node.name].box(place)
            if not len(seen):
                assert box is None
                continue
            ends = zip(seen.min(axis=0), seen.max(axis=0), strict=True)
            assert box == tuple(slice(low, high + 1) for low, high in ends)


def test_windows_grow_the_field_by_what_they_stride_over():
    layers = nn.Sequential(nn.Conv(2, 3, padding=1), nn.MaxPool(2), nn.Conv(2, 3, dilation=2))
    field = field_of(layers, (1, 20, 20))
    assert (field.size, field.stride, field.offset) == ((12, 12), (2, 2), (-1, -1))


def test_a_branch_sees_the_union_of_its_parts():
    branches = nn.Parallel(
        nn.Conv(2, (1, 5), padding="same"), nn.Conv(2, (3, 1), padding="same"), nn.Sequential()
    )
    field = field_of(branches, (1, 9, 9))
    assert (field.size, field.offset) == ((3, 5), (-1, -2))


def test_a_residual_block_sees_as_much_as_its_body():
    field = field_of(nn.Residual(nn.Conv(3, 5, padding=2)), (3, 9))
    assert (field.size, field.stride, field.offset) == ((5,), (1,), (-2,))


def test_upsampling_makes_the_stride_a_fraction():
    field = field_of(nn.Sequential(nn.Upsample(2), nn.Conv(1, 2)), (1, 6))
    assert field.stride == (Fraction(1, 2),)
    assert field.size == (2,)
    assert [field.box((p,))[0] for p in range(2)] == [slice(0, 1), slice(0, 2)]


def test_padding_and_cropping_move_the_offset():
    assert field_of(nn.ZeroPad([(2, 0)]), (1, 6)).offset == (-2,)


@pytest.mark.parametrize(
    "layers", [nn.Flatten(), nn.GlobalAveragePool(), nn.Sequential(nn.Flatten(), nn.Dense(3))]
)
def test_what_has_no_positions_sees_everything(layers):
    field = field_of(layers, (2, 6, 7))
    assert (field.size, field.stride, field.offset) == ((6, 7), (0, 0), (0, 0))
    assert field.box() == (slice(0, 6), slice(0, 7))


def test_everything_is_what_the_layers_before_have_seen():
    layers = nn.Sequential(nn.MaxPool(3), nn.Flatten())
    assert field_of(layers, (1, 8)).box() == (slice(0, 6),)


def test_a_grid_that_is_made_of_a_row_sees_everything_at_each_position():
    class Grid(nn.Layer):
        def trace(self, tracer, value):
            flat = tracer.operation(ops.Flatten(), value, name="flat")
            return tracer.operation(ops.Unflatten((2, 3)), flat, name="grid")

    field = field_of(nn.Sequential(Grid(), nn.Conv(1, 3)), (1, 2, 3))
    assert field.box((0,)) == (slice(0, 2), slice(0, 3))


def test_rows_of_features_have_no_axes():
    field = field_of(nn.Dense(3), (4,))
    assert (field.size, field.box()) == ((), ())


def test_padding_on_the_way_is_known():
    field = field_of(nn.Sequential(nn.Conv(1, 3, padding=1), nn.Conv(1, 3)), (1, 7))
    assert field.padded == ((True, False, False, False, True),)


def test_a_position_outside_of_the_value_is_refused():
    with pytest.raises(ArgumentError, match=r"must lie in \(5,\). Got \(5,\) instead"):
        field_of(nn.Conv(1, 3), (1, 7)).box((5,))
