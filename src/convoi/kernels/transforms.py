"""Linear maps of a line of vectors, as straight code: the transforms of fast convolutions.

A map is given by its matrix, or by a flow: sums of earlier values, one after the other, whose
product is the matrix. A flow turned round is the transposed map, of about as many operations.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from convoi.codegen.types import Value, constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convoi.codegen.builder import Function

Matrix: TypeAlias = tuple[tuple[float, ...], ...]
Place: TypeAlias = tuple[int, ...]
Sum: TypeAlias = tuple[tuple[int, float], ...]
"""Numbers of values, each with its factor."""


class Transform(ABC):
    """A linear map from some values to others."""

    @property
    @abstractmethod
    def inputs(self) -> int:
        """How many values it reads."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many values it makes."""

    @property
    @abstractmethod
    def operations(self) -> int:
        """How many operations on vectors it takes."""

    @property
    @abstractmethod
    def transposed(self) -> Transform:
        """The map whose matrix has rows and columns exchanged."""

    @abstractmethod
    def matrix(self) -> NDArray[np.float64]:
        """Return its matrix ``(outputs, inputs)``."""

    @abstractmethod
    def emit(self, f: Function, values: Sequence[Value]) -> list[Value]:
        """Emit its application to a line of values."""

    def along(self, f: Function, values: dict[Place, Value], axis: int) -> dict[Place, Value]:
        """Emit its application to all lines along one axis of a grid of values."""
        lines: dict[Place, dict[int, Value]] = {}
        for place, value in values.items():
            rest = (*place[:axis], *place[axis + 1 :])
            lines.setdefault(rest, {})[place[axis]] = value
        results = {}
        for rest, line in lines.items():
            products = self.emit(f, [line[j] for j in range(len(line))])
            for i, value in enumerate(products):
                results[(*rest[:axis], i, *rest[axis:])] = value
        return results


@dataclass(frozen=True)
class Form(ABC):
    """The transforms of a correlation, ``y = output(weight(w) * input(x))``."""

    outputs: int
    """Outputs of a tile."""
    taps: int

    @property
    def reach(self) -> int:
        """Inputs of a tile."""
        return self.outputs + self.taps - 1

    @property
    @abstractmethod
    def size(self) -> int:
        """Products of a tile."""

    @property
    @abstractmethod
    def operations(self) -> tuple[float, float]:
        """How many operations the transforms of a tile's inputs and outputs take, about."""

    @property
    @abstractmethod
    def input(self) -> Transform:
        """Of the inputs of a tile."""

    @property
    @abstractmethod
    def output(self) -> Transform:
        """Of the sums of products, to the outputs of a tile."""

    @property
    @abstractmethod
    def weight(self) -> Transform:
        """Of the taps."""

    def weight_matrix(self, rank: int) -> NDArray[np.float64]:
        """Return the matrix ``(transformed positions, taps)`` that transforms weights."""
        matrix = self.weight.matrix()
        result: NDArray[np.float64] = np.ones((1, 1))
        for _ in range(rank):
            result = np.asarray(np.kron(result, matrix), np.float64)
        return result


@dataclass(frozen=True)
class MatrixTransform(Transform):
    """A small matrix, row by row."""

    rows: Matrix

    @property
    def inputs(self) -> int:
        """Its columns."""
        return len(self.rows[0])

    @property
    def outputs(self) -> int:
        """Its rows."""
        return len(self.rows)

    @property
    def operations(self) -> int:
        """Those of its rows, and of what pairs of them have in common."""
        return _operations(self.rows)

    @property
    def transposed(self) -> MatrixTransform:
        """The matrix with its axes exchanged."""
        return MatrixTransform(_transposed(self.rows))

    def matrix(self) -> NDArray[np.float64]:
        """Return it as an array."""
        return np.array(self.rows, np.float64)

    def emit(self, f: Function, values: Sequence[Value]) -> list[Value]:
        """Emit its product with a line of values."""
        return _product(f, self.rows, values)


