"""Reading the raw files of a scene: JSON, images and masks, with errors of one line.

Every error is a `DataError` that names the file, without its folder, and has the caller's hint.
"""

from __future__ import annotations

import json
import re
import struct
import warnings
import zlib
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nsi_cli.support.errors import DataError, one_line
from nsi_cli.support.reading import IMAGE_LIMIT, JSON_LIMIT, read_regular, reason_of

if TYPE_CHECKING:
    from PIL.Image import Image

RESTORE = "restore the file, or remove the scene"
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""The formats of images that are read, by Pillow's names; for some others it starts a program."""

_PNG = b"\x89PNG\r\n\x1a\n"


def read_json(path: Path, *, limit: int = JSON_LIMIT, hint: str = RESTORE) -> Any:
    """Return the content of a JSON file of at most ``limit`` bytes. Raises `DataError`."""
    data = _read(path, limit, hint)
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not valid JSON: {error}", hint) from None


def read_image(
    path: Path,
    *,
    formats: Collection[str] = FORMATS,
    modes: Collection[str] = (),
    size: tuple[int, int] | None = None,
    limit: int = IMAGE_LIMIT,
    hint: str = RESTORE,
) -> Image:
    """Return an image as RGB; an alpha channel is dropped.

    ``formats`` are the accepted file formats, ``modes`` the accepted Pillow modes (all with 8 bits
    if empty), ``size`` is the required width and height, and ``limit`` the most bytes of the file.
    Raises `DataError`.
    """
    picture = _open(path, formats, size, limit, hint)
    if modes and picture.mode not in modes:
        raise DataError(f"{path.name}: an image of mode {picture.mode}, not RGB", hint)
    if picture.mode[:1] in ("I", "F"):
        raise DataError(
            f"{path.name}: an image of mode {picture.mode} has more than 8 bits per channel",
            "save it with 8 bits per channel",
        )
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def read_mask(
    path: Path,
    *,
    formats: Collection[str] = FORMATS,
    size: tuple[int, int] | None = None,
    limit: int = IMAGE_LIMIT,
    hint: str = RESTORE,
) -> npt.NDArray[np.uint8]:
    """Return the values of a mask (H, W): its palette indices, or its 8-bit grey levels.

    Other modes are refused, because their values are colours. The other arguments are those of
    `read_image`. Raises `DataError`.
    """
    picture = _open(path, formats, size, limit, hint)
    if picture.mode not in ("P", "L"):
        raise DataError(f"{path.name}: a mask of mode {picture.mode} has no palette values", hint)
    return np.asarray(picture)


def read_mask_values(path: Path, *, hint: str = RESTORE) -> npt.NDArray[np.int64]:
    """Return the values of a mask of any kind, (H, W): also of 16 bits, and colours as 0xRRGGBB.

    An alpha channel is ignored. Raises `DataError`.
    """
    picture = _open(path, FORMATS, None, IMAGE_LIMIT, hint)
    if picture.mode in ("RGBA", "LA", "PA"):
        picture = picture.convert({"RGBA": "RGB", "LA": "L", "PA": "P"}[picture.mode])
    values = np.asarray(picture).astype(np.int64)
    if values.ndim == 2:
        return values
    if picture.mode != "RGB":
        raise DataError(f"{path.name}: a mask of mode {picture.mode} has no values", hint)
    return (values[..., 0] << 16) + (values[..., 1] << 8) + values[..., 2]


def _open(
    path: Path, formats: Collection[str], size: tuple[int, int] | None, limit: int, hint: str
) -> Image:
    from PIL import Image

    data = _read(path, limit, hint)
    fault = f"{path.name} cannot be read as {_kind(formats)}"
    try:
        with (
            # Refuse an image that declares a huge size; by default, Pillow only warns.
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(BytesIO(data), formats=tuple(formats)) as picture,
        ):
            if data.startswith(_PNG):
                _check_sums(data)
            if size is not None and picture.size != size:
                raise DataError(f"{path.name}: {_by(*picture.size)} pixels, not {_by(*size)}", hint)
            picture.load()
            return picture
    except DataError:
        raise
    except struct.error:
        raise DataError(f"{fault}: it is truncated", hint) from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise DataError(f"{fault}: {_short(error)}", hint) from None


def _read(path: Path, limit: int, hint: str) -> bytes:
    try:
        return read_regular(path, limit)
    except FileNotFoundError:
        raise DataError(f"{path.name} is missing", hint) from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise DataError(f"{path.name} cannot be read: {reason_of(error)}", hint) from None


def _check_sums(data: bytes) -> None:
    """Raise an error unless all PNG chunks have correct checksums; Pillow does not check them."""
    view, offset, kind = memoryview(data), len(_PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 8 + length
        (stated,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(view[offset + 4 : end]) != stated:
            raise ValueError(f"wrong checksum in chunk {kind!r}")
        offset = end + 4


def _kind(formats: Collection[str]) -> str:
    return f"a {next(iter(formats))}" if len(formats) == 1 else "an image"


def _by(width: int, height: int) -> str:
    return f"{width}×{height}"


def _short(error: Exception) -> str:
    text = re.sub(r" <_io\.BytesIO object at \w+>", "", str(error))
    return one_line(text) or type(error).__name__
