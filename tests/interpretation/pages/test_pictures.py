from __future__ import annotations

import base64
import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nsi_cli.interpretation.colours import slot_colour
from nsi_cli.interpretation.pages.pictures import mask_uri, photo_uri, segments_uri, truth_uri
from nsi_cli.interpretation.uploads import read_image
from nsi_cli.support.errors import DataError


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def colour_at(picture: Image.Image, x: float, y: float) -> tuple[int, ...]:
    rgba = picture.convert("RGBA")
    return rgba.getpixel((int(x * rgba.width), int(y * rgba.height)))


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def test_segments_wear_the_colour_of_the_largest_mask() -> None:
    masks = np.zeros((2, 4, 4), np.float32)
    masks[0, :, :2] = masks[1, :, 2:] = 1
    picture = opened(segments_uri(masks, [slot_colour(0), None]))
    left, right = colour_at(picture, 0.2, 0.5), colour_at(picture, 0.8, 0.5)
    assert left[:3] == rgb(slot_colour(0))
    assert 0 < left[3] < 255
    assert right[3] == 0


def test_true_objects_wear_the_colour_of_their_slot_and_the_background_none() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 2
    picture = opened(truth_uri(mask, [None, 5]))
    assert colour_at(picture, 0.2, 0.5)[3] == 0
    assert colour_at(picture, 0.8, 0.5)[:3] == rgb(slot_colour(5))


def test_a_mask_becomes_transparency() -> None:
    picture = opened(mask_uri(np.array([[0.0, 1.0]], np.float32)))
    assert [picture.getpixel((x, 0))[-1] for x in (0, 1)] == [0, 255]


def test_photographs_only_shrink() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    assert opened(photo_uri(image, 20)).size == (20, 20)
    assert opened(photo_uri(image, 80)).size == (40, 40)


def test_an_image_file_is_squashed_to_a_square(tmp_path) -> None:
    Image.new("RGBA", (30, 20), (255, 0, 0, 255)).save(tmp_path / "mine.png")
    image = read_image(tmp_path / "mine.png", 16)
    assert image.shape == (16, 16, 3)
    assert (image == [255, 0, 0]).all()


def test_a_file_that_is_no_image_is_one_clear_line(tmp_path) -> None:
    (tmp_path / "mine.png").write_text("no")
    with pytest.raises(DataError, match=r"mine\.png cannot be read as an image"):
        read_image(tmp_path / "mine.png", 16)
    with pytest.raises(DataError, match="no image at"):
        read_image(tmp_path / "none.png", 16)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "a folder"),
        (os.mkfifo, "a named pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: (path.touch(), os.truncate(path, 1 << 40)), "more than 256,000,000 bytes"),
    ],
)
def test_what_is_no_file_is_not_read(tmp_path, make, reason: str) -> None:
    make(tmp_path / "mine.png")
    with pytest.raises(DataError, match=rf"mine\.png cannot be read as an image: .*{reason}"):
        read_image(tmp_path / "mine.png", 16)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9500, 20_000])  # Pillow warns of the first, refuses the second
def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path, side: int) -> None:
    Image.new("1", (side, side)).save(tmp_path / "mine.png")
    with pytest.raises(DataError, match=r"mine\.png cannot be read as an image") as caught:
        read_image(tmp_path / "mine.png", 16)
    assert "pixels" in caught.value.message
    assert "\n" not in caught.value.message


@given(place=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_a_damaged_image_is_read_or_is_an_error_of_ours(place: int, value: int, cut: int) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), (255, 0, 0)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[place % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.png"
        path.write_bytes(data[: len(data) - cut % 7])
        with suppress(DataError):
            assert read_image(path, 16).shape == (16, 16, 3)
