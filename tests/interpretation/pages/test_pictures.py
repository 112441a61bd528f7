from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from nsi_cli.interpretation.colours import slot_colour
from nsi_cli.interpretation.pages.pictures import mask_uri, photo_uri, segments_uri, truth_uri


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
