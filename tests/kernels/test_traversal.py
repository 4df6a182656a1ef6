"""Which loops pass through tensors together."""

from __future__ import annotations

import pytest

from convoi.codegen.builder import Module
from convoi.codegen.types import I64, POINTER
from convoi.kernels.base import CallArguments
from convoi.kernels.layout import Layout
from convoi.kernels.traversal import Steps, Traversal, numbering, steps_of

PLAIN = Layout(16, (5, 7), 16)
BORDERED = Layout(16, (5, 7), 16, "float32", ((1, 1), (1, 1)))
BORDERED_ABOVE = Layout(16, (5, 7), 16, "float32", ((2, 0), (0, 0)))


def traversal(layouts, **options):
    f = Module().function("f", [POINTER, I64, I64, I64])
    steps = [steps_of(layout) for layout in layouts]
    call = CallArguments(*f.arguments[1:])
    return f, Traversal(f, layouts[0].spatial, steps, call, **options)


@pytest.mark.parametrize(
    ("layouts", "loops"),
    [
        ([PLAIN, PLAIN], 1),
        ([PLAIN, BORDERED], 3),
        ([BORDERED], 3),
        ([BORDERED_ABOVE, PLAIN], 2),
        ([Layout(16, (1, 7), 16)], 1),
        ([Layout(5, (), 8)], 1),
    ],
)
def test_axes_that_are_contiguous_in_all_tensors_are_one_loop(layouts, loops):
    f, positions = traversal(layouts)
    positions.each(lambda *_: None)
    assert str(f).count("phi") == loops


def test_vectors_of_a_position_are_part_of_the_loop_over_positions():
    f, positions = traversal([Layout(48, (5,), 16)], vectors=(3, 16))
    positions.each(lambda *_: None)
    assert str(f).count("phi") == 1
    assert "mul i64 %a2, 15" in str(f)


@pytest.mark.parametrize(("unroll", "visits"), [(1, [1]), (5, [5, 2]), (7, [7]), (8, [7])])
def test_rows_of_known_length_are_unrolled_with_their_rest(unroll, visits):
    sizes = []
    _, positions = traversal([BORDERED])
    positions.each(lambda points, _: sizes.append(len(points)), unroll=unroll)
    assert sizes == visits


@pytest.mark.parametrize(
    ("spatial", "limit", "positions"),
    [
        ((5, 7), 7, 7),  # a row
        ((6, 7), 20, 14),
        ((6, 7), 41, 21),  # two equal tiles, not one of five rows and one of one
        ((6, 8), 4, 4),  # half a row
    ],
)
def test_tiles_are_of_equal_size_where_they_can_be(spatial, limit, positions):
    sizes = []
    halo = ((1, 1),) * 2
    _, tiled = traversal([Layout(16, spatial, 16, "float32", halo)])
    tiled.tiles(limit, lambda tile: sizes.append(tile.positions))
    assert sizes == [positions]


def test_positions_are_numbered_in_the_order_of_arrays():
    assert numbering((2, 3, 5)) == Steps(30, (15, 5, 1))
    assert numbering(()) == Steps(1, ())
