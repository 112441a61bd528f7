"""Loading a scene of a table: the image, the boxes as shares of it, and the masks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nsi_cli.plugins.boxes import box_in_image
from nsi_cli.plugins.raw_files import read_image, read_mask_values
from nsi_cli.schema.scene import Scene, keep_visible
from nsi_cli.support.errors import DataError

_HINT = "fix the table or the file, or remove the rows of the image"


@dataclass(frozen=True)
class TableScene:
    """What `load_table_scene` needs to load a scene. ``str`` of it is the scene's id."""

    id: str
    image: str  # the path
    width: int  # of a primitive
    primitives: bytes  # float32 (n, width)
    boxes: bytes = b""  # float64 (n, 4): left, top, width, height
    box_columns: tuple[int, int] = (0, 0)  # the first columns of the box's centre and size
    box_in_pixels: bool = True
    masks: tuple[str, ...] = ()  # the path of each object's mask
    mask_values: tuple[str, ...] = ()  # the value of each object; empty: any but 0
    masked: bool = False

    def __str__(self) -> str:
        return self.id


def load_table_scene(source: TableScene) -> Scene:
    """Load a scene. Objects whose box is outside the image, or without a pixel, are dropped.

    Raises `DataError` if a file cannot be read or does not fit.
    """
    image = read_image(Path(source.image), hint=_HINT)
    primitives = np.frombuffer(source.primitives, np.float32).reshape(-1, source.width).copy()
    present = np.ones(len(primitives), bool)
    if source.boxes:
        present = _add_boxes(source, primitives, image.size)
    dropped = int((~present).sum())
    if not source.masked:
        return Scene(source.id, image, primitives[present], None, dropped)
    mask = _mask(source, (image.height, image.width), np.flatnonzero(present).tolist())
    return keep_visible(source.id, image, primitives[present], mask, dropped)


def _add_boxes(
    source: TableScene, primitives: npt.NDArray[np.float32], size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Write the boxes into primitives; return which objects have a part in the image, (n,)."""
    present = np.ones(len(primitives), bool)
    center, extent = source.box_columns
    boxes = np.frombuffer(source.boxes, np.float64).reshape(-1, 4)
    for number, values in enumerate(boxes):
        if np.isnan(values).any():
            continue
        left, top, width, height = values if source.box_in_pixels else values * (size * 2)
        box = box_in_image(left, top, width, height, size)
        if box is None:
            present[number] = False
            continue
        primitives[number, center : center + 2] = box.center
        primitives[number, extent : extent + 2] = box.size
    return present


def _mask(
    source: TableScene, shape: tuple[int, int], objects: Sequence[int]
) -> npt.NDArray[np.uint8]:
    """Return the mask (H, W) of some objects, numbered from 1; small ones are above large ones."""
    files = {path: read_mask_values(Path(path), hint=_HINT) for path in set(source.masks) if path}
    layers = []
    for number, index in enumerate(objects, start=1):
        path = source.masks[index]
        if not path:
            continue
        values = files[path]
        if values.shape != shape:
            raise DataError(
                f"{Path(path).name}: a mask of {values.shape[1]}×{values.shape[0]} pixels, but the "
                f"image has {shape[1]}×{shape[0]}",
                _HINT,
            )
        pixels = values == _value(source, index) if source.mask_values else values != 0
        layers.append((-int(pixels.sum()), number, pixels))
    mask = np.zeros(shape, np.uint8)
    for _, number, pixels in sorted(layers, key=lambda layer: layer[:2]):
        mask[pixels] = number
    return mask


def _value(source: TableScene, index: int) -> int:
    """Return an object's value in its mask: a number, or a colour as 0xRRGGBB."""
    text = source.mask_values[index]
    if re.fullmatch(r"\d+", text):
        return int(text)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:], 16)
    parts = re.fullmatch(r"[\[(]?(\d{1,3})[, ]+(\d{1,3})[, ]+(\d{1,3})[\])]?", text)
    if parts is None:
        raise DataError(
            f"{source.id}: {text!r} is not a mask's value", "a number, #rrggbb, or r,g,b"
        )
    red, green, blue = map(int, parts.groups())
    return (red << 16) + (green << 8) + blue
