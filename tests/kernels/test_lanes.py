"""Blocks of channels and their lanes."""

from __future__ import annotations

import pytest

from convoi.codegen.builder import Module
from convoi.codegen.types import F32, I64, Value
from convoi.kernels.lanes import across, existing, fold_blocks, groups
from convoi.kernels.layout import Layout


def emitter():
    return Module().function("f", [I64])


@pytest.mark.parametrize(("channels", "sizes"), [(8, [1]), (32, [4]), (33, [4, 1]), (64, [4])])
def test_groups_cover_all_blocks(channels, sizes):
    found = []
    groups(emitter(), Layout(channels, (), 8), 4, lambda _, blocks: found.append(blocks))
    assert found == sizes


@pytest.mark.parametrize(("channels", "last"), [(5, 0), (8, 0), (9, 8), (31, 24), (41, 40)])
def test_the_channel_of_the_last_block_is_known(channels, last):
    found = []
    fold_blocks(emitter(), Layout(channels, (), 8), lambda channel, _: found.append(channel))
    assert found[-1] == last


@pytest.mark.parametrize(
    ("channels", "channel", "masked"), [(8, 0, False), (9, 0, False), (9, 8, True), (5, 0, True)]
)
def test_only_blocks_with_lanes_beyond_the_channels_are_masked(channels, channel, masked):
    assert (existing(emitter(), Layout(channels, (), 8), channel) is not None) == masked


def test_lanes_are_combined_in_vectors_only():
    f = emitter()
    with pytest.raises(TypeError, match="in vectors, not in a float"):
        across(f, Value(F32, "%x"), f.fadd)
