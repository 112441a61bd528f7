"""Squares of images around the part that a slot takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from nsi_cli.evaluation.segments import upsampled
from nsi_cli.interpretation.plots import Pixels, spotlight

CROP_SIDE = 84

_REGION = 0.28
"""The side of the square around a peak without a known mask, as a share of the image's."""


def region_around_peak(mask: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """The connected region around a mask's peak where it reaches at least half the peak."""
    regions, _ = ndimage.label(mask >= mask.max() / 2)
    return np.asarray(regions == regions.flat[mask.argmax()])


def square_around(region: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    """The side, left and top of the square around a region (S, S), with a margin."""
    size = len(region)
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = min(size, max(round(extent * 1.1), size // 6))
    left, top = (
        int(min(max(0, (cells[0] + cells[-1] + 1 - side) // 2), size - side))
        for cells in (columns, rows)
    )
    return side, left, top


def cut(image: Pixels, mask: npt.NDArray[np.float32]) -> Pixels:
    """The square of an image (S, S, 3) around the peak of a mask (h, w), dimmed outside of it."""
    size = len(image)
    side, left, top = square_around(region_around_peak(upsampled(mask, size)))
    return _resized(spotlight(image, mask)[top : top + side, left : left + side], CROP_SIDE)


def around(image: Pixels, peak: npt.NDArray[np.float64], side: int) -> Pixels:
    """The square of an image (S, S, 3) around a peak (2,), given as shares, resized to ``side``."""
    size = len(image)
    region = max(1, round(_REGION * size))
    top, left = (np.clip(peak * size - region / 2, 0, size - region)).round().astype(int)
    return _resized(image[top : top + region, left : left + region], side)


def _resized(square: Pixels, side: int) -> Pixels:
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC))
