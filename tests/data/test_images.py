from __future__ import annotations

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import train_test_split

from convoi.data import ImageFiles, read_images
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, DataFileError
from tests.data.files import images, save_image

GREY = images(1, 6, 8)[0]
COLOUR = images(1, 6, 8, 3)[0]


def pixels_of(path, **options):
    """Return one image as ``ImageFiles`` gives it, (channels, height, width)."""
    return ImageFiles([path], **options)[0]


class TestDecoding:
    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif", ".webp", ".tif", ".TIFF"])
    def test_lossless_grey_images_keep_every_pixel(self, tmp_path, suffix):
        path = save_image(tmp_path / f"a{suffix}", GREY, lossless=True)
        # WebP has no grey: its files are colour images of equal channels.
        np.testing.assert_array_equal(pixels_of(path, channels=1)[0], GREY)

    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tif"])
    def test_lossless_colour_images_keep_every_pixel(self, tmp_path, suffix):
        path = save_image(tmp_path / f"a{suffix}", COLOUR, lossless=True)
        np.testing.assert_array_equal(pixels_of(path), COLOUR.transpose(2, 0, 1))

    def test_jpeg_images_are_read(self, tmp_path):
        path = save_image(tmp_path / "a.jpeg", np.full((6, 8, 3), (200, 100, 50), np.uint8))
        np.testing.assert_allclose(pixels_of(path).mean((1, 2)), (200, 100, 50), atol=3)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_every_mode_becomes_the_channels_asked_for(self, tmp_path, mode, channels):
        path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
        Image.new(mode, (8, 6)).save(path)
        result = pixels_of(path, channels=channels)
        assert result.shape == (channels, 6, 8)
        assert result.dtype == np.uint8

    def test_sixteen_bit_grey_keeps_its_upper_bits(self, tmp_path):
        values = np.array([[0, 255, 256, 0x7FFF, 0xFFFF]], np.uint16)
        path = save_image(tmp_path / "a.png", values)
        assert pixels_of(path).tolist() == [[[0, 0, 1, 127, 255]]]

    def test_pixels_without_a_range_are_refused(self, tmp_path):
        path = save_image(tmp_path / "a.tif", GREY.astype(np.float32))
        with pytest.raises(DataFileError, match=r"a\.tif': its pixels \(mode F\) have no defined"):
            pixels_of(path)

    def test_transparency_shows_white(self, tmp_path):
        pixels = np.zeros((1, 3, 4), np.uint8)
        pixels[0, :, 3] = (0, 255, 51)
        path = save_image(tmp_path / "a.png", pixels)
        assert pixels_of(path)[0].tolist() == [[255, 0, 204]]

    def test_a_transparent_colour_of_a_palette_shows_white(self, tmp_path):
        picture = Image.new("P", (2, 1))
        picture.putpalette([9, 9, 9, 80, 0, 0])
        picture.putpixel((1, 0), 1)
        picture.save(tmp_path / "a.png", transparency=0)
        assert pixels_of(tmp_path / "a.png")[:, 0].tolist() == [[255, 80], [255, 0], [255, 0]]

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
    def test_images_are_turned_upright(self, tmp_path, suffix):
        pixels = np.zeros((16, 32), np.uint8)
        pixels[:, 16:] = 255
        exif = Image.Exif()
        exif[0x0112] = 6  # shown after a quarter turn clockwise: the left side comes up
        path = save_image(tmp_path / f"a{suffix}", pixels, exif=exif)
        result = pixels_of(path, image_size=(32, 16), channels=1)[0]
        assert result[:12].max() < 20
        assert result[20:].min() > 235

    @pytest.mark.parametrize("suffix", [".jpg", ".webp"])
    def test_the_size_is_that_of_the_upright_image(self, tmp_path, suffix):
        exif = Image.Exif()
        exif[0x0112] = 8
        path = save_image(tmp_path / f"a{suffix}", GREY, exif=exif)
        assert ImageFiles([path]).image_size == (8, 6)

    def test_the_first_frame_counts(self, tmp_path):
        frames = [Image.new("L", (4, 4), value) for value in (10, 200)]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        assert set(pixels_of(tmp_path / "a.gif", channels=1).ravel()) == {10}


