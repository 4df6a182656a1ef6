"""Training recipes: what ``"auto"`` stands for.

One table decides it, for the estimators and for ``convoi train``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.training import AdamW

if TYPE_CHECKING:
    from convoi.ops import Shape
    from convoi.training.optimizers import Optimizer

__all__ = ["RECIPES", "Recipe", "choose_recipe"]


@dataclass(frozen=True)
class Recipe:
    """One row of :data:`RECIPES`: the first that fits is taken.

    Attributes
    ----------
    axes : int
        Number of spatial axes of the samples.
    extent : int
        Largest extent of the longest axis; 0 for any.
    samples : int
        Largest number of different samples; 0 for any.
    epochs, batch_size : int
        Length of the run, and the largest number of samples in a step.
    learning_rate : float
        The largest of the schedule.
    augment : str or None
        Augmentation by name.
    label_smoothing : float
        Of classifiers.
    weight_decay : float
        Of AdamW.
    reason : str
        Why the row is as it is.
    ensemble : int
        Number of networks whose predictions are averaged.
    fixed_kernels : bool
        Whether fixed kernels vote beside them, in a classifier.
    """

    axes: int
    extent: int
    samples: int
    epochs: int
    batch_size: int
    learning_rate: float
    augment: str | None
    label_smoothing: float
    weight_decay: float
    reason: str
    ensemble: int = 1
    fixed_kernels: bool = False

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser."""
        return AdamW(weight_decay=self.weight_decay)

    def augmentation(self, mirrored: bool) -> str | None:  # noqa: FBT001 - the one fact it needs
        """Return the name of the augmentation; images that may be mirrored also are."""
        return "natural" if mirrored and self.augment == "light" else self.augment


RECIPES: tuple[Recipe, ...] = (
    Recipe(
        0, 0, 50, 150, 32, 1e-2, None, 0.0, 0.01, "few rows: hundreds of steps take milliseconds"
    ),
    Recipe(0, 0, 1_000, 40, 32, 1e-2, None, 0.0, 0.01, "several hundred steps"),
    Recipe(0, 0, 0, 20, 128, 3e-3, None, 0.0, 0.01, "many rows: an epoch has many steps"),
    Recipe(1, 16, 1_000, 30, 32, 1e-2, None, 0.0, 0.01, "a few time steps: rows of values"),
    Recipe(1, 16, 0, 16, 128, 1e-2, None, 0.0, 0.01, "a few time steps, many steps per epoch"),
    Recipe(
        *(1, 0, 150, 250, 16, 5e-3, None, 0.0, 0.01, "few series: up to two thousand steps", 5),
        fixed_kernels=True,
    ),
    Recipe(
        *(1, 0, 1_000, 100, 16, 5e-3, None, 0.0, 0.01, "several hundred steps and more", 5),
        fixed_kernels=True,
    ),
    Recipe(
        *(1, 0, 5_000, 40, 32, 5e-3, None, 0.0, 0.01, "a thousand steps and more", 5),
        fixed_kernels=True,
    ),
    Recipe(1, 0, 0, 16, 128, 5e-3, None, 0.0, 0.01, "many series: an epoch has many steps", 5),
    Recipe(2, 0, 50, 150, 32, 5e-3, "light", 0.0, 0.01, "few images: hundreds of steps"),
    Recipe(2, 0, 1_000, 60, 32, 5e-3, "light", 0.0, 0.01, "a thousand steps and more"),
    Recipe(2, 0, 5_000, 40, 64, 5e-3, "light", 0.0, 0.01, "a thousand steps and more"),
    Recipe(2, 0, 0, 20, 128, 1e-2, "light", 0.1, 0.05, "many images: an epoch has many steps"),
)
"""What :func:`choose_recipe` chooses from, top to bottom."""


def choose_recipe(input_shape: Shape, samples: int) -> Recipe:
    """Return the recipe for a training set.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, height, width), (channels, time) or (values,).
    samples : int
        Number of different samples.
    """
    axes = len(input_shape) - 1
    return next(
        recipe
        for recipe in RECIPES
        if recipe.axes == axes
        and (not recipe.extent or max(input_shape[1:]) <= recipe.extent)
        and (not recipe.samples or samples <= recipe.samples)
    )
