"""What a detector found: the highest scores of their neighbourhoods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.errors import MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detections:
    """What `find` found, the highest score first.

    Attributes
    ----------
    records : structured array
        Fields 'position' (per axis, where the template begins, to a fraction of a sample), 'score',
        'amplitude' (the factor that the template occurs with) and 'template' (its number).
    threshold : float
        That scores had to exceed.
    """

    records: NDArray[Any]
    threshold: float

    def __len__(self) -> int:
        return len(self.records)

    @property
    def position(self) -> NDArray[np.float64]:
        """Where the templates begin: shape (n, axes)."""
        found: NDArray[np.float64] = self.records["position"]
        return found

    @property
    def score(self) -> NDArray[np.float64]:
        """The scores, in units of sigma, or correlation coefficients."""
        found: NDArray[np.float64] = self.records["score"]
        return found

    @property
    def amplitude(self) -> NDArray[np.float64]:
        """The factors that the templates occur with."""
        found: NDArray[np.float64] = self.records["amplitude"]
        return found

    @property
    def template(self) -> NDArray[np.int64]:
        """The numbers of the templates."""
        found: NDArray[np.int64] = self.records["template"]
        return found

    def as_dataframe(self) -> Any:  # noqa: ANN401 - of several kinds
        """Return a table with a column per field and axis.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - kept out of the import
        except ImportError:
            raise MissingDependencyError.for_package(
                "pandas", purpose="Detections.as_dataframe", install="pandas"
            ) from None
        columns = {f"position_{i}": column for i, column in enumerate(self.position.T)}
        rest = {name: self.records[name] for name in ("score", "amplitude", "template")}
        return pd.DataFrame({**columns, **rest})


@dataclass(frozen=True, eq=False)
class Filtered:
    """The scores of one template, on the grid of its first element's positions."""

    score: NDArray[np.float64]
    amplitude_of_score: NDArray[np.float64] | float
    centre: tuple[int, ...]
    """The element of the template that stands for its place among templates of other sizes."""
    whitened: NDArray[np.float64]
    """What white noise would be filtered with to give such scores."""


def find_peaks(
    x: NDArray[np.float64],
    filtered: list[Filtered],
    distance: tuple[int, ...],
    threshold: float,
    max_count: int | None,
) -> NDArray[Any]:
    """Return the largest scores of their neighbourhoods, of all templates together."""
    from scipy.ndimage import maximum_filter  # noqa: PLC0415 - kept out of the import

    best = np.full(x.shape, -np.inf)
    which = np.zeros(x.shape, np.int64)
    for number, f in enumerate(filtered):
        at = tuple(slice(c, c + n) for c, n in zip(f.centre, f.score.shape, strict=True))
        better = f.score > best[at]
        best[at] = np.where(better, f.score, best[at])
        which[at] = np.where(better, number, which[at])
    around = maximum_filter(best, size=[2 * d + 1 for d in distance], mode="constant", cval=-np.inf)
    at_peaks = np.argwhere((best > threshold) & (best == around))
    order = np.argsort(-best[tuple(at_peaks.T)], kind="stable")
    kept = _without_ties(at_peaks[order], distance)[:max_count]
    record = np.dtype(
        [
            ("position", np.float64, (x.ndim,)),
            ("score", np.float64),
            ("amplitude", np.float64),
            ("template", np.int64),
        ]
    )
    found = np.zeros(len(kept), record)
    for row, place in zip(found, kept, strict=True):
        number = int(which[tuple(place)])
        f = filtered[number]
        start = tuple(int(p) - c for p, c in zip(place, f.centre, strict=True))
        factor = f.amplitude_of_score
        amplitude = factor if isinstance(factor, float) else float(factor[start])
        row["position"] = [s + _fraction(f.score, start, axis) for axis, s in enumerate(start)]
        row["score"] = f.score[start]
        row["amplitude"] = amplitude if not isinstance(factor, float) else factor * f.score[start]
        row["template"] = number
    return found


def _without_ties(places: NDArray[np.int64], distance: tuple[int, ...]) -> NDArray[np.int64]:
    """Leave out places that equal an earlier one's score and are too near to it."""
    kept: list[int] = []
    cells: dict[tuple[int, ...], list[int]] = {}
    size = np.array(distance) + 1
    neighbours = np.stack(np.meshgrid(*[[-1, 0, 1]] * len(distance), indexing="ij"), -1)
    for number, place in enumerate(places):
        cell = place // size
        near = [
            other
            for step in neighbours.reshape(-1, len(distance))
            for other in cells.get(tuple((cell + step).tolist()), [])
            if (np.abs(places[other] - place) <= distance).all()
        ]
        if not near:
            kept.append(number)
            cells.setdefault(tuple(cell.tolist()), []).append(number)
    return places[kept]


def _fraction(score: NDArray[np.float64], at: tuple[int, ...], axis: int) -> float:
    """Return how far from a sample the parabola through it and its neighbours has its top."""
    if not 0 < at[axis] < score.shape[axis] - 1:
        return 0.0
    before, after = list(at), list(at)
    before[axis] -= 1
    after[axis] += 1
    a, b, c = (float(score[tuple(place)]) for place in (before, at, after))
    curvature = a - 2 * b + c
    if not curvature < 0:
        return 0.0
    return min(0.5, max(-0.5, 0.5 * (a - c) / curvature))
