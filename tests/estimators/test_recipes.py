from __future__ import annotations

import pytest

from convoi.estimators.recipes import RECIPES, choose_recipe


@pytest.mark.parametrize("input_shape", [(5,), (1, 1, 1), (3, 500, 400)])
@pytest.mark.parametrize("samples", [1, 50, 51, 10**7])
def test_there_is_a_recipe_for_any_training_set(input_shape, samples):
    recipe = choose_recipe(input_shape, samples)
    assert recipe.axes == len(input_shape) - 1
    assert not recipe.samples or samples <= recipe.samples


@pytest.mark.parametrize("axes", [0, 2])
def test_the_rows_are_ordered_by_size_and_the_last_takes_any(axes):
    limits = [recipe.samples for recipe in RECIPES if recipe.axes == axes]
    assert limits[-1] == 0
    assert limits[:-1] == sorted(set(limits[:-1]))


def test_rows_without_neighbours_are_not_augmented():
    assert all(recipe.augment is None for recipe in RECIPES if recipe.axes == 0)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.reason)
def test_every_row_can_be_used(recipe):
    assert recipe.epochs >= 1
    assert recipe.batch_size >= 1
    assert recipe.learning_rate > 0
    assert 0 <= recipe.label_smoothing < 1
    assert recipe.optimizer.weight_decay == recipe.weight_decay >= 0
    assert recipe.reason
