"""Programs compiled to look into networks, kept as long as their network."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from convoi.compiler import ValuesProgram, VectorJacobianProgram

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from convoi.compiler.pipeline import Precision
    from convoi.nn import Network
    from convoi.ops import Array

__all__ = ["gradient_program", "values_program"]

_KEPT = 8  # programs of a network: their activations take memory


class _Program(Protocol):
    def load(self, parameters: Mapping[str, Array]) -> None:
        """Take over parameters."""


class _Programs:
    """The programs of one network, the latest ones used."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[object, tuple[_Program, dict[str, Array]]] = OrderedDict()

    def get(self, key: object, network: Network, make: Callable[[], _Program]) -> Any:  # noqa: ANN401 - what make returns
        """Return a program that has the network's parameters."""
        parameters = network.parameters
        with self._lock:
            program, loaded = self._kept.pop(key, (None, {}))
            # Networks replace their arrays and never change them.
            if program is None or any(loaded[name] is not parameters[name] for name in parameters):
                program = make()
                program.load(parameters)
            self._kept[key] = program, parameters
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return program


_PROGRAMS: WeakKeyDictionary[Network, _Programs] = WeakKeyDictionary()


def values_program(
    network: Network, values: tuple[str, ...], *, precision: Precision | None = None
) -> ValuesProgram:
    """Return the program that computes values of a network, by default in its precision."""
    settings = _settings(network)
    if precision is not None:
        settings["precision"] = precision

    def make() -> ValuesProgram:
        return ValuesProgram(network.graph, values, **settings)

    key = (values, settings["precision"])
    program: ValuesProgram = _of(network).get(key, network, make)
    return program


def gradient_program(network: Network, value: str) -> VectorJacobianProgram:
    """Return the program that differentiates a network's output by one of its values."""

    def make() -> VectorJacobianProgram:
        return VectorJacobianProgram(network.graph, value, **_settings(network))

    program: VectorJacobianProgram = _of(network).get(("gradient", value), network, make)
    return program


def _of(network: Network) -> _Programs:
    return _PROGRAMS.setdefault(network, _Programs())


def _settings(network: Network) -> dict[str, Any]:
    return {
        "dtype": network.dtype.name,
        "threads": network.threads,
        "precision": network.precision,
    }
