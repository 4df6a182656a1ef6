"""What a unit looks at: the parts of samples that it answers to most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_integer
from convoi.errors import ArgumentError
from convoi.graph import receptive_fields
from convoi.inspection.arguments import check_layer, check_network, samples_of, some_samples
from convoi.inspection.programs import values_program

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from convoi.graph import ReceptiveField
    from convoi.nn import Network

__all__ = ["Patch", "Peaks", "peaks", "top_patches"]

_BATCH = 128  # samples whose feature maps are in memory at a time


@dataclass(frozen=True, eq=False)
class Patch:
    """A part of a sample, and how much a unit answers to it.

    Attributes
    ----------
    sample : int
        Number of the sample.
    activation : float
        The unit's value.
    position : tuple of int
        Where in its feature map; ``()`` for a unit without positions.
    box : tuple of slice
        The unit's receptive field there: slices of the sample's spatial axes, cut where it
        reaches over the border. Empty for samples without positions.
    pixels : ndarray of shape (channels, *extents of the box)
        What is in the box.
    """

    sample: int
    activation: float
    position: tuple[int, ...]
    box: tuple[slice, ...]
    pixels: NDArray[Any]


def top_patches(
    network: Network, X: ArrayLike, layer: str, unit: int, *, count: int = 9
) -> tuple[Patch, ...]:
    """Return the parts of samples that a unit answers to most, one for each sample.

    Parameters
    ----------
    network : Network
        The network.
    X : array-like of shape (n, *input_shape)
        Samples to search.
    layer : str
        Name of a layer, as ``network.summary()`` shows it.
    unit : int
        A channel of its output, or a feature.
    count : int
        How many parts are wanted; there are fewer if there are fewer samples.

    Returns
    -------
    tuple of Patch
        The strongest first; of equal ones, the earlier sample.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If the network has no such layer or the layer no such unit, or a number is out of bounds.
    ShapeError, DataError
        If the samples have another shape, or there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import Network, inspection, nn
    >>> network = Network(nn.Conv(2, 3), (1, 8, 8), random_state=0)
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 8, 8))
    >>> best = inspection.top_patches(network, X, network.graph.nodes[0].name, 0, count=2)
    >>> best[0].pixels.shape, best[0].activation > best[1].activation
    ((1, 3, 3), True)
    """
    owner = "top_patches"
    samples = some_samples(samples_of(check_network(network, owner), X), owner)
    name = check_layer(network, layer, owner)
    units = network.graph.shape(name)[0]
    number = check_integer(unit, "unit", owner, minimum=0)
    if number >= units:
        raise ArgumentError(
            f"The 'unit' parameter of {owner} must be less than {units}, the number of channels of "
            f"{name!r}. Got {number} instead."
        )
    wanted = check_integer(count, "count", owner, minimum=1)
    return peaks(network, samples, name).top(number, wanted)


@dataclass(frozen=True, eq=False)
class Peaks:
    """The largest value of each unit of a layer in each sample, and where it is.

    Attributes
    ----------
    samples : ndarray of shape (n, *input_shape)
        The samples.
    values, places : ndarray of shape (n, units)
        The largest values, and their flat positions in the feature maps.
    extents : tuple of int
        Of the feature maps.
    field : ReceptiveField
        Of the layer.
    """

    samples: NDArray[Any]
    values: NDArray[Any]
    places: NDArray[np.int64]
    extents: tuple[int, ...]
    field: ReceptiveField

    def top(self, unit: int, count: int) -> tuple[Patch, ...]:
        """Return the patches that a unit answers to most."""
        best = np.argsort(-self.values[:, unit], kind="stable")[:count]
        return tuple(self._patch(sample, unit) for sample in best.tolist())

    def _patch(self, sample: int, unit: int) -> Patch:
        flat = int(self.places[sample, unit])
        position = tuple(map(int, np.unravel_index(flat, self.extents))) if self.extents else ()
        axes = self.samples.ndim - 2
        box = self.field.box(position) or (slice(0, 0),) * axes
        pixels = self.samples[(sample, slice(None), *box)].copy()
        return Patch(sample, float(self.values[sample, unit]), position, box, pixels)


def peaks(network: Network, samples: NDArray[Any], layer: str) -> Peaks:
    """Return the peaks of all units of a layer."""
    program = values_program(network, (layer,))
    values, places = [], []
    for start in range(0, len(samples), _BATCH):
        maps = program(samples[start : start + _BATCH])[layer]
        flat = maps.reshape(*maps.shape[:2], -1)
        places.append(flat.argmax(axis=2))
        values.append(flat.max(axis=2))
    field = receptive_fields(network.graph)[layer]
    extents = network.graph.shape(layer)[1:]
    return Peaks(samples, np.concatenate(values), np.concatenate(places), extents, field)
