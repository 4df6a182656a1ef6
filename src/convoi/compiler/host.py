"""What programs of both directions share on the host: parameters in memory, sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convoi.compiler.boundary import PACK
from convoi.compiler.memory import PARAMETERS, STATISTICS, TRANSPOSED, ParameterPlace
from convoi.errors import ArgumentError, ShapeError
from convoi.kernels.base import kernel_address
from convoi.kernels.packing import Pack, sample_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from convoi.codegen.target import Target
    from convoi.compiler.pipeline import Compiled
    from convoi.compiler.sources import Source
    from convoi.ops import Array, ParameterSpec
    from convoi.runtime.program import Instance


def check_parameters(
    specs: Mapping[str, ParameterSpec], given: Mapping[str, Array], what: str = "parameters"
) -> None:
    """Refuse arrays that are missing or have another shape than their parameter."""
    missing = [name for name in specs if name not in given]
    if missing:
        message = f"The {what} must hold an array for {missing[0]!r}, got only {sorted(given)}."
        raise ArgumentError(message)
    for name, spec in specs.items():
        shape = np.shape(given[name])
        if shape != spec.shape:
            message = f"The {what} must hold {name!r} of shape {spec.shape}, got {shape}."
            raise ShapeError(message)


def complete_parameters(compiled: Compiled, parameters: Mapping[str, Array]) -> dict[str, Array]:
    """Return the parameters with those that recipes make of them."""
    made = {name: recipe(parameters) for name, recipe in compiled.recipes.items()}
    return {**parameters, **made}


def typed_memory(instance: Instance, buffer: str, dtype: str) -> Array:
    """Return a buffer as an array of a dtype."""
    return instance.memory(buffer).view(dtype)


def store_parameters(
    instance: Instance, compiled: Compiled, parameters: Mapping[str, Array], dtype: str
) -> None:
    """Write all packings of the parameters, and the constants, into an instance's memory."""
    arrays = complete_parameters(compiled, parameters)
    buffers = {
        name: typed_memory(instance, name, dtype) for name in (PARAMETERS, TRANSPOSED, STATISTICS)
    }
    for place in compiled.memory.places.values():
        packing = place.packing
        end = place.offset + packing.size
        packed = packing.pack(arrays[packing.parameter], dtype)
        buffers[place.buffer][place.offset : end] = packed
    for constant in compiled.constants.values():
        memory = typed_memory(instance, constant.name, dtype)
        memory[: constant.numbers.size] = constant.numbers.ravel()


def read_parameter(
    instance: Instance, place: ParameterPlace, shape: tuple[int, ...], dtype: str
) -> Array:
    """Return a parameter from an instance's memory."""
    memory = typed_memory(instance, place.buffer, dtype)
    packed = memory[place.offset : place.offset + place.packing.size]
    return place.packing.unpack(packed, shape)


class Packer:
    """The packing kernels of a program, one for each dtype and arrangement of a source."""

    def __init__(self, compiled: Compiled, target: Target, *, augment: bool) -> None:
        self._layout = compiled.input
        self._target = target
        self._augment = augment
        self._addresses: dict[tuple[str, bool, bool], int] = {}

    def set_source(self, instance: Instance, source: Source) -> None:
        """Let an instance pack samples of a source."""
        instance.set_kernel(PACK, self.address(source))

    def address(self, source: Source) -> int:
        """Return the address of the kernel for a source."""
        key = (source.dtype, source.contiguous, source.channels_last)
        address = self._addresses.get(key)
        if address is None:
            dtype, contiguous, channels_last = key
            kernel = Pack(
                self._layout,
                dtype,
                self._augment,
                contiguous=contiguous,
                channels_last=channels_last,
            )
            address = self._addresses[key] = kernel_address(kernel, self._target)
        return address


def sample_table(
    rank: int, indices: NDArray[np.int64] | None, samples: int, *, augment: bool
) -> NDArray[np.void]:
    """Return the table of samples to pack, without moves, flips or boxes.

    A table of nothing but indices is the array of indices itself.
    """
    rows = np.arange(samples) if indices is None else indices
    record = sample_record(rank, augment=augment)
    if record.itemsize == rows.itemsize:
        return rows.view(record)
    table = np.zeros(samples, record)
    table["index"] = rows
    return table
