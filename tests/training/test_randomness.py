from __future__ import annotations

import numpy as np
import pytest

from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.training.randomness import Order, given_seed, new_seed, split_rows


@pytest.mark.parametrize(
    ("samples", "batch_size", "sizes"),
    [
        (256, 128, {128}),
        (257, 128, {85, 86}),
        (7, 3, {2, 3}),
        (5, 8, {5}),
        (1, 1, {1}),
    ],
)
def test_batches_are_as_few_as_possible_and_of_nearly_the_same_size(samples, batch_size, sizes):
    order = Order(0, np.arange(samples), batch_size)
    batches = order.batches(epoch=0)
    assert len(batches) == order.steps == -(-samples // batch_size)
    assert {len(rows) for rows in batches} == sizes
    assert order.smallest == min(sizes)


def test_every_sample_is_used_once_in_an_epoch():
    rows = np.array([3, 5, 8, 11, 20])
    assert sorted(np.concatenate(Order(0, rows, 2).batches(epoch=4))) == rows.tolist()


def test_every_epoch_has_an_order_of_its_own():
    order = Order(0, np.arange(100), 100)
    assert not np.array_equal(order.batches(0)[0], order.batches(1)[0])


def test_what_is_drawn_follows_from_seed_epoch_and_step_alone():
    first, second = (Order(7, np.arange(50), 8) for _ in range(2))
    first.batches(0)
    first.generator(0, 0).random(100)
    assert all(map(np.array_equal, first.batches(3), second.batches(3)))
    assert first.generator(3, 2).random() == second.generator(3, 2).random()


def test_no_two_steps_and_no_two_seeds_draw_the_same():
    draws = [
        Order(seed, np.arange(9), 3).generator(epoch, step).random()
        for seed in range(2)
        for epoch in range(3)
        for step in range(3)
    ]
    assert len(set(draws)) == len(draws)


def test_a_seed_comes_from_every_kind_of_random_state():
    assert given_seed(5, "fit") == 5
    assert given_seed(np.int64(5), "fit") == 5
    assert given_seed(None, "fit") is None
    for kind in (np.random.default_rng, np.random.RandomState, np.random.SeedSequence):
        assert (
            given_seed(kind(1), "fit") == given_seed(kind(1), "fit") != given_seed(kind(2), "fit")
        )


def test_an_open_seed_differs_each_time():
    assert len({new_seed() for _ in range(10)}) == 10


@pytest.mark.parametrize(
    ("random_state", "error", "message"),
    [
        (
            "zero",
            ArgumentTypeError,
            (
                "The 'random_state' parameter of fit must be an integer, a Generator, RandomState "
                "or SeedSequence, or None. Got 'zero' instead."
            ),
        ),
        (
            -1,
            ArgumentError,
            (
                "The 'random_state' parameter of fit must be an integer greater than or equal to "
                "0. Got -1 instead."
            ),
        ),
    ],
)
def test_what_is_no_random_state_is_refused(random_state, error, message):
    with pytest.raises(error) as caught:
        given_seed(random_state, "fit")
    assert str(caught.value) == message


def test_a_split_takes_each_sample_once():
    training, validation = split_rows(0.25, 40, None, seed=0, owner="fit")
    assert len(validation) == 10
    assert sorted([*training, *validation]) == list(range(40))


@pytest.mark.parametrize("fraction", [0.1, 1 / 3, 0.5, 0.9])
def test_a_split_keeps_the_proportions_of_the_classes(fraction):
    classes = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [100, 37, 10]))
    _, validation = split_rows(fraction, len(classes), classes, seed=0, owner="fit")
    counts = np.bincount(classes[validation], minlength=3)
    assert np.all(np.abs(counts - fraction * np.array([100, 37, 10])) <= 1)


def test_a_split_is_random_within_the_classes():
    classes = np.repeat([0, 1], 50)
    splits = {tuple(split_rows(0.2, 100, classes, seed, "fit")[1]) for seed in range(5)}
    assert len(splits) == 5


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_a_split_with_an_empty_side_is_refused(fraction):
    with pytest.raises(ArgumentError) as caught:
        split_rows(fraction, 10, None, 0, "fit")
    assert str(caught.value) == (
        "The 'validation_data' parameter of fit must leave samples to train on and to validate "
        f"on. Got {fraction} of 10 samples instead."
    )
