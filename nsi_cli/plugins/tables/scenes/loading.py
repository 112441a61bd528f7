"""Loading a scene of a table: the image, the boxes as shares of it, and the masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsi_cli.plugins.boxes import box_in_image
from nsi_cli.plugins.raw_files import read_image
from nsi_cli.plugins.tables.scenes.masks import Layers, layers_of_files, painted
from nsi_cli.plugins.tables.scenes.segmentations import layers_of_segmentations
from nsi_cli.schema.scene import Scene, keep_visible
from nsi_cli.support.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_HINT = "fix the table or the file, or remove the rows of the image"


@dataclass(frozen=True)
class SceneBoxes:
    """The boxes of the objects of a scene, and where they are in a primitive."""

    values: bytes  # float64 (n, 4): left, top, width, height
    center: int | None  # the first column of the centre; None if it is not stored
    size: int | None
    in_pixels: bool


@dataclass(frozen=True)
class SceneMasks:
    """The masks of the objects of a scene: files and values, or segmentations."""

    files: tuple[str, ...] = ()
    values: tuple[str, ...] = ()  # empty: all pixels but those with the value 0
    segmentations: tuple[str, ...] = ()  # JSON


@dataclass(frozen=True)
class TableScene:
    """What `load_table_scene` needs to load a scene. ``str`` of it is the scene's id."""

    id: str
    image: str  # the path
    width: int  # of a primitive
    primitives: bytes  # float32 (n, width)
    boxes: SceneBoxes | None = None
    masks: SceneMasks | None = None
    size: tuple[int, int] | None = None  # width and height that the table states
    label: str | None = None

    def __str__(self) -> str:
        return self.id


def load_table_scene(source: TableScene) -> Scene:
    """Load a scene. Objects whose box is outside the image, or without a pixel, are dropped.

    With masks, both are counted as hidden.

    Raises `DataError` if a file cannot be read or does not fit.
    """
    image = _image(source)
    primitives = np.frombuffer(source.primitives, np.float32).reshape(-1, source.width).copy()
    present = np.ones(len(primitives), bool)
    if source.boxes is not None:
        present = _add_boxes(source.boxes, primitives, image.size)
    dropped = int((~present).sum())
    if source.masks is None:
        return Scene(source.id, image, primitives[present], None, dropped, label=source.label)
    shape = image.height, image.width
    layers = _layers(source, source.masks, shape, np.flatnonzero(present).tolist())
    mask = painted(layers, shape)
    scene = keep_visible(source.id, image, primitives[present], mask, dropped)
    return replace(scene, hidden=scene.dropped, label=source.label)


def _image(source: TableScene) -> Image:
    """Return the image. If it is stored on its side, it is turned to the size that is stated."""
    from PIL import ImageOps

    image = read_image(Path(source.image), hint=_HINT)
    if source.size and image.size == source.size[::-1]:
        image = ImageOps.exif_transpose(image)
    if source.size and image.size != source.size:
        width, height = source.size
        raise DataError(
            f"{source.id}: {image.width}×{image.height} pixels, but the annotations are for "
            f"{width}×{height}",
            _HINT,
        )
    return image


def _add_boxes(
    boxes: SceneBoxes, primitives: npt.NDArray[np.float32], size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Write the boxes into primitives; return which objects have a part in the image, (n,)."""
    present = np.ones(len(primitives), bool)
    for number, values in enumerate(np.frombuffer(boxes.values, np.float64).reshape(-1, 4)):
        if np.isnan(values).any():
            continue
        left, top, width, height = values if boxes.in_pixels else values * (size * 2)
        box = box_in_image(left, top, width, height, size)
        if box is None:
            present[number] = False
            continue
        for column, pair in ((boxes.center, box.center), (boxes.size, box.size)):
            if column is not None:
                primitives[number, column : column + 2] = pair
    return present


def _layers(
    source: TableScene, masks: SceneMasks, shape: tuple[int, int], objects: Sequence[int]
) -> Layers:
    if masks.segmentations:
        texts = [masks.segmentations[index] for index in objects]
        return layers_of_segmentations(texts, shape, source.id)
    files = [masks.files[index] for index in objects]
    values = [masks.values[index] for index in objects] if masks.values else []
    return layers_of_files(files, values, shape, _HINT)
