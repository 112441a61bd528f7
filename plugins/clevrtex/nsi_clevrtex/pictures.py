"""A scene's pictures: its image as RGB, its mask by palette value."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nsi_cli.plugins import DataError, read_regular

FRAME = (320, 240)

_LARGEST = 16_000_000  # bytes of a picture; the pixels alone have 300 kB
RESTORE = "restore the scene from the archive, or remove it"


def read_image(path: Path) -> Image.Image:
    """An image as RGB, 320 × 240; an alpha channel is left out. Raises `DataError`."""
    picture = _open(path)
    if picture.mode not in ("RGB", "RGBA"):
        raise DataError(f"{path.name}: an image of mode {picture.mode}, not RGB", RESTORE)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def read_mask(path: Path) -> npt.NDArray[np.uint8]:
    """A mask (240, 320): 0 the background, i the object of index i. Raises `DataError`.

    It is read by value. A picture without a palette (or, failing that, plain 8-bit values) has
    no such values and is refused.
    """
    picture = _open(path)
    if picture.mode not in ("P", "L"):
        raise DataError(
            f"{path.name}: a mask of mode {picture.mode}, not one of palette values", RESTORE
        )
    return np.asarray(picture)


def _open(path: Path) -> Image.Image:
    data = _read(path)
    try:
        with _no_bombs(), Image.open(BytesIO(data), formats=("PNG",)) as picture:
            _check_sums(data)
            if picture.size != FRAME:
                width, height = picture.size
                raise DataError(f"{path.name}: {width}×{height} pixels, not 320×240", RESTORE)
            picture.load()
            return picture
    except DataError:
        raise
    except struct.error:
        raise DataError(f"{path.name}: not a whole PNG: it is cut off", RESTORE) from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise DataError(f"{path.name}: not a whole PNG: {_short(error, path)}", RESTORE) from None


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, _LARGEST)
    except FileNotFoundError:
        raise DataError(f"{path.name} is missing beside its JSON", RESTORE) from None
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", RESTORE) from None


@contextmanager
def _no_bombs() -> Iterator[None]:
    """A picture that declares to be huge is refused, where Pillow would only warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _check_sums(data: bytes) -> None:
    """Raise an error unless all chunks of a PNG are whole; loading does not look at checksums."""
    view, place, kind = memoryview(data), 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        (stated,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(view[place + 4 : end]) != stated:
            raise ValueError(f"wrong checksum in its {kind!r}")
        place = end + 4


def _short(error: Exception, path: Path) -> str:
    message = re.sub(r" <_io\.BytesIO object at \w+>", "", str(error))
    return message.replace(repr(str(path)), path.name) or type(error).__name__
