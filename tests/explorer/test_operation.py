from __future__ import annotations

import numpy as np
import pytest

import convoi
from convoi.explorer.fields import Fields
from convoi.explorer.operation import operate, read_operation
from convoi.explorer.samples import samples

SIGNAL = [1.0, 4.0, 2.0, -3.0, 5.0, 0.5, 7.0]
PICTURE = (np.arange(30).reshape(5, 6) ** 2 % 11).tolist()


def result_of(**fields):
    return operate(read_operation(Fields(fields)))


def sums_over_windows(result, kind):
    """Add up the products that the page shows for every output."""
    taps, extended = np.array(result[kind]["taps"]), np.array(result["extended"])
    output = np.zeros_like(result[kind]["output"])
    for o in np.ndindex(output.shape):
        for t in np.ndindex(taps.shape):
            place = tuple(
                i * result["stride"] + u * result["dilation"] - low - begin
                for i, u, low, begin in zip(o, t, result["low"], result["begin"], strict=True)
            )
            assert min(place) >= 0
            output[o] += taps[t] * extended[place]
    return output


@pytest.mark.parametrize(
    ("values", "taps"), [(SIGNAL, 1), (SIGNAL, 2), (SIGNAL, 3), (SIGNAL, 4), (PICTURE, 2)]
)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("boundary", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_the_products_of_each_window_add_up_to_the_operators_outputs(values, taps, mode, boundary):
    x = np.array(values)
    kernel = np.arange(1.0, taps**x.ndim + 1).reshape((taps,) * x.ndim)
    for stride, dilation in ((1, 1), (2, 2 if taps < 4 else 1), (3, 1)):
        options = {"mode": mode, "boundary": boundary, "stride": stride, "dilation": dilation}
        options["fill_value"] = 2.5
        result = result_of(
            values=values, rank=x.ndim, kernel={"values": kernel.tolist()}, **options
        )
        for kind, function in (("convolution", "convolve"), ("correlation", "correlate")):
            np.testing.assert_allclose(
                result[kind]["output"], getattr(convoi, function)(x, kernel, **options), rtol=1e-12
            )
            np.testing.assert_allclose(sums_over_windows(result, kind), result[kind]["output"])


@pytest.mark.parametrize("boundary", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_the_surroundings_are_those_of_numpy(boundary):
    result = result_of(
        values=PICTURE, kernel={"name": "box", "size": 5}, mode="full", boundary=boundary
    )
    assert result["begin"] == [-4, -4]
    np.testing.assert_array_equal(result["extended"], np.pad(PICTURE, 4, mode=boundary))


def test_the_whole_input_is_shown_even_if_no_window_reaches_its_end():
    result = result_of(values=SIGNAL, rank=1, kernel={"values": [1, 2]}, mode="valid", stride=4)
    assert result["extended"] == SIGNAL


def test_the_kernel_is_flipped_for_the_convolution_only():
    result = result_of(values=SIGNAL, rank=1, kernel={"values": [1, 2, 3]})
    assert result["convolution"]["taps"] == [3, 2, 1]
    assert result["correlation"]["taps"] == [1, 2, 3]


@pytest.mark.parametrize("name", list(samples()))
def test_every_sample_goes_with_every_named_kernel(name):
    for kernel in ("gaussian", "box", "sobel", "laplacian", "sharpen", "emboss"):
        result = result_of(sample=name, kernel={"name": kernel})
        assert np.isfinite(result["convolution"]["output"]).all()


def test_samples_are_small_and_finite_and_of_one_or_two_axes():
    for sample in samples().values():
        assert sample.values.ndim in {1, 2}
        assert np.isfinite(sample.values).all()
        assert sample.values.size <= 256


def test_the_heartbeats_have_two_peaks_half_the_signal_apart():
    signal = samples()["ecg"].values
    tops = np.flatnonzero(signal == signal.max())
    assert np.diff(tops).tolist() == [len(signal) // 2]
