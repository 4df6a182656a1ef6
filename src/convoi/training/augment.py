"""Augmentation: random changes of the samples, drawn anew each time that a sample is used.

What is drawn here is a few integers per sample. The compiled training step applies them while it
reads the samples, so no changed copy of a batch is ever made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from convoi.checks import check_integer, check_per_axis, refusal
from convoi.compiler import Transforms
from convoi.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.ops import Shape

__all__ = ["Augment", "as_augment"]

PerAxis: TypeAlias = "int | Sequence[int]"


@dataclass(frozen=True, eq=False)
class _Settings:
    """The settings of an augmentation, one for each spatial axis."""

    shift: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    box: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of each sample: mirrored, then shifted, then a box of it cut out.

    Attributes
    ----------
    shift : int or sequence of int, default=0
        Farthest shift along each spatial axis, in positions; the distance is drawn uniformly from
        ``-shift`` to ``shift``, and zeros move in. Zero-padding by ``shift`` and cropping at
        random is the same thing. At most the length of the axis less one.
    flip : bool, int or sequence of int, default=False
        Spatial axes along which a sample is mirrored with probability 1/2, independently of each
        other; 0 is the first spatial axis, -1 the last. True means the last one: left and right
        of an image.
    cutout : int or sequence of int, default=0
        Lengths of a box that is set to zero. Its centre lies anywhere in the sample with the same
        probability, so it may extend beyond the border. 0 along any axis cuts nothing out.

    References
    ----------
    T. DeVries and G. W. Taylor, "Improved regularization of convolutional neural networks with
    cutout", 2017, arXiv:1708.04552.

    Examples
    --------
    Moving images of 32 x 32 pixels by up to 4, and mirroring them:

    >>> import numpy as np
    >>> from convoi.training import Augment
    >>> augment = Augment(shift=4, flip=True)
    >>> transforms = augment.draw(np.random.default_rng(0), count=2, spatial=(32, 32))
    >>> transforms.shift.shape, transforms.flip.shape, transforms.cutout.shape
    ((2, 2), (2, 2), (2, 2, 2))
    """

    shift: PerAxis = 0
    flip: bool | PerAxis = False
    cutout: PerAxis = 0
    _checked_for: dict[Shape, _Settings] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What the settings are for spatial axes that they were checked for."""

    @property
    def moves(self) -> bool:
        """Whether it shifts or mirrors."""
        return bool(np.any(self.shift)) or not (self.flip is False or np.size(self.flip) == 0)

    def draw(self, rng: np.random.Generator, count: int, spatial: Shape) -> Transforms:
        """Draw the changes of ``count`` samples.

        Parameters
        ----------
        rng : Generator
            Source of randomness. The number of values that are drawn depends on nothing but the
            arguments.
        count : int
            Number of samples.
        spatial : tuple of int
            Lengths of the spatial axes.

        Returns
        -------
        Transforms
            Per sample: shifts in positions, whether each axis is mirrored, and the box to cut out
            as first position and the one after the last, in the changed sample.

        Raises
        ------
        ArgumentError
            If the settings do not fit the number or the lengths of the axes.
        """
        settings = self._checked_for.get(spatial) or self._checked(spatial)
        shift, mirrored, box = settings.shift, settings.mirrored, settings.box
        rank = len(spatial)
        shifts = rng.integers(-shift, shift, (count, rank), endpoint=True)
        flips = rng.integers(2, size=(count, rank)).astype(np.bool_) & mirrored
        centres = rng.integers(0, spatial, (count, rank))
        boxes = np.zeros((count, rank, 2), np.int64)
        if box.all():
            low = centres - box // 2
            np.maximum(low, 0, out=boxes[..., 0])
            np.minimum(low + box, spatial, out=boxes[..., 1])
        return Transforms(shift=shifts, flip=flips, cutout=boxes)

    def check(self, spatial: Shape) -> None:
        """Raise unless the settings fit samples with these spatial axes.

        Parameters
        ----------
        spatial : tuple of int
            Lengths of the spatial axes.

        Raises
        ------
        ArgumentError
            If they do not fit the number or the lengths of the axes.
        ArgumentTypeError
            If one is of a wrong type.
        """
        self._checked(spatial)

    def _checked(self, spatial: Shape) -> _Settings:
        """Return the settings for each axis, and remember them."""
        rank = len(spatial)
        if not rank:
            raise ArgumentError(
                "The samples have no spatial axes, so there is nothing to augment. "
                "Set augment=None."
            )
        shift = check_per_axis(self.shift, "shift", "Augment", rank, minimum=0)
        for distance, length in zip(shift, spatial, strict=True):
            if distance >= length:
                expectation = f"less than the lengths {spatial} of the samples' axes"
                raise ArgumentError(refusal("shift", "Augment", expectation, self.shift))
        box = check_per_axis(self.cutout, "cutout", "Augment", rank, minimum=0)
        settings = _Settings(
            np.array(shift, np.int64), self._mirrored(rank), np.array(box, np.int64)
        )
        self._checked_for[spatial] = settings
        return settings

    def _mirrored(self, rank: int) -> NDArray[np.bool_]:
        mirrored = np.zeros(rank, np.bool_)
        if isinstance(self.flip, (bool, np.bool_)):
            mirrored[-1] = self.flip
            return mirrored
        axes: object = self.flip
        if not isinstance(axes, (Sequence, np.ndarray)):
            axes = [axes]
        for axis in axes:
            number = check_integer(axis, "flip", "Augment", minimum=-rank, maximum=rank - 1)
            mirrored[number] = True
        return mirrored


def _twelfths(spatial: Shape) -> tuple[int, ...]:
    """Return a twelfth of each axis, at least one position."""
    return tuple(min(max(1, round(length / 12)), length - 1) for length in spatial)


def as_augment(augment: object, spatial: Shape, owner: str) -> Augment | None:
    """Return an augmentation that may be given by name, checked against the spatial axes.

    The names are presets whose lengths follow from those of the axes: ``"light"`` shifts by up to
    a twelfth of each axis, ``"natural"`` also mirrors the last axis, ``"strong"`` also cuts out a
    box of a quarter of each axis.
    """
    presets = {
        "light": Augment(shift=_twelfths(spatial)),
        "natural": Augment(shift=_twelfths(spatial), flip=True),
        "strong": Augment(
            shift=_twelfths(spatial), flip=True, cutout=tuple(-(-length // 4) for length in spatial)
        ),
    }
    expectation = f"an Augment, None or one of {', '.join(map(repr, presets))}"
    if augment is None:
        return None
    if isinstance(augment, str):
        if augment not in presets:
            raise ArgumentError(refusal("augment", owner, expectation, augment))
        augment = presets[augment]
    elif not isinstance(augment, Augment):
        raise ArgumentTypeError(refusal("augment", owner, expectation, augment))
    augment.check(spatial)
    return augment
