"""Images of the user's own as batches that a model takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.interpretation.own_images.reading import (
    Crop,
    Pixels,
    UnreadableError,
    fitted,
    pixels_of,
    read_image,
)
from nsi_cli.plugins.contract import Preparer
from nsi_cli.support.progress import Progress

Own = Path | str | Pixels | Image.Image
"""An image of the user's own: a file, an array (H, W, 3) uint8, or a Pillow image."""

Owns = Own | Sequence[Own]
"""One such image or several; an array (n, H, W, 3) is several."""


@dataclass(frozen=True)
class OwnBatch:
    """B images with their names, and the predictions for each alone."""

    names: tuple[str, ...]
    images: Pixels  # (B, S, S, 3), as the model sees them
    predictions: Predictions


def as_sequence(images: Owns) -> Sequence[Own]:
    """The images, also if there is just one."""
    if isinstance(images, np.ndarray):
        return list(images) if images.ndim == 4 else [images]
    return [images] if isinstance(images, Path | str | Image.Image) else images


def read_own(
    images: Sequence[Own], size: int, builder: object, progress: Progress
) -> Iterator[tuple[str, Pixels]]:
    """The name and the pixels (size, size, 3) of each image, read when it is needed.

    Images are cropped as ``builder`` prepares those of its store; one that it cannot prepare is
    used whole, with a warning. Raises `DataError` for what is not an image.
    """
    for number, given in enumerate(images, start=1):
        if isinstance(given, Path | str):
            name = Path(given).name
            crop = cropper(name, builder, progress)
            yield name, read_image(Path(given), size, crop, progress.note)
            continue
        name = f"image {number}"
        try:
            pixels = given if isinstance(given, np.ndarray) else pixels_of(given.copy())
        except UnreadableError as error:
            raise error.of(name) from None
        yield name, fitted(pixels, size, cropper(name, builder, progress))


def cropper(name: str, builder: object, progress: Progress) -> Crop:
    """What crops an image as a schema builder prepares those of its store."""

    def crop(image: Pixels) -> Pixels:
        cropped = builder.prepare(image) if isinstance(builder, Preparer) else image
        if cropped is None:
            height, width = image.shape[:2]
            progress.note(
                f"warning: {name}: {width} × {height} pixels, unlike the images of the "
                "task; it is used whole"
            )
        return image if cropped is None else cropped

    return crop


def in_batches(
    images: Iterable[tuple[str, Pixels]], size: int
) -> Iterator[tuple[tuple[str, ...], Pixels]]:
    """The names and the pixels (B, S, S, 3) of up to ``size`` images at a time."""
    remaining = iter(images)
    while batch := list(islice(remaining, size)):
        names, pixels = zip(*batch, strict=True)
        yield names, np.stack(pixels)
