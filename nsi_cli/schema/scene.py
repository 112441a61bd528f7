"""A scene: one image with its primitives and, if the dataset has it, its instance mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsi_cli.support.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """One image of a dataset with the objects in it.

    ``image`` is RGB of any size: an array, or a Pillow image to avoid a copy. ``primitives`` come
    from `Schema.encode`. In ``mask``, 0 is the background and i is the object in row i − 1.
    ``dropped`` is the number of objects that were removed because they have no pixel in the image.
    ``hidden`` counts those that have no pixel in the dataset's own mask, before any crop or resize.
    ``lost`` lists (property, value) pairs that became missing because the store has no id for the
    value. ``label`` is the scene's class if the dataset has one: a value of the builder's
    `scene_label`, or None if it is unknown.
    """

    id: str
    image: Pixels | Picture  # (H, W, 3)
    primitives: npt.NDArray[np.float32]  # (n, schema.width)
    mask: Pixels | None = None  # (H, W)
    dropped: int = 0
    hidden: int = 0
    lost: tuple[tuple[str, str], ...] = ()
    label: str | None = None

    def __post_init__(self) -> None:
        fault = _image_fault(self.image)
        if fault is not None:
            raise DataError(
                f"scene {self.id}: an image must be uint8 (H, W, 3), not {fault}",
                "convert it to RGB",
            )
        if self.primitives.ndim != 2 or self.primitives.dtype != np.float32:
            raise DataError(
                f"scene {self.id}: primitives must be float32 (n, width)", "use Schema.encode"
            )
        if self.label is not None and not isinstance(self.label, str):
            raise DataError(
                f"scene {self.id}: a label must be a string, not {self.label!r}",
                "use the name of a value of scene_label(); the store assigns the ids",
            )
        if self.mask is not None:
            self._check_mask(self.mask)

    @property
    def pixels(self) -> Pixels:
        """The image as an array (H, W, 3)."""
        return np.asarray(self.image)

    def _check_mask(self, mask: Pixels) -> None:
        if mask.dtype != np.uint8 or mask.shape != _shape(self.image):
            raise DataError(
                f"scene {self.id}: a mask must be uint8 of the image's height and width, "
                f"not {mask.dtype} {mask.shape}",
                "use the values of the file, not its colours: 0 is the background, i is object i",
            )
        faults = list(islice(mask_faults(mask, len(self.primitives)), 3))
        if faults:
            raise DataError(
                f"scene {self.id}: " + " and ".join(faults),
                "mask and primitives must agree; keep_visible drops objects without a pixel",
            )


def _image_fault(image: Pixels | Picture) -> str | None:
    """Return the type and shape of an image that is not RGB; None if it is RGB."""
    if isinstance(image, np.ndarray):
        right = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        return None if right else f"{image.dtype} {image.shape}"
    mode = getattr(image, "mode", None)
    return None if mode == "RGB" else f"{type(image).__name__} of mode {mode}"


def _shape(image: Pixels | Picture) -> tuple[int, int]:
    """Return height and width."""
    if isinstance(image, np.ndarray):
        return image.shape[0], image.shape[1]
    return image.height, image.width


def mask_faults(mask: Pixels, objects: int) -> Iterator[str]:
    """Yield the differences between the values in a mask and its objects, numbered from 1."""
    actual, expected = _values(mask) - {0}, set(range(1, objects + 1))
    for number in sorted(expected - actual):
        yield f"object {number} has no pixel in the mask"
    for value in sorted(actual - expected):
        yield f"the mask has a value {value} that belongs to no object"


def _values(mask: Pixels) -> set[int]:
    """Return the values in a mask, about ten times as fast as by sorting."""
    data = mask.tobytes()
    return {value for value in range(int(mask.max(initial=0)) + 1) if value in data}


def keep_visible(scene_id: str, image: Pixels | Picture, primitives: npt.NDArray[np.float32],
                 mask: Pixels, dropped: int = 0, hidden: int = 0,
                 label: str | None = None) -> Scene:  # fmt: skip
    """Return a scene without the objects that have no pixel in ``mask``; ``dropped`` counts them.

    ``dropped`` and ``hidden`` are earlier counts, and ``label`` the label, as in `Scene`. The
    remaining objects keep their order, and are renumbered 1, 2, … in the mask.
    """
    present, count = _values(mask), len(primitives)
    visible = np.array([number in present for number in range(1, count + 1)], dtype=bool)
    if visible.all() or max(present) > count:  # Scene raises the error
        return Scene(scene_id, image, primitives, mask, dropped, hidden, label=label)
    numbers = np.zeros(count + 1, dtype=np.uint8)
    numbers[1:][visible] = np.arange(1, visible.sum() + 1)
    dropped += int((~visible).sum())
    return Scene(scene_id, image, primitives[visible], numbers[mask], dropped, hidden, label=label)
