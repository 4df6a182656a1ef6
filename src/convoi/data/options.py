"""How a source is to be read: one value that the readers hand on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from convoi.checks import check_choice, check_flag, check_per_axis, refusal
from convoi.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

Label: TypeAlias = "str | int"
"""What a class is called."""

Layout: TypeAlias = Literal["auto", "no_channels", "channels_first", "channels_last"]
Task: TypeAlias = Literal["auto", "classification", "regression"]
Fit: TypeAlias = Literal["crop", "stretch"]
OnError: TypeAlias = Literal["raise", "skip"]
ImageSize: TypeAlias = "int | Sequence[int]"
"""(height, width), or one number for both."""


@dataclass(frozen=True)
class ReadOptions:
    """The keyword arguments of ``open_source``, which documents them.

    Those for images are checked by ``ImageFiles``, too, which can be made without a source.
    """

    layout: Layout = "auto"
    task: Task = "auto"
    classes: tuple[Label, ...] | None = None
    labelled: bool = True
    image_size: ImageSize | None = None
    channels: int | None = None
    fit: Fit = "crop"
    on_error: OnError = "raise"

    def __post_init__(self) -> None:
        owner = "open_source"
        check_choice(self.layout, "layout", owner, get_args(Layout))
        check_choice(self.task, "task", owner, get_args(Task))
        check_flag(self.labelled, "labelled", owner)
        check_image_size(self.image_size, owner)
        check_channels(self.channels, owner)
        check_fit(self.fit, owner)
        check_on_error(self.on_error, owner)

    def with_classes(self, classes: Sequence[Label] | None) -> ReadOptions:
        """Return the options for data whose classes are known."""
        return replace(self, classes=None if classes is None else tuple(classes))


def check_image_size(image_size: ImageSize | None, owner: str) -> tuple[int, int] | None:
    """Return ``(height, width)``; one number stands for both."""
    if image_size is None:
        return None
    height, width = check_per_axis(image_size, "image_size", owner, 2, minimum=1)
    return height, width


def check_channels(channels: int | None, owner: str) -> int | None:
    """Return a number of channels that any image can be converted to."""
    if channels not in {None, 1, 3}:
        expectation = "1 (grey), 3 (red, green, blue) or None"
        raise ArgumentError(refusal("channels", owner, expectation, channels))
    return channels


def check_fit(fit: Fit, owner: str) -> Fit:
    """Return a way of bringing images to one size."""
    choices: tuple[Fit, ...] = get_args(Fit)
    return check_choice(fit, "fit", owner, choices)


def check_on_error(on_error: OnError, owner: str) -> OnError:
    """Return what is done about images that cannot be read."""
    choices: tuple[OnError, ...] = get_args(OnError)
    return check_choice(on_error, "on_error", owner, choices)
