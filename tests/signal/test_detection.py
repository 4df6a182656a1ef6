"""Detections, and their statistics: false alarms as asked for, detections as theory has them."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm

import convoi
from convoi.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    MissingDependencyError,
    ShapeError,
)
from convoi.signal import PowerSpectrum

PULSE = np.sin(np.linspace(0, 6 * np.pi, 64)) * np.hanning(64)


def coloured(generator, shape):
    return lfilter([1], [1, -0.9], generator.normal(size=shape))


@pytest.mark.parametrize("kind", ["white", "estimated", "coloured"])
@pytest.mark.parametrize("expected", [1000, 100])
def test_false_alarms_are_as_many_as_asked_for(kind, expected):
    generator = np.random.default_rng(0)
    x = generator.normal(size=100_000)
    noise = {"white": 1.0, "estimated": None, "coloured": coloured(generator, 200_000)}[kind]
    if kind == "coloured":
        x = coloured(generator, 100_000)
    found = convoi.find(x, PULSE, noise=noise, false_alarm=expected, baseline="zero")
    assert expected / 1.3 < len(found) < expected * 1.3


def test_rare_false_alarms_are_as_rare_as_asked_for():
    generator = np.random.default_rng(0)
    limit = convoi.find(generator.normal(size=10_000), PULSE, noise=1.0, false_alarm=0.1).threshold
    x = generator.normal(size=3_000_000)  # 300 calls' worth: 30 expected
    assert 20 <= len(convoi.find(x, PULSE, noise=1.0, threshold=limit)) <= 45


def test_several_templates_share_the_false_alarms():
    templates = [PULSE, np.hanning(32), np.repeat(PULSE, 2)]
    x = np.random.default_rng(0).normal(size=100_000)
    found = convoi.find(x, templates, noise=1.0, false_alarm=300, baseline="zero")
    assert 300 / 1.3 < len(found) < 300 * 1.3
    assert set(found.template.tolist()) == {0, 1, 2}


def test_false_alarms_in_pictures():
    template = np.outer(np.hanning(9), np.hanning(7))
    x = np.random.default_rng(0).normal(size=(400, 400))
    found = convoi.find(x, template, noise=1.0, false_alarm=200, baseline="zero")
    assert 200 / 1.3 < len(found) < 200 * 1.3


def detection_probability(whitened, snr, threshold, tolerance):
    """Return the probability that some score up to `tolerance` from an event is high enough.

    The scores there are normal, with means ``snr rho(l)`` and covariances ``rho(l - m)``, where
    rho is the autocorrelation of the whitened template: simulated from the definition.
    """
    lags = np.arange(-tolerance, tolerance + 1)
    rho = np.correlate(whitened, whitened, "full") / (whitened**2).sum()
    middle = whitened.size - 1
    covariance = rho[middle + lags[:, None] - lags]
    values, vectors = np.linalg.eigh(covariance)
    normal = np.random.default_rng(7).normal(size=(50_000, lags.size))
    scores = snr * rho[middle + lags] + normal * np.sqrt(np.maximum(values, 0)) @ vectors.T
    return (scores.max(axis=1) > threshold).mean()


@pytest.mark.parametrize("snr", [4.0, 5.0, 6.0, 8.0, 12.0])
@pytest.mark.parametrize("kind", ["white", "coloured"])
def test_the_detection_rate_is_that_of_the_matched_filter(snr, kind):
    generator = np.random.default_rng(3)
    events, gap, tolerance, threshold = 2000, 160, 4, 4.5
    x = generator.normal(size=events * gap)
    noise, whitened = 1.0, PULSE
    if kind == "coloured":
        x = lfilter([1], [1, -0.9], x)
        whitened = np.append(PULSE, 0) - 0.9 * np.append(0, PULSE)
        frequencies = np.exp(2j * np.pi * np.arange(513) / 1024)
        noise = PowerSpectrum(1 / np.abs(1 - 0.9 / frequencies) ** 2)
    scale = snr / np.sqrt((whitened**2).sum())
    starts = np.arange(events) * gap + 64
    for start in starts:
        x[start : start + PULSE.size] += scale * PULSE
    found = convoi.find(x, PULSE, noise=noise, threshold=threshold, baseline="zero", min_distance=4)
    distance = np.abs(found.position[:, 0].round()[:, None] - starts)
    rate = (distance.min(axis=0) <= tolerance).mean()
    assert rate == pytest.approx(
        detection_probability(whitened, snr, threshold, tolerance), abs=0.02
    )
    assert rate >= norm.sf(threshold - snr) - 0.02  # what one known position would give
    if snr >= 6:
        amplitude = found.amplitude[distance.min(axis=1) <= tolerance]
        assert np.median(amplitude) == pytest.approx(scale, rel=0.05)


def test_the_score_at_an_event_is_exactly_that_of_the_matched_filter():
    x = np.zeros(500)
    x[100:164] = 3 * PULSE
    found = convoi.find(x, PULSE, noise=2.0, threshold=1.0, baseline="zero", max_count=1)
    assert found.score[0] == pytest.approx(3 * np.sqrt((PULSE**2).sum()) / 2)
    assert found.amplitude[0] == pytest.approx(3)
    np.testing.assert_allclose(found.position, [[100]], atol=0.01)


def test_positions_are_found_to_a_fraction_of_a_sample():
    t = np.arange(-40, 40)
    template = np.exp(-0.5 * (t / 6.0) ** 2)
    x = np.zeros(300)
    x[100:180] = np.exp(-0.5 * ((t - 0.3) / 6.0) ** 2)
    found = convoi.find(x, template, noise=0.01, threshold=5.0)
    assert found.position[0, 0] == pytest.approx(100.3, abs=0.02)


def test_an_unknown_level_does_not_matter():
    x = np.full(500, 1e4) + np.random.default_rng(0).normal(size=500)
    x[200:264] += 5 * PULSE
    found = convoi.find(x, PULSE + 7)
    assert found.position.round().ravel().tolist() == [200]


def test_scaled_templates_tell_the_size():
    templates = [np.hanning(n) for n in (20, 40, 80)]
    x = 0.05 * np.random.default_rng(0).normal(size=600)
    x[300:340] += templates[1]
    found = convoi.find(x, templates, noise=0.05, baseline="zero", max_count=1)
    assert found.template.tolist() == [1]
    assert found.position[0, 0] == pytest.approx(300, abs=0.5)


def test_parts_of_a_picture_are_found_by_their_coefficient():
    generator = np.random.default_rng(0)
    part = generator.random((9, 11))
    x = generator.random((80, 90))
    places = [(5, 7), (40, 60), (60, 10)]
    for contrast, (i, j) in zip((1, 3, 0.5), places, strict=True):
        x[i : i + 9, j : j + 11] = contrast * part + 10
    found = convoi.find(x, part, statistic="zncc", threshold=0.9)
    assert sorted(map(tuple, found.position.round().astype(int).tolist())) == places
    assert np.sort(found.amplitude) == pytest.approx([0.5, 1, 3])


def test_neighbours_within_the_distance_are_suppressed():
    x = np.zeros(200)
    x[50], x[58], x[90] = 5, 4, 3
    template = np.array([0.0, 1, 0])
    options = {"noise": 1.0, "threshold": 2.0, "baseline": "zero"}
    assert convoi.find(x, template, min_distance=10, **options).position.ravel().tolist() == [
        49,
        89,
    ]
    apart = convoi.find(x, template, min_distance=7, **options)
    assert apart.position.ravel().tolist() == [49, 57, 89]


def test_equal_neighbours_are_one_detection():
    x = np.zeros(50)
    x[20:24] = 1
    found = convoi.find(x, np.ones(1), noise=1.0, threshold=0.5, baseline="zero", min_distance=6)
    assert len(found) == 1


def test_records_become_a_table():
    x = np.zeros((30, 30))
    x[10:13, 15:18] = 1
    found = convoi.find(x, np.ones((3, 3)), noise=0.1, threshold=5.0, baseline="zero")
    table = found.as_dataframe()
    assert list(table.columns) == ["position_0", "position_1", "score", "amplitude", "template"]
    assert len(table) == len(found) == 1


def test_a_table_needs_pandas(monkeypatch):
    found = convoi.find(np.zeros(9), np.ones(2), noise=1.0, baseline="zero")
    imported = builtins.__import__

    def missing(name, *args, **options):
        if name == "pandas":
            raise ImportError(name)
        return imported(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingDependencyError, match="pandas"):
        found.as_dataframe()


def test_what_is_refused():
    x = np.random.default_rng(0).normal(size=100)
    bad = x.copy()
    bad[7] = np.nan
    with pytest.raises(
        DataError, match=r"1 elements that are NaN or infinite, the first at \(7,\)"
    ):
        convoi.find(bad, PULSE)
    with pytest.raises(ShapeError, match=r"number 0 of shape \(101,\)"):
        convoi.find(x, np.ones(101))
    with pytest.raises(DataError, match="constant, which cannot be told from an unknown level"):
        convoi.find(x, np.ones(5))
    with pytest.raises(DataError, match="not all 0"):
        convoi.find(x, np.zeros(5))
    with pytest.raises(DataError, match="its noise cannot be estimated"):
        convoi.find(np.zeros(100), PULSE)
    with pytest.raises(ArgumentTypeError, match="real numbers"):
        convoi.find(x * 1j, PULSE)
    with pytest.raises(ArgumentError, match="must be given with statistic='zncc'"):
        convoi.find(x, PULSE, statistic="zncc")
    with pytest.raises(ArgumentError, match="'false_alarm' parameter of find must be a number"):
        convoi.find(x, PULSE, false_alarm=0)
    with pytest.raises(ArgumentError, match="'min_distance'"):
        convoi.find(x, PULSE, min_distance=-1)
    with pytest.raises(ShapeError, match="record of 1 axes"):
        convoi.find(x, PULSE, noise=np.ones((4, 4)))
    with pytest.raises(DataError, match="noise record of find is constant"):
        convoi.find(x, PULSE, noise=np.ones(100))
    with pytest.raises(ArgumentError, match="not negative"):
        PowerSpectrum([-1.0, 1])
    with pytest.raises(ShapeError, match=r"must have the shape \(5,\)"):
        PowerSpectrum(np.ones(4), (8,))
