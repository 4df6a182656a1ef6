from __future__ import annotations

import math

import numpy as np
import pytest

from convoi.kernels.layout import Layout
from convoi.kernels.packing import Pack, PackTensor, Unpack, adjacency, sample_record
from convoi.runtime.buffers import aligned_zeros
from tests.kernels.harness import call_kernel
from tests.kernels.support import activation, assert_close, every_machine, machine, output, written

DTYPES = [
    "bool",
    *("uint8", "uint16", "uint32", "uint64"),
    *("int8", "int16", "int32", "int64"),
    *("float32", "float64"),
]
SAMPLES = 5


def data(dtype, shape, seed=0):
    values = np.random.default_rng(seed).normal(scale=50, size=shape)
    if dtype.startswith("u"):
        values = np.abs(values)
    return values > 0 if dtype == "bool" else values.astype(dtype)


def per_channel(layout, values):
    vector = aligned_zeros(layout.stride, layout.dtype)
    vector[: layout.channels] = values
    return vector


def affine(channels):
    rng = np.random.default_rng(1)
    return rng.uniform(0.5, 2, channels), rng.normal(size=channels)


def pack(array, layout, records, target):
    """Pack samples of an array (n, channels, *spatial) of any strides."""
    scale, shift = affine(layout.channels)
    contiguous, channels_last = adjacency(array.strides, array.itemsize, layout.channels)
    kernel = Pack(
        layout,
        array.dtype.name,
        augment="axes" in (records.dtype.names or ()),
        contiguous=contiguous,
        channels_last=channels_last,
    )
    buffers = [
        array,
        np.array(array.strides, np.int64),
        records,
        per_channel(layout, scale),
        per_channel(layout, shift),
        output(layout, len(records)),
    ]
    call_kernel(kernel, buffers, count=len(records), target=target)
    return written(buffers[-1], layout)


def scaled(array, dtype):
    scale, shift = (v.reshape(-1, *(1,) * (array.ndim - 2)) for v in affine(array.shape[1]))
    return array.astype(dtype) * scale.astype(dtype) + shift.astype(dtype)


def indexed(indices):
    records = np.zeros(len(indices), sample_record(0, augment=False))
    records["index"] = indices
    return records


def arranged(array, order):
    """Return an equal array that lies differently in memory."""
    if order == "planar":
        return array
    if order == "channels last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    if order == "backwards":
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if order == "unaligned":
        raw = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        raw[...] = array
        return raw
    wide = np.zeros((*array.shape[:-1], 3 * array.shape[-1]), array.dtype)
    wide[..., ::3] = array
    return wide[..., ::3]


