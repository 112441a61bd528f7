"""Reading a scene's images: the image as RGB, the mask as palette values."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nsi_clevrtex.layout import RESTORE
from nsi_cli.plugins import DataError, read_regular

FRAME = (320, 240)

_LARGEST = 16_000_000  # bytes of a file; the pixels alone have 300 kB


def read_image(path: Path) -> Image.Image:
    """Return an image as RGB, 320 × 240, without an alpha channel. Raises `DataError`."""
    picture = _open(path)
    if picture.mode not in ("RGB", "RGBA"):
        raise DataError(f"{path.name}: an image of mode {picture.mode}, not RGB", RESTORE)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def read_mask(path: Path) -> npt.NDArray[np.uint8]:
    """Return a mask (240, 320): 0 is the background, i the object i. Raises `DataError`.

    Its values are the palette indices or the 8-bit grey levels; other modes are refused.
    """
    picture = _open(path)
    if picture.mode not in ("P", "L"):
        raise DataError(
            f"{path.name}: a mask of mode {picture.mode} has no palette values", RESTORE
        )
    return np.asarray(picture)


def _open(path: Path) -> Image.Image:
    data = _read(path)
    try:
        with (
            # Refuse an image that declares a huge size; by default, Pillow only warns.
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(BytesIO(data), formats=("PNG",)) as picture,
        ):
            _check_sums(data)
            if picture.size != FRAME:
                width, height = picture.size
                raise DataError(f"{path.name}: {width}×{height} pixels, not 320×240", RESTORE)
            picture.load()
            return picture
    except DataError:
        raise
    except struct.error:
        raise DataError(f"{path.name}: a damaged PNG: it is truncated", RESTORE) from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise DataError(f"{path.name}: a damaged PNG: {_short(error)}", RESTORE) from None


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, _LARGEST)
    except FileNotFoundError:
        raise DataError(f"{path.name} is missing next to its JSON", RESTORE) from None
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", RESTORE) from None


def _check_sums(data: bytes) -> None:
    """Raise an error unless all PNG chunks have correct checksums; Pillow does not check them."""
    view, offset, kind = memoryview(data), 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 8 + length
        (stated,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(view[offset + 4 : end]) != stated:
            raise ValueError(f"wrong checksum in chunk {kind!r}")
        offset = end + 4


def _short(error: Exception) -> str:
    return re.sub(r" <_io\.BytesIO object at \w+>", "", str(error)) or type(error).__name__
