from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from convoi.data import open_source, read_npz
from convoi.errors import DataError, DataFileError
from tests.data.files import images

Y = np.array([0, 1, 0, 1, 0, 1])


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def write_member(path, content, *, name="X.npy", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, content)
    return path


def npy_bytes(header, content=b""):
    text = header.encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + content


class TestReadNpz:
    @pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
    @pytest.mark.parametrize(
        "array",
        [
            np.array([True, False]),
            np.arange(12, dtype=np.uint8).reshape(3, 4),
            np.arange(12, dtype=">i4").reshape(3, 4),
            np.asfortranarray(np.arange(12.0).reshape(3, 4)),
            np.arange(6, dtype=np.float16),
            np.array(["cat", "Hündin", "🐕"]),
            np.array(["cat", "dog"], dtype=">U5"),
            np.array([b"cat", b"dog"]),
            np.array(3.5),
            np.zeros((0, 3)),
        ],
        ids=lambda array: array.dtype.str + str(array.shape),
    )
    def test_every_dtype_and_order_is_read(self, tmp_path, writer, array):
        path = tmp_path / "a.npz"
        writer(path, a=array)
        result = read_npz(path)["a"]
        np.testing.assert_array_equal(result, array)
        assert result.dtype == array.dtype.newbyteorder("=")

    def test_only_the_arrays_asked_for_are_read(self, tmp_path):
        path = save(tmp_path / "a.npz", a=Y, b=np.array([{}], object))
        assert list(read_npz(path, ("a",))) == ["a"]

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", ["u1", "<f8", ">f4"])
    def test_a_large_stored_array_is_mapped(self, tmp_path, dtype, order):
        array = np.array(images().astype(dtype), order=order)
        path = save(tmp_path / "a.npz", y=Y, a=array)
        result = read_npz(path, map_above=100)["a"]
        assert isinstance(result, np.memmap)
        np.testing.assert_array_equal(result, array)

    def test_python_objects_are_never_loaded(self, tmp_path):
        path = save(tmp_path / "a.npz", y=np.array(["cat", 3], object))
        message = r"'y' in '.*a\.npz' holds Python objects, which are never loaded"
        with pytest.raises(DataFileError, match=message):
            read_npz(path)

    def test_records_are_refused(self, tmp_path):
        path = save(tmp_path / "a.npz", y=np.zeros(3, [("a", "f4"), ("b", "i4")]))
        with pytest.raises(DataFileError, match="a dtype other than booleans, integers, floats"):
            read_npz(path)

    @pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4" + bytes(50)])
    def test_another_kind_of_file_is_refused(self, tmp_path, content):
        path = tmp_path / "a.npz"
        path.write_bytes(content)
        with pytest.raises(DataFileError, match=r"a\.npz' is not a NumPy archive, or .* truncated"):
            read_npz(path)

    def test_an_announced_size_is_not_believed(self, tmp_path):
        header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000), }\n"
        path = write_member(tmp_path / "a.npz", npy_bytes(header, bytes(100)))
        with pytest.raises(DataFileError, match=r"'X' in .* is damaged: its header announces"):
            read_npz(path)

    def test_an_announced_size_that_compression_cannot_reach_is_refused(self, tmp_path):
        path = tmp_path / "a.npz"
        np.savez_compressed(path, X=images())
        content = bytearray(path.read_bytes())
        directory = content.index(b"PK\1\2")
        content[directory + 24 : directory + 28] = (2**31).to_bytes(4, "little")
        path.write_bytes(content)
        with pytest.raises(
            DataFileError, match=r"announces 2147483648 bytes, which .* cannot hold"
        ):
            read_npz(path)

    def test_an_unusual_compression_is_refused(self, tmp_path):
        buffer = io.BytesIO()
        np.save(buffer, Y)
        path = write_member(tmp_path / "a.npz", buffer.getvalue(), compression=zipfile.ZIP_LZMA)
        with pytest.raises(DataFileError, match="compressed in a way that"):
            read_npz(path)

    @pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    def test_a_changed_byte_is_found_by_the_checksum(self, tmp_path, compression):
        buffer = io.BytesIO()
        np.save(buffer, images())
        path = write_member(tmp_path / "a.npz", buffer.getvalue(), compression=compression)
        content = bytearray(path.read_bytes())
        content[200] ^= 1
        path.write_bytes(content)
        with pytest.raises(DataFileError, match=r"a\.npz' is damaged"):
            read_npz(path)

    @pytest.mark.parametrize(
        "content",
        [
            b"not an array",
            b"\x93NUMPY\7\0\0\0",
            b"\x93NUMPY\2\0\xff\xff\xff\xff{}",
            npy_bytes("{'descr': '<f8', 'fortran_order': False}"),
            npy_bytes("{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,), }"),
            npy_bytes("{'descr': '<c8', 'fortran_order': False, 'shape': (0,), }"),
            npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }"),
            npy_bytes("__import__('os').abort()"),
        ],
    )
    def test_a_damaged_header_is_refused(self, tmp_path, content):
        path = write_member(tmp_path / "a.npz", content)
        with pytest.raises(DataFileError, match=r"'X' in '.*a\.npz' is damaged"):
            read_npz(path)

    def test_characters_that_do_not_exist_are_refused(self, tmp_path):
        array = np.array([0x110000], np.uint32).view("U1")
        path = save(tmp_path / "a.npz", y=array)
        with pytest.raises(DataFileError, match="holds characters that do not exist"):
            read_npz(path)


