"""What is found in a network, drawn with matplotlib: one call for each of the functions.

Each returns a :class:`matplotlib.figure.Figure`, which notebooks show and ``savefig`` writes. They
take arrays with one spatial axis (curves along time) or two (images).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.errors import ShapeError
from convoi.inspection.pictures import grey, require_plots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from convoi.inspection.calibration import Calibration
    from convoi.inspection.patches import Patch

__all__ = [
    "plot_attribution",
    "plot_calibration",
    "plot_feature_maps",
    "plot_kernels",
    "plot_patches",
]

_COLUMNS = 8
_MOST = 64  # small pictures in one figure


def plot_kernels(kernels: ArrayLike, *, channel: int | None = None) -> Figure:
    """Draw kernels: red weights are positive, blue ones negative, on one scale.

    Parameters
    ----------
    kernels : array-like of shape (filters, channels, *kernel)
        As :func:`convoi.inspection.kernels` returns them, over one or two axes. The first 64 are
        drawn.
    channel : int, optional
        The input channel to draw; by default the mean over them.

    Returns
    -------
    matplotlib.figure.Figure
        A picture for each kernel.

    Raises
    ------
    ShapeError
        If the kernels have another number of axes.
    MissingDependencyError
        If matplotlib is not installed.
    """
    array = _grids(kernels, "kernels", "plot_kernels")
    drawn = array.mean(axis=1) if channel is None else array[:, channel]
    return _small_pictures(drawn, diverging=True)


def plot_feature_maps(maps: ArrayLike) -> Figure:
    """Draw the feature maps of one sample, on one scale: bright is large.

    Parameters
    ----------
    maps : array-like of shape (channels, *spatial)
        A row of what :func:`convoi.inspection.feature_maps` returns for a layer, over one or two
        axes. The first 64 channels are drawn.

    Returns
    -------
    matplotlib.figure.Figure
        A picture for each channel.

    Raises
    ------
    ShapeError
        If the maps have another number of axes.
    MissingDependencyError
        If matplotlib is not installed.
    """
    array = _grids(np.asarray(maps)[None], "maps", "plot_feature_maps")
    return _small_pictures(array[0], diverging=False)


def plot_patches(patches: Sequence[Patch], X: ArrayLike) -> Figure:
    """Draw what a unit looks at: samples, with the unit's receptive field framed.

    Parameters
    ----------
    patches : sequence of Patch
        From :func:`convoi.inspection.top_patches`.
    X : array-like of shape (n, channels, *spatial)
        The samples that were searched, over one or two axes.

    Returns
    -------
    matplotlib.figure.Figure
        A picture for each patch, with the unit's value above it.

    Raises
    ------
    ShapeError
        If the samples have another number of axes.
    MissingDependencyError
        If matplotlib is not installed.
    """
    array = _grids(X, "X", "plot_patches")
    figure, axes = _grid(len(patches), 1.6)
    for ax, patch in zip(axes, patches, strict=True):
        draw_sample(ax, array[patch.sample], (array.min(), array.max()))
        frame(ax, patch.box)
        ax.set_title(f"{patch.activation:.3g}", fontsize=8)
    return figure


def plot_attribution(x: ArrayLike, values: ArrayLike) -> Figure:
    """Draw a sample beside what speaks for a prediction in it.

    Parameters
    ----------
    x : array-like of shape (channels, *spatial)
        The sample, over one or two axes.
    values : array-like of shape spatial, or (channels, *spatial)
        A row of what :func:`convoi.inspection.grad_cam`, :func:`convoi.inspection.saliency` or
        :func:`convoi.inspection.integrated_gradients` returns; channels are summed.

    Returns
    -------
    matplotlib.figure.Figure
        Two pictures; numbers that may be negative are red where positive and blue where negative.

    Raises
    ------
    ShapeError
        If the sample has another number of axes, or the shapes do not fit.
    MissingDependencyError
        If matplotlib is not installed.
    """
    sample = _grids(np.asarray(x)[None], "x", "plot_attribution")[0]
    found = np.asarray(values, np.float64)
    found = found.sum(axis=0) if found.ndim == sample.ndim else found
    if found.shape != sample.shape[1:]:
        raise ShapeError(
            f"The 'values' parameter of plot_attribution must have the shape {sample.shape[1:]} or "
            f"{sample.shape}. Got {np.shape(values)} instead."
        )
    figure, axes = _grid(2, 2.6)
    draw_sample(axes[0], sample, (sample.min(), sample.max()))
    limit = float(np.abs(found).max()) or 1.0
    signed = bool((found < 0).any())
    _draw(axes[1], found, -limit if signed else 0.0, limit, "RdBu_r" if signed else "inferno")
    return figure


def plot_calibration(calibration: Calibration) -> Figure:
    """Draw a reliability diagram: accuracy over confidence, with the number of predictions.

    Parameters
    ----------
    calibration : Calibration
        From :func:`convoi.inspection.calibration`.

    Returns
    -------
    matplotlib.figure.Figure
        Bars on the diagonal are right about themselves.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    require_plots("Drawing")
    from matplotlib.figure import Figure  # noqa: PLC0415 - an optional package

    figure = Figure(figsize=(4.5, 4.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = calibration.edges
    above.bar(edges[:-1], np.nan_to_num(calibration.accuracy), np.diff(edges), align="edge",
              label="accuracy", edgecolor="white", linewidth=0.5)  # fmt: skip
    above.plot((0, 1), (0, 1), "--", color="C1", label="confidence")
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="Accuracy")
    above.legend(loc="upper left", frameon=False)
    below.bar(edges[:-1], calibration.count, np.diff(edges), align="edge", edgecolor="white",
              linewidth=0.5)  # fmt: skip
    below.set(xlabel="Confidence", ylabel="Predictions")
    return figure


def draw_sample(ax: Axes, sample: NDArray[Any], limits: tuple[float, float]) -> None:
    """Draw a sample: a curve for each channel, or an image."""
    if sample.ndim == 2:
        for curve in sample:
            ax.plot(curve, linewidth=1)
        ax.set_xlim(0, max(sample.shape[1] - 1, 1))
        ax.set_yticks([])
    else:
        ax.imshow(grey(sample, *limits), interpolation="none")
        ax.set_axis_off()


def frame(ax: Axes, box: Sequence[slice]) -> None:
    """Frame a box of a sample: positions of a curve, or pixels."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - an optional package

    if len(box) == 1:
        ax.axvspan(box[0].start, max(box[0].stop - 1, box[0].start), color="C1", alpha=0.3, lw=0)
        return
    rows, columns = box
    corner = (columns.start - 0.5, rows.start - 0.5)
    extent = (columns.stop - columns.start, rows.stop - rows.start)
    ax.add_patch(Rectangle(corner, *extent, fill=False, edgecolor="C1", linewidth=1.5))


def _draw(ax: Axes, values: NDArray[Any], low: float, high: float, colours: str) -> None:
    """Draw numbers over one axis as a curve, over two as colours."""
    if values.ndim == 1:
        ax.plot(values, linewidth=1)
        ax.axhline(0, color="grey", linewidth=0.5)
        ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        ax.set_yticks([])
    else:
        ax.imshow(values, colours, vmin=low, vmax=high, interpolation="none")
        ax.set_axis_off()


def _small_pictures(arrays: NDArray[Any], *, diverging: bool) -> Figure:
    limit = float(np.abs(arrays).max()) or 1.0
    low = -limit if diverging else float(min(arrays.min(), 0))
    shown = arrays[:_MOST]
    figure, axes = _grid(len(shown), 1.0)
    for ax, array in zip(axes, shown, strict=True):
        _draw(ax, array, low, limit, "RdBu_r" if diverging else "inferno")
    return figure


def _grid(count: int, inches: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many axes in rows."""
    require_plots("Drawing")
    from matplotlib.figure import Figure  # noqa: PLC0415 - an optional package

    columns = max(min(count, _COLUMNS), 1)
    rows = max(math.ceil(count / columns), 1)
    figure = Figure(figsize=(columns * inches, rows * inches), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, axes[:count]


def _grids(values: ArrayLike, name: str, owner: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim not in {3, 4}:
        raise ShapeError(
            f"The {name!r} parameter of {owner} must have one or two spatial axes. Got an array of "
            f"shape {array.shape} instead."
        )
    return array
