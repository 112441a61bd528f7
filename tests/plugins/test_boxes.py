"""Boxes are shares of the image, cut at its border."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nsi_cli.plugins import Box, box_in_image, boxes_in_mask


def test_a_box_is_its_centre_and_size_as_shares_of_the_image() -> None:
    assert box_in_image(10, 0, 20, 25, (100, 50)) == Box((0.2, 0.25), (0.2, 0.5))


def test_a_box_is_cut_at_the_border() -> None:
    assert box_in_image(-10, 40, 30, 50, (100, 50)) == Box((0.1, 0.9), (0.2, 0.2))


@pytest.mark.parametrize(
    "box", [(100, 0, 5, 5), (-5, 0, 5, 5), (0, -9, 5, 5), (1, 1, 0, 5), (1, 1, -2, 5),
            (math.nan, 1, 2, 2)],
)  # fmt: skip
def test_a_box_without_a_part_in_the_image_is_none(box: tuple[float, ...]) -> None:
    assert box_in_image(*box, (100, 50)) is None


def test_boxes_in_a_mask_enclose_all_pixels_of_each_object() -> None:
    mask = np.zeros((10, 20), np.uint8)
    mask[2:4, 5:15] = 1
    mask[9, 0] = 3
    mask[0, 4] = 3
    assert boxes_in_mask(mask, 3) == [
        Box((0.5, 0.3), (0.5, 0.2)),
        None,
        Box((0.125, 0.5), (0.25, 1.0)),
    ]