class TestNpzSources:
    def test_x_and_y_in_any_case(self, tmp_path):
        for X_name, y_name in (("X", "y"), ("x", "y"), ("X", "Y")):
            path = save(tmp_path / "toy.npz", **{X_name: images(), y_name: Y})
            dataset = open_source(path).train
            np.testing.assert_array_equal(dataset.X, images()[:, np.newaxis])
            assert dataset.y.tolist() == Y.tolist()
            assert dataset.name == "toy"

    @pytest.mark.parametrize(
        "names",
        [
            ("x_train", "y_train", "x_test", "y_test"),
            ("train_images", "train_labels", "test_images", "test_labels"),
        ],
    )
    def test_training_and_test_arrays(self, tmp_path, names):
        arrays = (images(6), Y, images(4), np.array([[1], [1], [0], [0]]))
        splits = open_source(save(tmp_path / "a.npz", **dict(zip(names, arrays, strict=True))))
        np.testing.assert_array_equal(splits.test.X, images(4)[:, np.newaxis])
        assert splits.test.y.tolist() == [1, 1, 0, 0]
        assert splits.held_out is splits.test

    def test_missing_samples_are_explained_by_what_there_is(self, tmp_path):
        path = save(tmp_path / "a.npz", data=images(), target=Y)
        with pytest.raises(DataError, match=r"must hold the arrays X and y, .*'data', 'target'"):
            open_source(path)

    def test_two_conventions_in_one_file_are_refused(self, tmp_path):
        path = save(tmp_path / "a.npz", x=images(), x_train=images())
        with pytest.raises(DataError, match="it holds both 'x' and 'x_train'"):
            open_source(path)

    def test_missing_labels_are_refused_unless_none_are_needed(self, tmp_path):
        path = save(tmp_path / "a.npz", X=images())
        with pytest.raises(DataError, match=r"'X' in .* has no labels: .* no array 'y'"):
            open_source(path)
        assert open_source(path, labelled=False).train.y is None

    def test_test_labels_of_another_kind_are_refused(self, tmp_path):
        path = save(tmp_path / "a.npz", x_train=images(), y_train=Y / 2, x_test=images(), y_test=Y)
        with pytest.raises(DataError, match="test labels of 'a' are of another kind"):
            open_source(path)

    def test_a_mapped_archive_is_converted_as_it_is_taken(self, tmp_path, monkeypatch):
        monkeypatch.setattr("convoi.data.npz.MAP_ABOVE_BYTES", 100)
        path = save(tmp_path / "a.npz", X=images(6, 5, 7, 3) / 255, y=Y)
        dataset = open_source(path).train
        assert dataset.X.dtype == np.float32
        assert dataset.X.shape == (6, 3, 5, 7)
        assert isinstance(dataset.X.array.base, np.memmap)
        expected = (images(6, 5, 7, 3)[[4, 1]] / 255).astype(np.float32).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(dataset.source.take([4, 1]), expected)
