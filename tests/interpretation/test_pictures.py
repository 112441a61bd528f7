from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from nsi_cli.errors import DataError
from nsi_cli.interpretation.colours import SLOT_COLOURS, ink_on, slot_colour
from nsi_cli.interpretation.pictures import mask_uri, photo_uri, segments_uri, truth_uri
from nsi_cli.interpretation.uploads import read_image


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def colour_at(picture: Image.Image, x: float, y: float) -> tuple[int, ...]:
    rgba = picture.convert("RGBA")
    return rgba.getpixel((int(x * rgba.width), int(y * rgba.height)))


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def test_fifteen_slots_have_fifteen_colours_and_any_slot_has_one() -> None:
    assert len(set(SLOT_COLOURS)) == 15
    assert slot_colour(15) == slot_colour(0)


def test_numbers_stay_readable_on_every_colour() -> None:
    assert ink_on("#f7df48") == "#000"
    assert ink_on("#8748af") == "#fff"


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
