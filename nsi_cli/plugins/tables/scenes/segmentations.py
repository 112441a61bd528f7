"""Decoding COCO segmentations: polygons and run-length encodings.

Encodings are decoded here, and polygons are checked before pycocotools rasterises them, because its
C code trusts its input: a wrong encoding from a file would overwrite memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.support.errors import DataError

Pixels = npt.NDArray[np.bool_]

_FARTHEST = 1e5  # pixels that a polygon may reach


def layers_of_segmentations(
    texts: Sequence[str], shape: tuple[int, int], name: str
) -> Iterator[Pixels | None]:
    """Yield the pixels of each object of the image ``name`` by its COCO segmentation, as JSON.

    A segmentation is a list of polygons, or a run-length encoding, compressed or not; an empty text
    is no segmentation. Raises `DataError` if one is not valid, or if pycocotools is missing.
    """
    for text in texts:
        if not text:
            yield None
            continue
        try:
            yield _decoded(json.loads(text), *shape)
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise DataError(
                f"{name}: a segmentation is not valid: {error}", "fix the annotation, or remove it"
            ) from None


def pycocotools_mask() -> Any:
    """Return the module of masks of pycocotools. Raises `DataError` if it is not installed."""
    try:
        from pycocotools import mask
    except ImportError:
        raise DataError(
            "masks of COCO segmentations need pycocotools, which is not installed",
            "pip install 'nsi-cli[coco]'",
        ) from None
    return mask


def _decoded(segmentation: Any, height: int, width: int) -> Pixels:
    if isinstance(segmentation, list):
        return _of_polygons(segmentation, height, width)
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"it is for {segmentation['size']}, not {[height, width]}")
    counts = segmentation["counts"]
    runs = np.array(_runs(counts) if isinstance(counts, str) else counts, np.int64)
    pixels = height * width
    if runs.ndim != 1 or not ((runs >= 0) & (runs <= pixels)).all() or runs.sum() != pixels:
        raise ValueError("its runs do not cover the image")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T


def _runs(code: str) -> list[int]:
    """Return the lengths of runs in a compressed encoding.

    A number has 5 bits per character, the lowest first, from the character "0" on; a sixth bit says
    that more follow, and the highest bit of the last five is the sign. From the fourth number on,
    the encoding has the difference to the number two before.
    """
    numbers, value, shift = [], 0, 0
    for character in code:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise ValueError("its encoding is damaged")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            numbers.append(value - (1 << shift) if bits & 16 else value)
            value, shift = 0, 0
    for index in range(3, len(numbers)):
        numbers[index] += numbers[index - 2]
    return numbers


def _of_polygons(polygons: Sequence[Any], height: int, width: int) -> Pixels:
    points = [np.array(polygon, np.float64) for polygon in polygons]
    for polygon in points:
        if polygon.ndim != 1 or len(polygon) % 2 or not (abs(polygon) < _FARTHEST).all():
            raise ValueError("a polygon is not a list of coordinates")
    coco = pycocotools_mask()
    whole = [polygon.tolist() for polygon in points if len(polygon) >= 6]  # 4 numbers are a box
    if not whole:
        return np.zeros((height, width), bool)
    return np.asarray(coco.decode(coco.merge(coco.frPyObjects(whole, height, width))), bool)