@dataclass(frozen=True)
class Flow(Transform):
    """Sums of inputs and earlier sums.

    Values are numbered: first the inputs, then the sums.
    """

    count: int
    """Inputs."""
    sums: tuple[Sum, ...]
    results: tuple[int, ...]

    @property
    def inputs(self) -> int:
        """Values that it reads."""
        return self.count

    @property
    def outputs(self) -> int:
        """Its results."""
        return len(self.results)

    @property
    def operations(self) -> int:
        """Those of its sums."""
        return sum(_terms([factor for _, factor in row]) for row in self.sums)

    @property
    def transposed(self) -> Flow:
        """The sums in reverse order: what read a value adds to it."""
        readers: dict[int, list[tuple[int, float]]] = {}
        for place, value in enumerate(self.results):
            readers.setdefault(value, []).append((place, 1.0))
        flow = FlowBuilder(len(self.results))
        for number in reversed(range(self.count + len(self.sums))):
            total = flow.add(*readers.get(number, ()))
            if number < self.count:
                readers[number] = [] if total is None else [(total, 1.0)]
                continue
            for value, factor in self.sums[number - self.count]:
                if total is not None:
                    readers.setdefault(value, []).append((total, factor))
        return flow.flow([readers[i][0][0] for i in range(self.count)])

    def matrix(self) -> NDArray[np.float64]:
        """Return what becomes of the inputs one by one."""
        values = list(np.eye(self.count))
        for row in self.sums:
            values.append(np.sum([factor * values[i] for i, factor in row], axis=0))
        return np.array([values[i] for i in self.results])

    def emit(self, f: Function, values: Sequence[Value]) -> list[Value]:
        """Emit all sums in their order."""
        known = list(values)
        for row in self.sums:
            known.append(combine(f, [c for _, c in row], [known[i] for i, _ in row]))
        return [known[i] for i in self.results]


class FlowBuilder:
    """Makes a flow, sum by sum. A value that is known to be zero is None."""

    NEGLIGIBLE = 1e-12
    """Factors that are zero but for rounding."""

    def __init__(self, inputs: int) -> None:
        self._inputs = inputs
        self._sums: list[Sum] = []

    def add(self, *terms: tuple[int | None, float]) -> int | None:
        """Return the number of a sum of values times factors."""
        factors: dict[int, float] = {}
        for value, factor in terms:
            if value is not None:
                factors[value] = factors.get(value, 0.0) + factor
        row = tuple((v, c) for v, c in factors.items() if abs(c) > self.NEGLIGIBLE)
        if not row:
            return None
        if len(row) == 1 and row[0][1] == 1:
            return row[0][0]
        self._sums.append(row)
        return self._inputs + len(self._sums) - 1

    def flow(self, results: Sequence[int | None]) -> Flow:
        """Return the flow to some results, with the sums that they need."""
        wanted = [value for value in results if value is not None]
        if len(wanted) < len(results):
            message = "a result that is always zero"
            raise ValueError(message)
        needed = set(wanted)
        for number in reversed(range(len(self._sums))):
            if self._inputs + number in needed:
                needed.update(value for value, _ in self._sums[number])
        kept = [n for n in range(len(self._sums)) if self._inputs + n in needed]
        place = {self._inputs + n: self._inputs + i for i, n in enumerate(kept)}
        place |= {i: i for i in range(self._inputs)}
        sums = tuple(tuple((place[v], c) for v, c in self._sums[n]) for n in kept)
        return Flow(self._inputs, sums, tuple(place[value] for value in wanted))


def _transposed(matrix: Matrix) -> Matrix:
    """Return a matrix with its axes exchanged."""
    return tuple(zip(*matrix, strict=True))


def _operations(matrix: Matrix) -> int:
    """Return how many operations on vectors the product of a matrix with a line takes."""
    columns = _pairs(_transposed(matrix))
    if columns:
        return 2 * len(columns) + sum(map(_terms, _rows_of_sums(matrix, columns)))
    rows = _pairs(matrix)
    total = 0
    for i, row in enumerate(matrix):
        if i in rows:
            same, opposite = _split(row, matrix[i + 1])
            total += _terms(same.factors) + _terms(opposite.factors) + 2
            total += same.scale != 1 and opposite.scale != 1
        elif i - 1 not in rows:
            total += _terms(row)
    return total


def _terms(row: Sequence[float]) -> int:
    """Return how many operations a sum takes that begins with a coefficient 1, if there is one."""
    factors = [factor for factor in row if factor]
    return len(factors) - any(abs(factor) == 1 for factor in factors)


