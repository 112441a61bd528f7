"""Images of the user's own, without annotation: files, Pillow images and arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BufferedReader
from math import isqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from nsi_cli.plugins.raw_files import FORMATS
from nsi_cli.support.errors import DataError, one_line
from nsi_cli.support.reading import IMAGE_LIMIT, open_regular

Pixels = npt.NDArray[np.uint8]
Crop = Callable[[Pixels], Pixels]
Note = Callable[[str], None]

LARGE = 4096**2
"""An image of more pixels is shrunk by a whole number before it is cropped, to save memory."""

_GIVE = "give a PNG, JPEG, WebP, GIF, BMP or TIFF"


class UnreadableError(DataError):
    """An image that cannot be used; the message is the reason, without the image's name."""

    def of(self, name: object) -> DataError:
        """The error with the name of the image."""
        return DataError(f"{name} cannot be read as an image: {self.message}", self.hint)


def read_image(
    path: Path,
    size: int,
    crop: Crop = lambda image: image,
    note: Note = lambda text: None,
) -> Pixels:
    """An image file as RGB (size, size, 3), resized to a square like the images of a store.

    It is rotated as its EXIF orientation says, laid on white if it is transparent, and cropped. Of
    several frames the first is used; ``note`` then receives a line. Raises `DataError` for a file
    that is not an image, is damaged, or has more pixels than Pillow's limit. A JPEG may have more:
    it is decoded at a fraction of its size.
    """
    try:
        with open_regular(path, IMAGE_LIMIT) as file:
            image = _read(file, size, lambda text: note(f"note: {path.name} {text}"))
    except FileNotFoundError:
        raise DataError(f"no image at {path}", "check the path") from None
    except UnreadableError as error:
        raise error.of(path) from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        reason = one_line(str(error)) or type(error).__name__
        raise UnreadableError(reason, _GIVE).of(path) from None
    return fitted(image, size, crop)


def _read(file: BufferedReader, size: int, note: Note) -> Pixels:
    """The pixels (H, W, 3) of an image file; Pillow's memory is free when this returns."""
    with _opened(file, size) as picture:
        if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
            note("has several frames; the first is used")
        return pixels_of(picture)


def pixels_of(picture: Image.Image) -> Pixels:
    """A Pillow image as an array (H, W, 3): upright, on white, in 8 bits.

    The image may be changed. Raises `UnreadableError` if its values do not fit 16 bits.
    """
    ImageOps.exif_transpose(picture, in_place=True)
    image = _rgb(picture)
    return np.asarray(image.reduce(max(1, isqrt(image.width * image.height // LARGE))))


def _rgb(picture: Image.Image) -> Image.Image:
    """An image in mode RGB.

    Pillow's conversion would clip 16 bits at 255 and show the colours of transparent pixels.
    """
    if picture.mode.startswith("I"):
        grey = np.asarray(picture)
        if grey.min() < 0 or grey.max() > 65_535:
            raise UnreadableError("its values have more than 16 bits", "convert it to 8 bits")
        return Image.fromarray((grey >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise UnreadableError("its values are floating-point numbers", "convert it to 8 bits")
    if "A" in picture.getbands() or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(clear, mask=clear.getchannel("A"))
        return white
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def fitted(image: Pixels, size: int, crop: Crop) -> Pixels:
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


def _opened(file: BufferedReader, size: int) -> Image.Image:
    """An image, not decoded yet. Raises `UnreadableError` for another file, or too many pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise UnreadableError("it is text, such as SVG or HTML", "export it as PNG") from None
        raise UnreadableError("it has another format", _GIVE) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        file.seek(0)
        return _drafted(file, size)


def _drafted(file: BufferedReader, size: int) -> Image.Image:
    """A JPEG with too many pixels, to be decoded at 1/2, 1/4 or 1/8 of its width and height.

    The decoder drops the other pixels as it goes, so memory is that of the small image. Raises
    `UnreadableError` for other formats and for a progressive JPEG, which are decoded whole.
    """
    most = Image.MAX_IMAGE_PIXELS or 0
    hint = f"shrink it to {most:,} pixels, or save it as a JPEG that is not progressive"
    try:
        picture = JpegImageFile(file)
    except SyntaxError:
        raise UnreadableError(f"it has more than {most:,} pixels", hint) from None
    width, height = picture.size
    picture.draft("RGB", (4 * size, 4 * size))
    if picture.width * picture.height > most or "progressive" in picture.info:
        raise UnreadableError(f"{width} × {height} pixels, more than {most:,} in all", hint)
    return picture
