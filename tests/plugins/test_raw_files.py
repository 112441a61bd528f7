"""Raw files are read by value, and what cannot be read is an error of one line with a hint."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nsi_cli.plugins import DataError, read_image, read_json, read_mask

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "ppm"])
def test_an_image_of_any_common_format_is_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(PIXELS).save(path, lossless=True)
    np.testing.assert_array_equal(read_image(path), PIXELS)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "LA"])
def test_an_image_of_any_mode_is_converted_to_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.tiff"
    Image.new(mode, (4, 3), 1).save(path)
    assert (read_image(path).mode, read_image(path).size) == ("RGB", (4, 3))


def test_an_image_of_16_bits_is_refused_because_conversion_would_clip_it(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png: .* more than 8 bits"):
        read_image(tmp_path / "deep.png")


def test_a_mask_is_read_by_value_not_by_colour(tmp_path: Path) -> None:
    values = np.array([[0, 1], [2, 1]], np.uint8)
    picture = Image.frombytes("P", (2, 2), values.tobytes())
    picture.putpalette([9, 9, 9, 1, 2, 3, 200, 0, 0])
    picture.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), values)


def test_a_mask_of_colours_is_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match="mode RGB has no palette values"):
        read_mask(tmp_path / "mask.png")


def test_a_required_size_is_checked(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "image.png")
    with pytest.raises(DataError, match="4×3 pixels, not 8×8"):
        read_image(tmp_path / "image.png", size=(8, 8))


def _missing(path: Path) -> None:
    pass


def _truncated(path: Path) -> None:
    Image.fromarray(PIXELS.repeat(9, 0)).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-40])


def _text(path: Path) -> None:
    path.write_text("<html>not an image</html>")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_missing, "is missing"),
        (_truncated, "cannot be read as an image: .*[Tt]runcated"),
        (_text, "cannot be read as an image: cannot identify"),
        (os.mkfifo, "cannot be read: it is a named pipe"),
        (Path.mkdir, "cannot be read: it is a folder"),
    ],
)
def test_a_file_that_is_no_image_is_one_line_with_the_callers_hint(
    tmp_path: Path, damage, reason: str
) -> None:
    path = tmp_path / "image.jpg"
    damage(path)
    with pytest.raises(DataError, match=rf"^image\.jpg:? {reason}") as caught:
        read_image(path, hint="try that")
    assert caught.value.hint == "try that"
    assert "\n" not in caught.value.message


def test_json_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1, 2]")
    assert read_json(tmp_path / "a.json") == [1, 2]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\ud800"])
def test_damaged_json_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(DataError, match=r"^a\.json is not valid JSON: ") as caught:
        read_json(tmp_path / "a.json")
    assert caught.value.hint
