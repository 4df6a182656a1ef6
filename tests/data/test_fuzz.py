"""Damaged and hostile files: an error that names the file, or exactly what the file says."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import warnings
import zipfile
import zlib

import numpy as np
import pytest

from convoi.data import ImageFiles, open_source, read_idx, read_npz
from convoi.errors import DataError, DataFileError
from tests.data.files import IDX_CODES, idx_bytes, images, save_image, write_idx

MUTATIONS = 150
PEAK_BYTES = 4 << 20  # the files are a few KiB; a chunk that is read takes 1 MiB
EXTREMES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)


def mutate(content, seed):
    """Return ``content`` with one to three random changes."""
    rng = np.random.default_rng(seed)
    result = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        size = len(result)
        if not size:
            break
        # Headers are where it hurts: half of the changes hit the first bytes.
        start = int(rng.integers(0, min(size, 64) if rng.random() < 0.5 else size))
        length = int(rng.integers(1, 9))
        kind = rng.integers(0, 7)
        if kind == 0:
            result[start] = rng.integers(0, 256)
        elif kind == 1:
            result[start] = rng.choice(EXTREMES)
        elif kind == 2:
            result[start : start + 4] = bytes([rng.choice(EXTREMES)] * 4)
        elif kind == 3:
            del result[start : start + length]
        elif kind == 4:
            result[start:start] = rng.bytes(length)
        elif kind == 5:
            result[start:start] = result[start : start + 8 * length]
        else:
            del result[start:]
    return bytes(result)


def idx_oracle(content):
    """Return the array that the bytes of an IDX file are, or None if they are none."""
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return None
    codes = {code: dtype for dtype, code in IDX_CODES.items()}
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in codes:
        return None
    rank = content[3]
    if not 0 < rank <= 8 or len(content) < 4 + 4 * rank:
        return None
    shape = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    dtype = np.dtype(f">{codes[content[2]]}")
    if 4 + 4 * rank + int(np.prod(shape, dtype=object)) * dtype.itemsize != len(content):
        return None
    return np.frombuffer(content, dtype, offset=4 + 4 * rank).reshape(shape)


def npz_oracle(path, names):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}


@pytest.fixture(autouse=True)
def _bounded_memory():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < PEAK_BYTES


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_idx_files(tmp_path, suffix, dtype):
    path = tmp_path / f"a-images-idx3-ubyte{suffix}"
    write_idx(tmp_path / "a-labels-idx1-ubyte", np.arange(6, dtype=np.uint8) % 2)
    original = idx_bytes(images().astype(dtype))
    original = gzip.compress(original, mtime=0) if suffix else original
    outcomes = set()
    for seed in range(MUTATIONS):
        content = mutate(original, seed)
        path.write_bytes(content)
        expected = idx_oracle(content)
        if expected is None:
            with pytest.raises(DataFileError, match="a-images-idx3-ubyte"):
                read_idx(path)
        else:
            np.testing.assert_array_equal(read_idx(path), expected, err_msg=f"seed {seed}")
        outcomes.add(expected is None)
        check_source(path)
    assert outcomes == {True, False}


@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_npz_files(tmp_path, writer):
    path = tmp_path / "a.npz"
    writer(path, X=images(), y=np.array(["cat", "dog"] * 3))
    original = path.read_bytes()
    # The directory at the end says where the arrays are: it is changed as often as the start.
    directory = original.index(b"PK\1\2")
    for seed in range(MUTATIONS):
        content = mutate(original, seed)
        if seed % 2:
            content = original[:directory] + mutate(original[directory:], seed)
        path.write_bytes(content)
        check_npz(path)


@pytest.mark.parametrize(
    "array", [images(), np.array([["cat", "dög"]]), np.asfortranarray(np.ones((3, 4)))]
)
def test_npz_members_under_a_right_checksum(tmp_path, array):
    path = tmp_path / "a.npz"
    buffer = io.BytesIO()
    np.save(buffer, array)
    accepted = 0
    for seed in range(MUTATIONS):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("X.npy", mutate(buffer.getvalue(), seed))
        accepted += check_npz(path)
    assert 0 < accepted < MUTATIONS


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".bmp", ".webp", ".tif"])
def test_image_files(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    original = save_image(path, images(1, 24, 20, 3)[0]).read_bytes()
    for seed in range(MUTATIONS // 3):
        path.write_bytes(mutate(original, seed))
        try:
            source = ImageFiles([path], image_size=(12, 10))
            result = source.take([0])
        except DataFileError as error:
            assert path.name in str(error)  # noqa: PT017 (either outcome is right)
        else:
            assert result.shape == (1, source.channels, 12, 10)


def check_npz(path):
    """Check one archive; tell whether it was accepted."""
    check_source(path)
    try:
        arrays = read_npz(path)
    except DataFileError as error:
        assert path.name in str(error)  # noqa: PT017 (either outcome is right)
        return False
    for name, expected in npz_oracle(path, arrays).items():
        np.testing.assert_array_equal(arrays[name], expected)
    return True


def check_source(path):
    """Check that a file is refused with one of the errors of data, or is a sound data set."""
    try:
        dataset = open_source(path).train
    except DataError as error:
        assert path.name in str(error) or "labels" in str(error)  # noqa: PT017
        return
    assert dataset.X.dtype in {np.dtype(np.uint8), np.dtype(np.float32)}
    assert len(dataset.y) == len(dataset) > 0
    assert np.isfinite(np.asarray(dataset.X)).all()


def test_an_idx_file_that_unpacks_to_more_than_it_announces(tmp_path):
    path = tmp_path / "a-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(images()) + bytes(50_000_000)))
    tracemalloc.reset_peak()  # what counts is what reading takes
    with pytest.raises(DataFileError, match="is damaged: it goes on after the 6x5x7 elements"):
        read_idx(path)


def test_an_npz_file_that_unpacks_to_more_than_it_announces(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, images())
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", buffer.getvalue() + bytes(50_000_000))
    tracemalloc.reset_peak()  # what counts is what reading takes
    with pytest.raises(DataFileError, match="its header announces shape"):
        read_npz(path)


def test_an_npz_header_that_is_as_large_as_it_announces(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        size = 50_000_000
        archive.writestr("X.npy", b"\x93NUMPY\2\0" + size.to_bytes(4, "little") + b" " * size)
    tracemalloc.reset_peak()  # what counts is what reading takes
    with pytest.raises(DataFileError, match="its header cannot be 50000000 bytes long"):
        read_npz(path)
