from __future__ import annotations

import gzip
import os
import struct

import numpy as np
import pytest

from convoi.data import open_source, read_idx
from convoi.data.idx import open_idx_file
from convoi.data.options import ReadOptions
from convoi.errors import DataError, DataFileError
from tests.data.files import IDX_CODES, idx_bytes, images, write_idx, write_idx_folder


class TestReadIdx:
    @pytest.mark.parametrize("suffix", ["", ".gz"])
    @pytest.mark.parametrize("dtype", list(IDX_CODES))
    def test_every_type_is_read_in_native_byte_order(self, tmp_path, dtype, suffix):
        array = np.arange(-30, 30).reshape(3, 4, 5).astype(dtype)
        result = read_idx(write_idx(tmp_path / f"a{suffix}", array))
        np.testing.assert_array_equal(result, array)
        assert result.dtype == array.dtype

    @pytest.mark.parametrize("shape", [(1,), (0,), (0, 28, 28), (2, 1, 3, 1)])
    def test_every_shape_is_read(self, tmp_path, shape):
        assert read_idx(write_idx(tmp_path / "a", np.ones(shape, np.uint8))).shape == shape

    def test_the_content_decides_whether_a_file_is_compressed(self, tmp_path):
        plain, packed = tmp_path / "a.gz", tmp_path / "b"
        plain.write_bytes(idx_bytes(images()))
        packed.write_bytes(gzip.compress(idx_bytes(images())))
        np.testing.assert_array_equal(read_idx(plain), images())
        np.testing.assert_array_equal(read_idx(packed), images())

    @pytest.mark.parametrize("dtype", ["u1", "f4"])
    def test_a_large_raw_file_is_mapped(self, tmp_path, dtype):
        array = images().astype(dtype)
        result = read_idx(write_idx(tmp_path / "a", array), map_above=10)
        assert isinstance(result, np.memmap)
        np.testing.assert_array_equal(result, array)

    @pytest.mark.parametrize("map_above", [0, 1 << 28])
    def test_a_truncated_file_is_refused_with_its_sizes(self, tmp_path, map_above):
        path = write_idx(tmp_path / "a", images())
        path.write_bytes(path.read_bytes()[:-1])
        message = r"a' is truncated: its header announces 6x5x7 elements of uint8 \(226 bytes\)"
        with pytest.raises(DataFileError, match=message):
            read_idx(path, map_above=map_above)

    def test_a_truncated_content_of_gzip_is_refused(self, tmp_path):
        path = tmp_path / "a.gz"
        path.write_bytes(gzip.compress(idx_bytes(images())[:-1]))
        with pytest.raises(DataFileError, match=r"a\.gz' is truncated: .* and it holds 225"):
            read_idx(path)

    def test_a_truncated_gzip_stream_is_refused(self, tmp_path):
        path = write_idx(tmp_path / "a.gz", images())
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(DataFileError, match="is truncated: its compressed data ends early"):
            read_idx(path)

    def test_a_wrong_checksum_of_gzip_is_refused(self, tmp_path):
        path = write_idx(tmp_path / "a.gz", images())
        content = bytearray(path.read_bytes())
        content[-8] ^= 1
        path.write_bytes(content)
        with pytest.raises(DataFileError, match=r"Cannot read .*a\.gz': CRC check failed"):
            read_idx(path)

    @pytest.mark.parametrize("map_above", [0, 1 << 28])
    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_trailing_bytes_are_refused(self, tmp_path, suffix, map_above):
        content = idx_bytes(images()) + b"\1"
        path = tmp_path / f"a{suffix}"
        path.write_bytes(gzip.compress(content) if suffix else content)
        with pytest.raises(DataFileError, match="is damaged: it goes on after the 6x5x7 elements"):
            read_idx(path, map_above=map_above)

    @pytest.mark.parametrize(
        "content",
        [b"", b"\0\0\x08", b"\x89PNG", b"\0\0\x07\1\0\0\0\0", b"\0\0\x08\0", b"\1\0\x08\1\0\0\0\0"],
    )
    def test_another_kind_of_file_is_named_as_such(self, tmp_path, content):
        path = tmp_path / "a"
        path.write_bytes(content)
        with pytest.raises(DataFileError, match=r"a' is not an IDX file: it starts with b'"):
            read_idx(path)

    def test_a_file_that_ends_in_its_header_is_refused(self, tmp_path):
        path = tmp_path / "a"
        path.write_bytes(b"\0\0\x08\3\0\0\0\1\0\0")
        with pytest.raises(DataFileError, match="truncated: it ends within its header"):
            read_idx(path)

    def test_more_dimensions_than_arrays_have_are_refused(self, tmp_path):
        path = tmp_path / "a"
        path.write_bytes(b"\0\0\x08\xff" + b"\0\0\0\1" * 255)
        with pytest.raises(DataFileError, match="announces 255 dimensions"):
            read_idx(path)

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_an_impossible_size_is_refused_before_any_of_it_is_read(self, tmp_path, suffix):
        content = struct.pack(">2xBB3I", 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(1000)
        path = tmp_path / f"a{suffix}"
        path.write_bytes(gzip.compress(content) if suffix else content)
        with pytest.raises(DataFileError, match=r"truncated: .* and it cannot hold more than"):
            read_idx(path)

    def test_a_missing_file_and_a_folder_are_refused(self, tmp_path):
        with pytest.raises(DataFileError, match="missing': it does not exist"):
            read_idx(tmp_path / "missing")
        with pytest.raises(DataFileError, match="it is not a regular file"):
            read_idx(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_a_pipe_is_refused_without_waiting_for_it(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(DataFileError, match="it is not a regular file"):
            read_idx(tmp_path / "pipe")


class TestIdxSources:
    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_a_folder_gives_training_and_test_set(self, tmp_path, suffix):
        folder = write_idx_folder(tmp_path / "toy", suffix=suffix)
        splits = open_source(folder)
        np.testing.assert_array_equal(splits.train.X, images(6)[:, np.newaxis])
        np.testing.assert_array_equal(splits.test.X, images(4)[:, np.newaxis])
        assert splits.train.y.tolist() == [0, 1, 0, 1, 0, 1]
        assert splits.train.classes == splits.test.classes == (0, 1)
        assert splits.train.name == "toy"
        assert splits.train.value_range == (0.0, 255.0)

    def test_a_folder_without_test_files_has_no_test_set(self, tmp_path):
        splits = open_source(write_idx_folder(tmp_path, test=False))
        assert splits.test is None
        assert splits.held_out is splits.train

    def test_one_images_file_finds_its_labels(self, tmp_path):
        write_idx_folder(tmp_path)
        splits = open_source(tmp_path / "t10k-images-idx3-ubyte")
        assert len(splits.train) == 4
        assert splits.test is None

    @pytest.mark.parametrize(
        ("images_name", "labels_name"),
        [
            ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
            ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
            ("emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte"),
            ("my-images.idx", "my-labels.idx.gz"),
        ],
    )
    def test_other_spellings_of_the_names_are_found(self, tmp_path, images_name, labels_name):
        path = write_idx(tmp_path / images_name, images(4))
        write_idx(tmp_path / labels_name, np.array([3, 3, 9, 9], np.uint8))
        assert open_source(path).train.classes == (3, 9)

    def test_missing_labels_are_named(self, tmp_path):
        path = write_idx(tmp_path / "train-images-idx3-ubyte", images())
        message = "No labels found for the images of .*: put 'train-labels-idx1-ubyte' beside it"
        with pytest.raises(DataFileError, match=message):
            open_source(path)
        assert open_source(path, labelled=False).train.y is None

    def test_a_name_that_leads_to_no_labels_is_refused(self, tmp_path):
        path = write_idx(tmp_path / "digits.idx", images())
        with pytest.raises(DataFileError, match="name both files as in 'train-images-idx3-ubyte'"):
            open_source(path)

    def test_a_labels_file_is_no_source(self, tmp_path):
        write_idx_folder(tmp_path)
        with pytest.raises(DataError, match="Give the path of the images file"):
            open_source(tmp_path / "train-labels-idx1-ubyte")

    def test_labels_of_another_number_are_refused(self, tmp_path):
        write_idx_folder(tmp_path)
        write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(5, np.uint8))
        message = "train-labels-idx1-ubyte' holds 5 labels for 6 samples"
        with pytest.raises(DataError, match=message):
            open_source(tmp_path)

    def test_a_class_that_only_the_test_set_has_is_refused(self, tmp_path):
        write_idx_folder(tmp_path)
        write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.array([0, 1, 0, 7], np.uint8))
        message = "t10k-labels-idx1-ubyte' holds samples of class 7, .* known classes: 0, 1"
        with pytest.raises(DataError, match=message):
            open_source(tmp_path)

    def test_test_images_of_another_size_are_refused(self, tmp_path):
        write_idx_folder(tmp_path)
        write_idx(tmp_path / "t10k-images-idx3-ubyte", images(4, 9, 9))
        with pytest.raises(DataError, match=r"test samples .* \(1, 9, 9\), .* \(1, 5, 7\)"):
            open_source(tmp_path)

    def test_several_sets_in_one_folder_are_refused(self, tmp_path):
        for prefix in ("a-", "b-"):
            write_idx(tmp_path / f"{prefix}train-images-idx3-ubyte", images())
        with pytest.raises(DataError, match="holds 2 sets of IDX files: 'a-train-images"):
            open_source(tmp_path)

    def test_images_with_channels_follow_the_layout(self, tmp_path):
        path = write_idx(tmp_path / "x-images-idx4-ubyte", images(2, 5, 7, 3))
        options = ReadOptions(labelled=False)
        assert open_idx_file(path, options).train.X.shape == (2, 3, 5, 7)
