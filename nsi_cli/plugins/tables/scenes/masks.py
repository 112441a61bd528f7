"""Instance masks of a scene, from mask files or from COCO segmentations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.plugins.raw_files import read_mask_values
from nsi_cli.support.errors import DataError

Pixels = npt.NDArray[np.bool_]
Layers = Iterator[Pixels | None]
"""For each object, the pixels of its mask (H, W); None if it has none."""


def painted(layers: Layers, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the mask (H, W) of objects, numbered from 1; small ones are above large ones."""
    known = [
        (-int(pixels.sum()), number, pixels)
        for number, pixels in enumerate(layers, start=1)
        if pixels is not None
    ]
    mask = np.zeros(shape, np.uint8)
    for _, number, pixels in sorted(known, key=lambda layer: layer[:2]):
        mask[pixels] = number
    return mask


def layers_of_files(
    paths: Sequence[str], values: Sequence[str], shape: tuple[int, int], hint: str
) -> Layers:
    """Yield the pixels of each object: those with its value in its file, or, without values, all
    but those with the value 0. Raises `DataError`.
    """  # fmt: skip
    files = {path: _sized(Path(path), shape, hint) for path in set(paths) if path}
    for index, path in enumerate(paths):
        if not path:
            yield None
        elif values:
            yield files[path] == _value(values[index], path)
        else:
            yield files[path] != 0


def _sized(path: Path, shape: tuple[int, int], hint: str) -> npt.NDArray[np.int64]:
    values = read_mask_values(path, hint=hint)
    if values.shape != shape:
        raise DataError(
            f"{path.name}: a mask of {values.shape[1]}×{values.shape[0]} pixels, but the image has "
            f"{shape[1]}×{shape[0]}",
            hint,
        )
    return values


def _value(text: str, path: str) -> int:
    """Return an object's value in its mask: a number, or a colour as 0xRRGGBB."""
    if re.fullmatch(r"\d+", text):
        return int(text)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:], 16)
    parts = re.fullmatch(r"[\[(]?(\d{1,3})[, ]+(\d{1,3})[, ]+(\d{1,3})[\])]?", text)
    if parts is None:
        raise DataError(
            f"{Path(path).name}: {text!r} is not a value of a mask", "a number, #rrggbb, or r,g,b"
        )
    red, green, blue = map(int, parts.groups())
    return (red << 16) + (green << 8) + blue


def layers_of_segmentations(texts: Sequence[str], shape: tuple[int, int], name: str) -> Layers:
    """Yield the pixels of each object of the image ``name`` by its COCO segmentation, as JSON.

    A segmentation is a list of polygons, or a run-length encoding, compressed or not. Raises
    `DataError` if one is not valid, or if pycocotools is missing.
    """
    coco = pycocotools_mask()
    for text in texts:
        if not text:
            yield None
            continue
        try:
            yield _decoded(coco, json.loads(text), *shape)
        except Exception as error:  # pycocotools raises many kinds on wrong values
            raise DataError(
                f"{name}: a segmentation is not valid: {type(error).__name__}",
                "fix the annotation, or remove it",
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


def _decoded(coco: Any, segmentation: Any, height: int, width: int) -> Pixels:
    if isinstance(segmentation, list):
        # pycocotools treats a list of four numbers as boxes.
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
        code = coco.merge(coco.frPyObjects(polygons, height, width))
    elif isinstance(segmentation["counts"], list):
        code = coco.frPyObjects(segmentation, height, width)
    else:
        code = {**segmentation, "counts": segmentation["counts"].encode()}
    if list(code["size"]) != [height, width]:
        raise ValueError("of another size")
    return np.asarray(coco.decode(code), bool)
