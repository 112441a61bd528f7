"""Images that nobody annotated, read from files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from nsi_cli.errors import DataError

Pixels = npt.NDArray[np.uint8]


def read_image(
    path: Path, size: int, prepare: Callable[[Pixels], Pixels] | None = None
) -> npt.NDArray[np.uint8]:
    """An image file as RGB (size, size, 3), squashed to a square like the images of a store.

    Turned upright as its camera noted, and then cut by ``prepare``. Raises `DataError` for a file
    that is no image.
    """
    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file).convert("RGB")
    except FileNotFoundError:
        raise DataError(f"no image at {path}", "check the path given with --image") from None
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path} cannot be read as an image: {error}", "give a PNG or JPEG"
        ) from None
    if prepare is not None:
        upright = Image.fromarray(prepare(np.asarray(upright)))
    return np.array(upright.resize((size, size), Image.Resampling.BICUBIC))