def _product(f: Function, matrix: Matrix, values: Sequence[Value]) -> list[Value]:
    """Emit the product of a matrix with a line of values.

    Points of opposite sign make pairs of rows, or of columns, that differ in signs only; what the
    two have in common is computed once.
    """
    columns = _pairs(_transposed(matrix))
    if columns:
        return _product_of_sums(f, matrix, values, columns)
    results: list[Value] = []
    rows = _pairs(matrix)
    for i, row in enumerate(matrix):
        if i in rows:
            results.extend(_pair_of_rows(f, row, matrix[i + 1], values))
        elif i - 1 not in rows:
            results.append(combine(f, row, values))
    return results


def _pairs(matrix: Matrix) -> list[int]:
    """Return the rows that equal the next one up to signs, in more than one place."""
    found: list[int] = []
    for i, (row, following) in enumerate(itertools.pairwise(matrix)):
        same = sum(a == b != 0 for a, b in zip(row, following, strict=True))
        opposite = sum(a == -b != 0 for a, b in zip(row, following, strict=True))
        alike = all(abs(a) == abs(b) for a, b in zip(row, following, strict=True))
        if alike and same and opposite and i - 1 not in found:
            found.append(i)
    return found


def _product_of_sums(
    f: Function, matrix: Matrix, values: Sequence[Value], columns: Sequence[int]
) -> list[Value]:
    """Emit a product whose pairs of columns take the sum or the difference of two values."""
    values = list(values)
    for j in columns:
        a, b = values[j], values[j + 1]
        values[j : j + 2] = f.fadd(a, b), f.fsub(a, b)
    return [combine(f, row, values) for row in _rows_of_sums(matrix, columns)]


def _rows_of_sums(matrix: Matrix, columns: Sequence[int]) -> list[list[float]]:
    """Return what is multiplied with sums and differences instead of pairs of columns."""
    rows = [list(row) for row in matrix]
    for row in rows:
        for j in columns:
            row[j : j + 2] = (row[j], 0.0) if row[j] == row[j + 1] else (0.0, row[j])
    return rows


@dataclass(frozen=True)
class _Part:
    """What two rows have in common: a scale, and coefficients of which one is 1 (or -1)."""

    scale: float
    factors: tuple[float, ...]

    @classmethod
    def of(cls, factors: Sequence[float]) -> _Part:
        """Return the part of some coefficients."""
        found = [factor for factor in factors if factor]
        scale = 1.0 if any(abs(factor) == 1 for factor in found) else found[0]
        return cls(scale, tuple(factor / scale for factor in factors))


def _split(row: Sequence[float], following: Sequence[float]) -> tuple[_Part, _Part]:
    """Return the parts of a row that the following one has with the same and the opposite sign."""
    same = [a if a == b else 0.0 for a, b in zip(row, following, strict=True)]
    opposite = [a if a != b else 0.0 for a, b in zip(row, following, strict=True)]
    return _Part.of(same), _Part.of(opposite)


def _pair_of_rows(
    f: Function, row: Sequence[float], following: Sequence[float], values: Sequence[Value]
) -> tuple[Value, Value]:
    """Emit e + o and e - o: the part that two rows have in common, and that of opposite sign."""
    same, opposite = _split(row, following)
    e, o = (combine(f, part.factors, values) for part in (same, opposite))
    if same.scale != 1 and opposite.scale == 1:
        return combine(f, (same.scale, 1), (e, o)), combine(f, (same.scale, -1), (e, o))
    if same.scale != 1:
        e = f.fmul(e, constant(e.type, same.scale))
    return combine(f, (1, opposite.scale), (e, o)), combine(f, (1, -opposite.scale), (e, o))


def combine(f: Function, factors: Sequence[float], values: Sequence[Value]) -> Value:
    """Emit the sum of some vectors times constants."""
    total: Value | None = None
    for factor, value in sorted(
        zip(factors, values, strict=True), key=lambda pair: (abs(pair[0]) != 1, pair[0] < 0)
    ):
        if factor == 0:
            continue
        if total is None:
            total = value if factor == 1 else _scaled(f, value, factor)
        elif factor == 1:
            total = f.fadd(total, value)
        elif factor == -1:
            total = f.fsub(total, value)
        else:
            total = f.fma(value, constant(value.type, factor), total)
    return total if total is not None else constant(values[0].type, 0)


def _scaled(f: Function, value: Value, factor: float) -> Value:
    """Emit a value times a constant; a change of sign melts into what follows."""
    if factor == -1:
        return f.emit(value.type, f"fneg {value.type} {value.text}")
    return f.fmul(value, constant(value.type, factor))
