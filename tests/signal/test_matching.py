from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import convoi
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError


def scores(x, t, mask, kind):
    """Return the scores from the formulas, window by window."""
    windows = sliding_window_view(x, t.shape)
    axes = tuple(range(-t.ndim, 0))
    if kind == "zncc":
        windows = windows - (mask * windows).sum(axes, keepdims=True) / mask.sum()
        t = t - (mask * t).sum() / mask.sum()
    product = (mask * windows * t).sum(axes)
    if kind == "correlation":
        return product
    if kind == "ssd":
        return (mask * (windows - t) ** 2).sum(axes)
    return product / np.sqrt((mask * windows**2).sum(axes) * (mask * t**2).sum())


@pytest.mark.parametrize("kind", ["zncc", "ncc", "correlation", "ssd"])
@pytest.mark.parametrize("offset", [0, 1e6])
@pytest.mark.parametrize("masked", [False, True])
def test_scores_are_those_of_the_formulas(kind, offset, masked):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(30, 40)) + offset
    t = x[8:15, 20:29].copy()
    mask = (generator.random(t.shape) < 0.6).astype(float) if masked else np.ones(t.shape)
    y = convoi.match(x, t, normalize=kind, mask=mask if masked else None)
    expected = scores(x, t, mask, kind)
    tolerance = 1e-9 if offset == 0 else 1e-8
    np.testing.assert_allclose(
        y, expected, rtol=tolerance, atol=1e-8 * (1 if kind != "ssd" else 100)
    )


def test_a_copy_scores_one_at_its_place():
    x = np.random.default_rng(0).integers(0, 255, (50, 60), np.uint8)
    y = convoi.match(x, x[11:20, 30:44])
    assert np.unravel_index(y.argmax(), y.shape) == (11, 30)
    assert y.max() == pytest.approx(1)
    assert np.abs(y).max() <= 1


@pytest.mark.parametrize("level", [0.0, 0.1, 1e6])
def test_flat_windows_score_zero(level):
    x = np.full((30, 30), level)
    x[5:9, 5:9] += np.random.default_rng(0).random((4, 4))
    y = convoi.match(x, x[5:9, 5:9])
    assert np.isfinite(y).all()
    assert not y[15:, 15:].any()
    assert not convoi.match(x, np.full((3, 3), 7.0)).any()


def test_contrast_and_level_do_not_matter_to_zncc():
    x = np.random.default_rng(0).normal(size=200)
    t = x[50:70]
    np.testing.assert_allclose(convoi.match(5 * x - 300, t), convoi.match(x, t), atol=1e-10)


def test_a_set_of_templates_gives_a_map_each():
    x = np.random.default_rng(0).normal(size=(30, 30))
    templates = np.stack([x[i : i + 5, i : i + 6] for i in (2, 9, 17)])
    y = convoi.match(x, templates)
    assert y.shape == (3, 26, 25)
    for one, t in zip(y, templates, strict=True):
        np.testing.assert_allclose(one, convoi.match(x, t), atol=1e-12)


@pytest.mark.parametrize("axis", [0, 2, -1])
def test_channels_are_summed_over(axis):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(20, 22, 3))
    t = x[4:9, 5:11]
    y = convoi.match(np.moveaxis(x, -1, axis), np.moveaxis(t, -1, axis), channel_axis=axis)
    expected = scores(x, t, np.ones(t.shape), "zncc")[:, :, 0]
    np.testing.assert_allclose(y, expected, atol=1e-10)


@pytest.mark.parametrize("boundary", ["constant", "edge", "reflect"])
def test_windows_may_reach_beyond_the_ends(boundary):
    x = np.random.default_rng(0).normal(size=40) + 5
    t = x[10:15]
    padded = np.pad(x, 2, mode=boundary)
    y = convoi.match(x, t, mode="same", boundary=boundary)
    np.testing.assert_allclose(y, convoi.match(padded, t), atol=1e-10)


def test_what_is_refused():
    x = np.ones((5, 5))
    with pytest.raises(ArgumentTypeError, match="real numbers"):
        convoi.match(x * 1j, x)
    with pytest.raises(ArgumentError, match="'zncc', 'ncc', 'correlation', 'ssd'"):
        convoi.match(x, x, normalize="ccoeff")
    with pytest.raises(ArgumentError, match="not all 0"):
        convoi.match(x, x, mask=np.zeros((5, 5)))
    with pytest.raises(ShapeError, match="broadcasts to"):
        convoi.match(x, x, mask=np.ones(4))
    with pytest.raises(ShapeError, match="mode='valid' it must fit"):
        convoi.match(x, np.ones((6, 6)))
    with pytest.raises(ShapeError, match="same length on channel_axis"):
        convoi.match(np.ones((5, 5, 3)), np.ones((2, 2, 2)), channel_axis=-1)


@pytest.mark.parametrize("normalize", ["zncc", "ncc"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "window"), [((150, 300), (11, 20)), ((9000,), (37,)), ((70, 70), (1, 64))]
)
def test_blocks_of_scores_are_those_of_all_windows(normalize, dtype, shape, window):
    x = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    template = x[tuple(slice(3, 3 + n) for n in window)]
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(float), window)
    axes = tuple(range(-len(window), 0))
    t = template.astype(float)
    if normalize == "zncc":
        windows = windows - windows.mean(axis=axes, keepdims=True)
        t = t - t.mean()
    expected = (windows * t).sum(axis=axes)
    expected /= np.sqrt((windows**2).sum(axis=axes) * (t**2).sum())
    for _ in range(2):
        y = convoi.match(x, template, normalize=normalize)
        np.testing.assert_allclose(y, expected, atol=1e-9 if dtype == "float64" else 2e-6)
    assert y.dtype == np.float64


def test_float32_is_not_enough_where_windows_hardly_vary():
    generator = np.random.default_rng(0)
    x = (1000 + 0.01 * generator.normal(size=(90, 90))).astype(np.float32)
    x[:20] += 30000
    template = x[50:60, 50:60].copy()
    y = convoi.match(x, template)
    exact = convoi.match(x.astype(float), template.astype(float))
    np.testing.assert_allclose(y, exact, atol=1e-7)
    assert y[50, 50] == pytest.approx(1)


def test_bright_spots_leave_flat_windows_flat():
    x = np.full((120, 140), 0.1)
    x[5, 7] = 1e9
    template = np.random.default_rng(0).normal(size=(8, 9))
    y = convoi.match(x, template)
    assert np.isfinite(y).all()
    assert not y[20:].any()
