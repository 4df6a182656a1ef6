"""Draws the pictures of "Why convolution works": ``python docs/_why_pictures.py``.

The figures are computed by Convoi. Needs matplotlib, which ``pip install convoi[plot]`` brings.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import convoi
from convoi import inspection, nn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = Path(__file__).parent / "images"
GREY, TEAL, ORANGE = "#808080", "#1d9a8f", "#e8703a"
COLOURS = (TEAL, ORANGE, "#8466c4", "#c2a20a", "#3f7fd0")
mpl.rcParams.update(
    {
        "svg.hashsalt": "convoi",  # the same picture is the same file
        "font.size": 9,
        "text.color": GREY,
        "axes.edgecolor": GREY,
        "axes.labelcolor": GREY,
        "axes.titlecolor": GREY,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def main() -> None:
    """Draw all pictures."""
    sum_picture()
    detection_picture()
    connections_picture()
    equivariance_picture()
    curves_picture()


def save(figure: Figure, name: str) -> None:
    """Write a picture that suits light and dark pages."""
    figure.savefig(
        FOLDER / f"why-{name}.svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
    )
    plt.close(figure)


def numbers(axes: Axes, array: np.ndarray, title: str, form: str = "{:.0f}") -> None:
    """Draw an array as a grid of shaded numbers."""
    top = np.abs(array).max()
    axes.imshow(array, cmap="RdBu", vmin=-2 * top, vmax=2 * top)  # pale, under dark numbers
    for (row, column), value in np.ndenumerate(array):
        axes.text(column, row, form.format(value), ha="center", va="center", color="#222222")
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])


def sum_picture() -> None:
    """Draw one window of an image, the kernel, the products and their sum."""
    image = np.array([[0, 0, 2, 2, 2], [0, 0, 2, 2, 2], [0, 0, 2, 2, 2], [0, 0, 0, 0, 0]])
    kernel = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])
    window = image[:3, 1:4]
    result = convoi.correlate(image, kernel, mode="valid")
    figure, axes = plt.subplots(1, 4, figsize=(8, 2.1), width_ratios=(5, 3, 3, 3))
    numbers(axes[0], image, "input $x$")
    axes[0].add_patch(plt.Rectangle((0.5, -0.5), 3, 3, fill=False, edgecolor=ORANGE, linewidth=2))
    numbers(axes[1], kernel, "kernel $w$")
    numbers(axes[2], window * kernel, f"products: their sum is {(window * kernel).sum()}")
    numbers(axes[3], result, "output $y$")
    axes[3].add_patch(plt.Rectangle((0.5, -0.5), 1, 1, fill=False, edgecolor=ORANGE, linewidth=2))
    save(figure, "sum")


def detection_picture() -> None:
    """Draw a picture with noise, a template, and how well it fits everywhere."""
    rng = np.random.default_rng(0)
    digit = load_digits().images[7] / 16
    picture = rng.normal(0, 0.25, (40, 56))
    places = [(5, 8), (24, 20), (14, 40)]
    for row, column in places:
        picture[row : row + 8, column : column + 8] += digit
    scores = convoi.match(picture, digit)
    figure, axes = plt.subplots(1, 3, figsize=(8, 2.3), width_ratios=(56, 12, 49))
    for axis, image, title in zip(
        axes, (picture, digit, scores), ("picture", "template", "score"), strict=True
    ):
        axis.imshow(image, cmap="gray" if title != "score" else "viridis")
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    for row, column in convoi.find(picture, digit).position:
        axes[0].add_patch(
            plt.Rectangle((column - 0.5, row - 0.5), 8, 8, fill=False, edgecolor=ORANGE)
        )
    save(figure, "detection")


def connections_picture() -> None:
    """Draw the connections of six inputs with four outputs: equal colours are equal weights."""
    kinds = {"dense": None, "local": 4, "tiled, t = 2": 2, "convolutional": 1}
    figure, axes = plt.subplots(1, 4, figsize=(8, 2.1))
    for axis, (kind, tile) in zip(axes, kinds.items(), strict=True):
        for output in range(4):
            reach = range(6) if tile is None else range(output, output + 3)
            for tap, source in enumerate(reach):
                shared = tile is not None and tile < 4
                place = output % tile if tile else 0
                axis.plot(
                    [source, output + 1],
                    [0, 1],
                    color=COLOURS[(tap + 3 * place) % 5] if shared else GREY,
                    linestyle="--" if shared and place else "-",
                    linewidth=1.3,
                )
        axis.plot(range(6), [0] * 6, "o", range(1, 5), [1] * 4, "o", color=GREY)
        weights = {None: 24, 4: 12, 2: 6, 1: 3}[tile]
        lines = 24 if tile is None else 12
        axis.set_title(f"{kind}\n{lines} connections\n{weights} weights", fontsize=9)
        axis.set_axis_off()
    save(figure, "connections")


def equivariance_picture() -> None:
    """Draw what becomes of a feature map, and of its maximum, if the input moves."""
    digit = np.pad(load_digits().images[0], 3)[None, None] / 16
    moved = np.roll(digit, 2, axis=3)
    edge = np.array([[[[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]]]])
    conv = nn.Network(nn.Conv(1, 3, bias=False), digit.shape[1:], parameters={"weight": edge})
    pooled = nn.Network(nn.Sequential(nn.ReLU(), nn.GlobalMaxPool()), conv.output_shape)
    figure, axes = plt.subplots(2, 3, figsize=(6, 3.4), width_ratios=(1, 1, 0.45))
    for row, (image, word) in enumerate(((digit, "input"), (moved, "moved by 2"))):
        maps = conv(image)
        axes[row, 0].imshow(image[0, 0], cmap="gray_r")
        axes[row, 0].set_title(word, fontsize=9)
        axes[row, 1].imshow(maps[0, 0], cmap="RdBu", vmin=-3, vmax=3)
        axes[row, 1].set_title("feature map" if not row else "the same map, moved by 2", fontsize=9)
        axes[row, 2].text(0.5, 0.5, f"{pooled(maps)[0, 0]:.3f}", ha="center", va="center")
        axes[row, 2].set_title("maximum", fontsize=9)
    for axis in axes.ravel():
        axis.set_axis_off()
    save(figure, "equivariance")


def curves_picture() -> None:
    """Draw the learning curves of ``convoi compare digits --margin 2``."""
    digits = convoi.data.load_dataset("digits")
    found = inspection.compare(
        np.asarray(digits.train.X),
        digits.train.y,
        test_data=(np.asarray(digits.test.X), digits.test.y),
        margin=2,
    )
    figure, axis = plt.subplots(figsize=(5, 2.8))
    by_rank = sorted(found, key=lambda variant: variant.accuracy)
    for variant, colour in zip(found, COLOURS, strict=False):
        offset = by_rank.index(variant) - 1  # so that the words do not meet
        samples = [point.samples for point in variant.curve]
        accuracies = [point.accuracy for point in variant.curve]
        axis.plot(samples, accuracies, "o-", color=colour)
        axis.annotate(
            variant.kind,
            (samples[-1], accuracies[-1]),
            (6, -3 + 11 * offset),
            textcoords="offset points",
            color=colour,
        )
    axis.set_xscale("log")
    axis.set_xticks(samples, [f"{n:,}" for n in samples])
    axis.minorticks_off()
    axis.set_xlabel("training samples")
    axis.set_ylabel("accuracy")
    save(figure, "curves")


if __name__ == "__main__":
    main()
