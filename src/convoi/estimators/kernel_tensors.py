"""Random kernels in model files: their tensors, and the entries that tell the sizes of these.

==========  ===================================================================================
Entry       Value
==========  ===================================================================================
dilations   Of MiniRocket: how many dilations
biases      Of MiniRocket: how many biases
kernels     Of Rocket: how many kernels
weights     Of Rocket: how many weights
choices     Of either: how many choices of a channel, or null
==========  ===================================================================================

The tensors are the attributes of the kernels, under their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convoi.estimators.model_fields import refuse, size_of
from convoi.nn.tensor_file import TensorSpec
from convoi.signal import MiniRocketKernels, RocketKernels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from numpy.typing import NDArray

    Tensors: TypeAlias = Mapping[str, NDArray[Any]]
    Sizes: TypeAlias = dict[str, tuple[int, str]]

_COMBINATIONS = 84
"""Of MiniRocket's kernels, for each dilation."""
_CHOICES = "channel_indices"


class _MiniRocket:
    """MiniRocket's kernels."""

    counts = "channels_per_combination"

    def described(
        self, kernels: MiniRocketKernels
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the entries and the tensors."""
        names = ("dilations", "features_per_dilation", "biases", self.counts, _CHOICES)
        entries = {
            "dilations": len(kernels.dilations),
            "biases": len(kernels.biases),
            "choices": _length(kernels.channel_indices),
        }
        return entries, _present(kernels, names)

    def specs(self, entries: Mapping[str, Any]) -> dict[str, TensorSpec]:
        """Return what the tensors have to be."""
        dilations = size_of(entries, "dilations")
        sizes = {
            "dilations": (dilations, "int64"),
            "features_per_dilation": (dilations, "int64"),
            "biases": (size_of(entries, "biases"), "float32"),
        }
        return _specs(sizes, entries, self.counts, _COMBINATIONS * dilations)

    def restored(self, tensors: Tensors, channels: int) -> MiniRocketKernels:
        """Return the kernels for series of some channels."""
        # Bounded one by one: their sum, which sizes follow from, must not overflow.
        if int(tensors["features_per_dilation"].max()) > len(tensors["biases"]):
            refuse("The tensor 'features_per_dilation' is invalid.")
        _check_choices(tensors, self.counts, channels)
        return MiniRocketKernels(**tensors)


class _Rocket:
    """Rocket's kernels."""

    counts = "channels_per_kernel"

    def described(self, kernels: RocketKernels) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the entries and the tensors."""
        names = ("lengths", "dilations", "paddings", "biases", "weights", self.counts, _CHOICES)
        entries = {
            "kernels": len(kernels),
            "weights": len(kernels.weights),
            "choices": _length(kernels.channel_indices),
        }
        return entries, _present(kernels, names)

    def specs(self, entries: Mapping[str, Any]) -> dict[str, TensorSpec]:
        """Return what the tensors have to be."""
        kernels = size_of(entries, "kernels")
        sizes = {
            "lengths": (kernels, "int64"),
            "dilations": (kernels, "int64"),
            "paddings": (kernels, "int64"),
            "biases": (kernels, "float32"),
            "weights": (size_of(entries, "weights"), "float32"),
        }
        return _specs(sizes, entries, self.counts, kernels)

    def restored(self, tensors: Tensors, channels: int) -> RocketKernels:
        """Return the kernels for series of some channels."""
        _check_choices(tensors, self.counts, channels)
        return RocketKernels(**tensors)


MINIROCKET = _MiniRocket()
ROCKET = _Rocket()


def _length(choices: NDArray[Any] | None) -> int | None:
    return None if choices is None else len(choices)


def _present(kernels: object, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    arrays = {name: getattr(kernels, name) for name in names}
    return {name: array for name, array in arrays.items() if array is not None}


def _specs(
    sizes: Sizes, entries: Mapping[str, Any], counts: str, combinations: int
) -> dict[str, TensorSpec]:
    if entries.get("choices") is not None:
        choices = {counts: combinations, _CHOICES: size_of(entries, "choices")}
        sizes = sizes | {name: (size, "int64") for name, size in choices.items()}
    return {name: TensorSpec((size,), (kind,)) for name, (size, kind) in sizes.items()}


def _check_choices(tensors: Tensors, counts: str, channels: int) -> None:
    """Require channels that the series have."""
    if counts not in tensors:
        return
    if int(tensors[counts].max()) > channels or int(tensors[_CHOICES].max()) >= channels:
        refuse(f"The tensor {_CHOICES!r} is invalid: there are {channels} channels.")
