"""Units of a kernel's work: which of them a call does."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from convoi.codegen.builder import Module
from convoi.kernels.base import CallArguments
from convoi.kernels.sharing import Units, within


@given(outer=st.integers(1, 9), inner=st.integers(1, 9))
def test_undivided_work_is_the_whole_grid_and_known_while_emitting(outer: int, inner: int) -> None:
    f = Module().function("f", [])
    units = Units.of(f, CallArguments(*[f.value(0)] * 3), outer, inner, divided=False)
    cells = [(o, i) for o in range(*units.outer) for i in range(*units.inner(o))]
    assert cells == list(itertools.product(range(outer), range(inner)))


@given(bounds=st.tuples(*[st.integers(0, 9)] * 2), run=st.tuples(*[st.integers(0, 9)] * 2))
def test_bounds_within_a_run_count_from_its_first_item(
    bounds: tuple[int, int], run: tuple[int, int]
) -> None:
    f = Module().function("f", [])
    (low, high), (first, count) = sorted(bounds), run
    found = range(*within(f, (low, high), first, count))
    assert list(found) == [n - first for n in range(low, high) if first <= n < first + count]
