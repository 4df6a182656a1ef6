from __future__ import annotations

import numpy as np
import pytest

from convoi import Network, nn
from convoi.compiler import TrainingProgram
from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.ops import MeanSquaredError
from convoi.training import Augment
from convoi.training.augment import as_augment

MANY = 4000


def drawn(augment, spatial, count=MANY, seed=0):
    return augment.draw(np.random.default_rng(seed), count, spatial)


def test_shifts_are_uniform_between_their_bounds():
    shift = drawn(Augment(shift=(2, 0)), (8, 8)).shift
    values, counts = np.unique(shift[:, 0], return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    assert np.all(np.abs(counts / MANY - 0.2) < 0.03)
    assert not shift[:, 1].any()


def test_only_the_axes_that_are_asked_for_are_mirrored_half_of_the_time():
    flip = drawn(Augment(flip=(0, -1)), (4, 5, 6)).flip
    assert flip.dtype == np.bool_
    assert np.all(np.abs(flip.mean(axis=0) - [0.5, 0, 0.5]) < 0.03)
    assert abs((flip[:, 0] == flip[:, 2]).mean() - 0.5) < 0.03  # independently


@pytest.mark.parametrize(("flip", "axis"), [(True, 1), (0, 0), (-2, 0), (1, 1), (np.int64(1), 1)])
def test_a_single_axis_may_be_given(flip, axis):
    mirrored = drawn(Augment(flip=flip), (4, 5)).flip.any(axis=0)
    assert mirrored.tolist() == [axis == 0, axis == 1]


def test_the_box_lies_within_the_sample_and_is_cut_at_the_border_only():
    low, high = np.moveaxis(drawn(Augment(cutout=3), (8,)).cutout[:, 0], -1, 0)
    assert low.min() == 0
    assert high.max() == 8
    inside = (low > 0) & (high < 8)
    assert np.all(high[inside] - low[inside] == 3)
    assert np.all((high - low >= 1) & (high - low <= 3))


def test_every_position_can_be_cut_out():
    boxes = drawn(Augment(cutout=(2, 2)), (5, 5)).cutout
    hit = np.zeros((5, 5), bool)
    for (top, bottom), (left, right) in boxes:
        hit[top:bottom, left:right] = True
    assert hit.all()


def test_a_box_without_extent_along_an_axis_cuts_nothing():
    assert not drawn(Augment(cutout=(3, 0)), (8, 8)).cutout.any()


@pytest.mark.parametrize("spatial", [(9,), (9, 8), (9, 8, 7)])
def test_every_rank_has_transforms_of_its_shape(spatial):
    transforms = drawn(Augment(shift=1, flip=True, cutout=2), spatial, count=5)
    rank = len(spatial)
    assert transforms.shift.shape == transforms.flip.shape == (5, rank)
    assert transforms.cutout.shape == (5, rank, 2)
    assert transforms.shift.dtype == transforms.cutout.dtype == np.int64


def test_the_same_generator_gives_the_same_transforms():
    augment = Augment(shift=3, flip=True, cutout=2)
    first, second = drawn(augment, (8, 8), seed=1), drawn(augment, (8, 8), seed=1)
    assert np.array_equal(first.shift, second.shift)
    assert np.array_equal(first.flip, second.flip)
    assert np.array_equal(first.cutout, second.cutout)


def changed(sample, shift, flip, box):
    """Return a sample (C, *spatial) mirrored, then shifted by up to 2, then with a box of zeros."""
    sample = np.flip(sample, [1 + axis for axis in np.flatnonzero(flip)])
    starts = zip(2 - shift, sample.shape[1:], strict=True)
    padded = np.pad(sample, [(0, 0), *((2, 2) for _ in shift)])
    moved = padded[(slice(None), *(slice(start, start + length) for start, length in starts))]
    moved[(slice(None), *(slice(*ends) for ends in box))] = 0
    return moved


@pytest.mark.parametrize("spatial", [(9,), (6, 9), (3, 4, 5)])
def test_a_training_step_applies_what_was_drawn(spatial):
    rank, samples = len(spatial), 40
    X = np.random.default_rng(0).normal(size=(samples, 2, *spatial))
    transforms = drawn(Augment(shift=2, flip=tuple(range(rank)), cutout=2), spatial, samples)
    network = Network(nn.Flatten(), (2, *spatial), dtype="float64")
    program = TrainingProgram(
        network.graph, MeanSquaredError(), None, augment=True, dtype="float64", threads=1
    )
    program.load({})
    rows = np.arange(samples)
    target = np.zeros((samples, *network.output_shape))
    *_, prediction = program.gradients(
        X, rows, target, np.ones(samples) / samples, transforms=transforms
    )
    expected = [
        changed(sample, *one).ravel()
        for sample, *one in zip(
            X, transforms.shift, transforms.flip, transforms.cutout, strict=True
        )
    ]
    assert np.array_equal(prediction, expected)


@pytest.mark.parametrize(
    ("name", "augment"),
    [
        ("light", Augment(shift=(3, 1))),
        ("natural", Augment(shift=(3, 1), flip=True)),
        ("strong", Augment(shift=(3, 1), flip=True, cutout=(8, 4))),
    ],
)
def test_presets_follow_from_the_lengths_of_the_axes(name, augment):
    assert as_augment(name, (32, 16), "fit") == augment


def test_presets_fit_the_shortest_axes():
    assert as_augment("strong", (1, 1), "fit") == Augment(shift=(0, 0), flip=True, cutout=(1, 1))


@pytest.mark.parametrize(
    ("augment", "spatial", "message"),
    [
        (
            Augment(shift=8),
            (8, 9),
            (
                "The 'shift' parameter of Augment must be less than the lengths (8, 9) of the "
                "samples' axes. Got 8 instead."
            ),
        ),
        (
            Augment(shift=(1, 1, 1)),
            (8, 9),
            (
                "The 'shift' parameter of Augment must be an integer greater than or equal to 0, "
                "or a sequence of 2 of them, one for each spatial axis. Got (1, 1, 1) instead."
            ),
        ),
        (
            Augment(flip=2),
            (8, 9),
            (
                "The 'flip' parameter of Augment must be an integer greater than or equal to -2 "
                "and less than or equal to 1. Got 2 instead."
            ),
        ),
        (
            Augment(shift=1),
            (),
            "The samples have no spatial axes, so there is nothing to augment. Set augment=None.",
        ),
        (
            "heavy",
            (8, 8),
            (
                "The 'augment' parameter of fit must be an Augment, None or one of 'light', "
                "'natural', 'strong'. Got 'heavy' instead."
            ),
        ),
    ],
)
def test_settings_that_do_not_fit_the_samples_are_refused(augment, spatial, message):
    with pytest.raises(ArgumentError) as caught:
        as_augment(augment, spatial, "fit")
    assert str(caught.value) == message


@pytest.mark.parametrize("augment", [3, Augment(flip="x"), Augment(flip=None), Augment(shift=0.5)])
def test_wrong_types_are_refused(augment):
    with pytest.raises(ArgumentTypeError):
        as_augment(augment, (8, 8), "fit")