class TestSize:
    def test_crop_keeps_the_middle_and_the_proportions(self, tmp_path):
        stripes = np.repeat(np.array([[0, 100, 200, 250]], np.uint8), 4, axis=1).repeat(8, axis=0)
        path = save_image(tmp_path / "a.png", stripes)  # 8 high, 16 wide
        assert pixels_of(path, image_size=8)[0, 0].tolist() == [100] * 4 + [200] * 4

    def test_stretch_keeps_everything(self, tmp_path):
        stripes = np.repeat(np.array([[0, 100, 200, 250]], np.uint8), 4, axis=1).repeat(8, axis=0)
        path = save_image(tmp_path / "a.png", stripes)
        row = pixels_of(path, image_size=(8, 8), fit="stretch")[0, 0]
        assert row[0] < 20
        assert row[-1] > 230

    def test_a_large_jpeg_gives_what_its_pixels_give(self, tmp_path):
        ramp = np.linspace(0, 255, 1024).astype(np.uint8)[np.newaxis].repeat(1024, axis=0)
        lossy = save_image(tmp_path / "a.jpg", ramp, quality=95)
        exact = save_image(tmp_path / "a.png", ramp)
        difference = pixels_of(lossy, image_size=32) - pixels_of(exact, image_size=32).astype(int)
        assert np.abs(difference).max() <= 2

    def test_the_most_common_size_is_taken(self, tmp_path):
        files = [save_image(tmp_path / f"{i}.png", GREY) for i in range(3)]
        files.append(save_image(tmp_path / "odd.png", images(1, 9, 9)[0]))
        assert ImageFiles(files).shape == (4, 1, 6, 8)

    def test_of_two_equally_common_sizes_the_larger_is_taken(self, tmp_path):
        files = [save_image(tmp_path / f"{i}.png", images(1, i, 5)[0]) for i in (4, 7)]
        assert ImageFiles(files).image_size == ImageFiles(files[::-1]).image_size == (7, 5)

    def test_too_many_sizes_ask_for_one(self, tmp_path):
        files = [save_image(tmp_path / f"{i}.png", images(1, i, 5)[0]) for i in (4, 6, 7)]
        message = "have 3 different sizes; the most common, 7x5, is that of 1 of 3 images. Give"
        with pytest.raises(DataError, match=message):
            ImageFiles(files)
        assert ImageFiles(files, image_size=5).shape == (3, 1, 5, 5)

    def test_one_image_in_colours_makes_all_colour(self, tmp_path):
        files = [save_image(tmp_path / "a.png", GREY), save_image(tmp_path / "b.png", COLOUR)]
        result = ImageFiles(files).take([0, 1])
        np.testing.assert_array_equal(result[0], np.stack([GREY] * 3))
        np.testing.assert_array_equal(result[1], COLOUR.transpose(2, 0, 1))

    def test_only_so_many_headers_are_read(self, tmp_path, monkeypatch):
        monkeypatch.setattr("convoi.data.images._INSPECTED", 2)
        files = [save_image(tmp_path / f"{i}.png", GREY) for i in range(4)]
        save_image(files[1], COLOUR)
        assert ImageFiles(files).channels == 1  # numbers 0 and 2 were looked at


class TestUnreadable:
    @pytest.fixture
    def files(self, tmp_path):
        files = [save_image(tmp_path / f"{i}.png", images(4, 40, 40)[i]) for i in range(4)]
        files[2].write_bytes(files[2].read_bytes()[:900])
        return files

    def test_it_is_named_when_its_turn_comes(self, files):
        source = ImageFiles(files)
        np.testing.assert_array_equal(source.take([3])[0, 0], images(4, 40, 40)[3])
        message = r"Cannot read image '.*2\.png': .*truncated.*\. Replace or remove it"
        with pytest.raises(DataFileError, match=message):
            source.take([0, 2])

    def test_it_is_skipped_with_a_warning_that_names_it(self, files):
        message = r"Skipped 1 of 4 images that cannot be read:\n  Cannot read image '.*2\.png'"
        with pytest.warns(UserWarning, match=message):
            source = ImageFiles(files, on_error="skip")
        assert source.kept.tolist() == [0, 1, 3]
        assert source.skipped == (files[2],)
        np.testing.assert_array_equal(np.asarray(source)[:, 0], images(4, 40, 40)[[0, 1, 3]])

    def test_a_long_list_is_cut_in_the_warning_only(self, tmp_path):
        files = [save_image(tmp_path / "good.png", GREY)]
        for i in range(25):
            files.append(tmp_path / f"{i}.png")
            files[-1].write_bytes(b"")
        with pytest.warns(UserWarning, match="  and 5 more"):
            source = ImageFiles(files, on_error="skip")
        assert len(source.skipped) == 25

    def test_nothing_is_warned_of_when_all_is_well(self, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ImageFiles([save_image(tmp_path / "a.png", GREY)], on_error="skip")

    def test_if_none_is_left_the_first_is_named(self, tmp_path):
        files = [tmp_path / "a.png", tmp_path / "b.png"]
        with pytest.raises(DataError, match=r"None of 2 images can be read\. The first: .*a\.png"):
            ImageFiles(files, on_error="skip")

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(DataFileError, match=r"Cannot read '.*a\.png': it does not exist"):
            pixels_of(tmp_path / "a.png")

    def test_another_kind_of_file_is_named(self, tmp_path):
        (tmp_path / "a.png").write_text("<svg/>")
        with pytest.raises(DataFileError, match=r"a\.png': it is not a PNG, JPEG, BMP, GIF, WebP"):
            pixels_of(tmp_path / "a.png")

    @pytest.mark.parametrize("factor", [0.9, 0.4])  # Pillow warns, and beyond twice the limit errs
    @pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
    def test_a_decompression_bomb_is_refused(self, tmp_path, monkeypatch, factor):
        path = save_image(tmp_path / "a.png", images(1, 100, 100)[0])
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(100 * 100 * factor))
        with pytest.raises(DataFileError, match=r"a\.png': .*raise PIL\.Image\.MAX_IMAGE_PIXELS"):
            pixels_of(path)


