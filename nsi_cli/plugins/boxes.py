"""Boxes of objects, as shares of the image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Pair = tuple[float, float]


class Box(NamedTuple):
    """A box: the x and y of its centre, and its width and height, as shares of the image."""

    center: Pair
    size: Pair


def box_in_image(
    left: float, top: float, width: float, height: float, image_size: tuple[int, int]
) -> Box | None:
    """Return the part of a box that lies in an image; None if no part does.

    The box is in pixels, from the upper left corner of the image; ``image_size`` is the image's
    width and height.

    >>> box_in_image(-10, 0, 30, 50, (100, 50))
    Box(center=(0.1, 0.5), size=(0.2, 1.0))
    """
    x = _span(left, left + width, image_size[0])
    y = _span(top, top + height, image_size[1])
    return Box((x[0], y[0]), (x[1], y[1])) if x and y else None


def boxes_in_mask(mask: npt.NDArray[np.integer], objects: int) -> list[Box | None]:
    """Return the box around each object in a mask (H, W), in which i is the object i, from 1.

    None stands for an object without a pixel.
    """
    from scipy import ndimage

    height, width = mask.shape
    spans = ndimage.find_objects(mask, max_label=objects)
    return [found and _box_of_pixels(found, width, height) for found in spans]


def _box_of_pixels(spans: tuple[slice, slice], width: int, height: int) -> Box | None:
    rows, columns = spans
    size = columns.stop - columns.start, rows.stop - rows.start
    return box_in_image(columns.start, rows.start, *size, (width, height))


def _span(start: float, end: float, limit: int) -> Pair | None:
    """Return the centre and length of the part of an interval in [0, limit], as shares of it."""
    start, end = max(start, 0.0), min(end, float(limit))
    if not start < end:  # an empty interval, or NaN
        return None
    return (start + end) / 2 / limit, (end - start) / limit
