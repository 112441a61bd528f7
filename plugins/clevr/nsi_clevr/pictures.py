"""Reading a scene's image."""

from __future__ import annotations

import re
import warnings
from io import BytesIO
from pathlib import Path

from PIL import Image

from nsi_clevr.release import RESTORE
from nsi_cli.plugins import DataError, read_regular

FRAME = (480, 320)  # width and height of every published image

_LARGEST = 16_000_000  # bytes of a file; the pixels alone have 600 kB


def read_image(path: Path) -> Image.Image:
    """Return an image as RGB, 480 × 320, without its alpha channel. Raises `DataError`."""
    try:
        data = read_regular(path, _LARGEST)
        with (
            # Refuse an image that declares a huge size; by default, Pillow only warns.
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(BytesIO(data), formats=("PNG",)) as picture,
        ):
            if picture.size != FRAME or picture.mode not in ("RGB", "RGBA"):
                width, height = picture.size
                raise DataError(
                    f"{path.name}: {width} × {height} pixels of mode {picture.mode}, not 480 × 320 "
                    "of RGB",
                    "check that the raw data is CLEVR",
                )
            picture.load()
            return picture if picture.mode == "RGB" else picture.convert("RGB")
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"the image {path} is missing", RESTORE) from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        why = re.sub(r" <_io\.BytesIO object at \w+>", "", str(error)) or type(error).__name__
        raise DataError(f"{path.name} cannot be read: {why}", RESTORE) from None