@every_machine
@pytest.mark.parametrize("order", ["planar", "channels last", "backwards", "unaligned", "apart"])
@pytest.mark.parametrize(
    ("channels", "spatial", "padded"),
    [
        (1, (3, 28), False),
        (3, (2, 37), False),
        (3, (4, 5), False),
        (3, (2, 19), True),
        (5, (40,), False),
        (17, (2, 2, 18), True),
        (9, (3,), False),
    ],
)
def test_arrays_are_read_whatever_their_strides(channels, spatial, padded, order, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    halo = ((1, 2),) * len(spatial)
    layout = Layout(channels, spatial, lanes if padded else 1, dtype, halo)
    source = "uint8" if channels in {1, 3} else dtype
    array = arranged(data(source, (SAMPLES, channels, *spatial)), order)
    indices = [4, 0, 2]
    result = pack(array, layout, indexed(indices), target)
    assert_close(result, scaled(array[indices], dtype))


@every_machine
@pytest.mark.parametrize("source", DTYPES)
def test_arrays_of_every_dtype_are_converted(source, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    for channels, width in ((1, 1), (5, lanes)):
        layout = Layout(channels, (21,), width, dtype)
        array = data(source, (SAMPLES, channels, 21))
        assert_close(pack(array, layout, indexed([1, 1]), target), scaled(array[[1, 1]], dtype))


@every_machine
@pytest.mark.parametrize(("features", "count"), [(1, 2), (5, 3), (33, 1), (16, 0)])
@pytest.mark.parametrize("order", ["planar", "apart"])
def test_rows_of_features_are_read(features, count, order, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    layout = Layout(features, (), lanes, dtype)
    array = arranged(data("float64", (SAMPLES, features)), order)
    indices = np.arange(count)
    assert_close(pack(array, layout, indexed(indices), target), scaled(array[indices], dtype))


def test_strides_may_be_zero():
    target, lanes = machine("x86-64-v3", "float32")
    layout = Layout(3, (4, 20), lanes)
    array = np.broadcast_to(data("float32", (1, 3, 1, 20)), (SAMPLES, 3, 4, 20))
    assert_close(pack(array, layout, indexed([3, 0]), target), scaled(array[[3, 0]], "float32"))


def augmented(array, records):
    """Augment samples as the documentation of the record says."""
    out = np.zeros((len(records), *array.shape[1:]), array.dtype)
    spatial = array.shape[2:]
    for y, record in zip(out, records, strict=True):
        x = array[record["index"]]
        mirrored = [a + 1 for a in range(len(spatial)) if record["axes"][a]["flip"]]
        x = np.flip(x, mirrored)
        for p in np.ndindex(*spatial):
            q = [i - axis["shift"] for i, axis in zip(p, record["axes"], strict=True)]
            if all(0 <= i < extent for i, extent in zip(q, spatial, strict=True)):
                y[(slice(None), *p)] = x[(slice(None), *q)]
        cut = tuple(slice(max(0, a["cut_low"]), max(0, a["cut_high"])) for a in record["axes"])
        y[(slice(None), *cut)] = 0
    return out


@every_machine
@pytest.mark.parametrize("order", ["planar", "channels last", "apart"])
@pytest.mark.parametrize(
    ("channels", "spatial", "padded"),
    [
        (1, (6, 20), False),
        (3, (5, 18), False),
        (3, (7, 9), True),
        (5, (17,), True),
        (1, (2, 3, 4), False),
    ],
)
def test_samples_are_mirrored_moved_and_cut(channels, spatial, padded, order, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    layout = Layout(channels, spatial, lanes if padded else 1, dtype, ((1, 1),) * len(spatial))
    array = arranged(data("uint8", (SAMPLES, channels, *spatial)), order)
    rank, rng = len(spatial), np.random.default_rng(0)
    records = np.zeros(12, sample_record(rank, augment=True))
    records["index"] = rng.integers(0, SAMPLES, 12)
    axes = records["axes"]
    axes["flip"] = rng.integers(0, 2, (12, rank))
    axes["shift"] = rng.integers(-4, 5, (12, rank))
    axes["shift"][:2] = [[0], [50]]
    axes["cut_low"][3:] = rng.integers(-3, 3, (9, rank))
    axes["cut_high"][3:] = axes["cut_low"][3:] + 4
    axes["cut_high"][5] = axes["cut_low"][5]

    # Zeros are not scaled: they stand for the mean of standardised samples.
    inside = augmented(np.ones_like(array), records)
    expected = scaled(augmented(array, records), dtype) * inside
    assert_close(pack(array, layout, records, target), expected)


def test_a_dtype_without_conversion_is_refused():
    with pytest.raises(ValueError, match="Arrays of complex64 cannot be packed"):
        Pack(Layout(1, (4,), 1), "complex64")


@every_machine
@pytest.mark.parametrize(
    ("shape", "halo", "count"),
    [
        ((1,), (), 3),
        ((17,), (), 2),
        ((1, 5), ((1, 0),), 2),
        ((3, 7, 9), ((1, 1), (0, 2)), 2),
        ((33, 4), (), 1),
        ((16, 3, 2, 2), (), 2),
        ((4, 8), (), 0),
    ],
    ids=str,
)
def test_arrays_are_packed_and_unpacked_in_c_order(shape, halo, count, cpu, dtype):
    target, lanes = machine(cpu, dtype)
    channels, *spatial = shape
    layout = Layout(channels, tuple(spatial), lanes, dtype, halo)
    x = data(dtype, (count, *shape))

    packed = output(layout, count)
    call_kernel(PackTensor(layout), [x, packed], count=count, target=target)
    np.testing.assert_array_equal(written(packed, layout), x)

    unpacked = np.full(count * math.prod(shape) + 8, 7.25, dtype)
    call_kernel(Unpack(layout), [activation(x, layout), unpacked], count=count, target=target)
    np.testing.assert_array_equal(unpacked[:-8], x.ravel())
    assert np.all(unpacked[-8:] == 7.25)
