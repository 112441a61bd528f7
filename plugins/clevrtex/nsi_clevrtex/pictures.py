"""Reading a scene's images: the image as RGB, the mask as palette values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nsi_clevrtex.layout import RESTORE
from nsi_cli import plugins

FRAME = (320, 240)
PNG = ("PNG",)

_LARGEST = 16_000_000  # bytes of a file; the pixels alone have 300 kB


def read_image(path: Path) -> Image.Image:
    """Return an image as RGB, 320 × 240, without an alpha channel. Raises `DataError`."""
    return plugins.read_image(
        path, formats=PNG, modes=("RGB", "RGBA"), size=FRAME, limit=_LARGEST, hint=RESTORE
    )


def read_mask(path: Path) -> npt.NDArray[np.uint8]:
    """Return a mask (240, 320): 0 is the background, i the object i. Raises `DataError`.

    Its values are the palette indices or the 8-bit grey levels; other modes are refused.
    """
    return plugins.read_mask(path, formats=PNG, size=FRAME, limit=_LARGEST, hint=RESTORE)