class TestIndexing:
    @pytest.fixture
    def source(self, tmp_path):
        return ImageFiles([save_image(tmp_path / f"{i}.png", p) for i, p in enumerate(images(5))])

    @pytest.mark.parametrize(
        "key",
        [0, -1, slice(1, 4), slice(None, None, -2), [3, 1], np.array([True, False] * 2 + [True])],
    )
    def test_it_is_indexed_as_an_array_is(self, source, key):
        np.testing.assert_array_equal(source[key], images(5)[:, np.newaxis][key])

    def test_iteration_ends(self, source):
        assert len(list(source)) == 5

    @pytest.mark.parametrize("key", [5, -6, [0, 5]])
    def test_out_of_range(self, source, key):
        with pytest.raises(IndexError):
            source[key]

    def test_scikit_learn_can_split_it(self, source):
        train, test, y_train, _ = train_test_split(source, np.arange(5), random_state=0)
        np.testing.assert_array_equal(train[:, 0], images(5)[y_train])
        assert len(test) == 2

    def test_it_can_be_pickled(self, source):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[3], source[3])

    def test_what_it_says_of_itself(self, source):
        assert repr(source) == "ImageFiles(5 images, 1x5x7)"

    def test_memory_holds_one_batch_at_a_time(self, tmp_path):
        path = save_image(tmp_path / "a.png", images(1, 200, 200)[0])
        source = ImageFiles([path] * 500)  # 20 MB, if all were decoded
        tracemalloc.start()
        try:
            for start in range(0, 500, 10):
                source.take(np.arange(start, start + 10))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2_000_000


class TestArguments:
    def test_no_files(self):
        with pytest.raises(DataError, match="no image files to read"):
            ImageFiles([])

    def test_a_single_path(self, tmp_path):
        message = "'files' parameter of ImageFiles must be a sequence of paths. Got the single"
        for path in (tmp_path, str(tmp_path)):
            with pytest.raises(ArgumentTypeError, match=message):
                ImageFiles(path)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"image_size": 0}, ArgumentError, "'image_size' parameter of ImageFiles"),
            ({"image_size": (3, 4, 5)}, ArgumentError, "'image_size' parameter of ImageFiles"),
            ({"image_size": "32"}, ArgumentTypeError, "'image_size' parameter of ImageFiles"),
            ({"channels": 2}, ArgumentError, r"'channels' .* 1 \(grey\), 3 .*Got 2"),
            ({"fit": "pad"}, ArgumentError, "'fit' .* one of 'crop', 'stretch'"),
            ({"on_error": "warn"}, ArgumentError, "'on_error' .* one of 'raise', 'skip'"),
        ],
    )
    def test_values_that_are_not_accepted(self, tmp_path, options, error, message):
        path = save_image(tmp_path / "a.png", GREY)
        with pytest.raises(error, match=message):
            ImageFiles([path], **options)


class TestReadImages:
    def test_pixels_stay_bytes_by_default(self, tmp_path):
        files = [save_image(tmp_path / "a.png", GREY), save_image(tmp_path / "b.png", COLOUR)]
        result = read_images(files, image_size=(6, 8), channels=3)
        assert result.dtype == np.uint8
        assert result.shape == (2, 3, 6, 8)

    def test_pixels_are_scaled_to_the_values_that_a_network_knows(self, tmp_path):
        path = save_image(tmp_path / "a.png", np.array([[0, 255, 51]], np.uint8))
        result = read_images([path], image_size=(1, 3), channels=1, value_range=(-1.0, 1.0))
        assert result.dtype == np.float32
        np.testing.assert_allclose(result.ravel(), [-1, 1, -0.6], atol=1e-6)

    def test_an_unreadable_file_is_named(self, tmp_path):
        good = save_image(tmp_path / "a.png", GREY)
        with pytest.raises(DataFileError, match=r"b\.png': it does not exist"):
            read_images([good, tmp_path / "b.png"], image_size=8, channels=1)
