"""Image files of the user's own, without annotation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from nsi_cli.support.errors import DataError, one_line
from nsi_cli.support.reading import IMAGE_LIMIT, UnsuitableFileError, open_regular

Pixels = npt.NDArray[np.uint8]


def read_image(
    path: Path, size: int, crop: Callable[[Pixels], Pixels] = lambda image: image
) -> Pixels:
    """An image file as RGB (size, size, 3), resized to a square like the images of a store.

    It is rotated as its EXIF orientation says, and then cropped. Raises `DataError` for a file that
    is not an image.
    """
    hint = "give a PNG or JPEG"
    try:
        with open_regular(path, IMAGE_LIMIT) as file, Image.open(file) as picture:
            _refuse_bomb(picture)
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except FileNotFoundError:
        raise DataError(f"no image at {path}", "check the path given with --image") from None
    except UnsuitableFileError as error:
        raise DataError(f"{path} cannot be read as an image: {error}", hint) from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        reason = one_line(str(error)) or type(error).__name__
        raise DataError(f"{path} cannot be read as an image: {reason}", hint) from None
    return fitted(np.asarray(upright), size, crop)


def fitted(image: Pixels, size: int, crop: Callable[[Pixels], Pixels]) -> Pixels:
    """An image (H, W, 3), cropped and resized to (size, size, 3).

    Raises `DataError` if it is another array.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise DataError(
            f"an image must be uint8 (H, W, 3), not {image.dtype} {image.shape}",
            "convert it to RGB",
        )
    cropped = Image.fromarray(crop(image))
    return np.array(cropped.resize((size, size), Image.Resampling.BICUBIC))


def _refuse_bomb(picture: Image.Image) -> None:
    """Raise `ValueError` for an image with more pixels than Pillow's limit, before it is decoded.

    Pillow itself only warns, and refuses twice as many.
    """
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and picture.width * picture.height > most:
        raise ValueError(f"{picture.width} × {picture.height} pixels, more than {most:,} in all")
