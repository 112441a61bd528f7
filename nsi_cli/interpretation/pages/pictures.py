"""The pictures of a report, as data URIs inside the page."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nsi_cli.evaluation.segments import upsampled
from nsi_cli.interpretation.colours import slot_colour

PAINTED_SIDE = 320
"""The side of painted segments, large enough for smooth outlines on small images."""

_OUTLINE = 255
_FILL_ALPHA = 150


def photo_uri(image: npt.NDArray[np.uint8], side: int | None = None, *, quality: int = 88) -> str:
    """An image (S, S, 3) as WebP, shrunk to ``side`` if it is larger."""
    picture = Image.fromarray(image)
    if side is not None and side < picture.width:
        picture = picture.resize((side, side), Image.Resampling.LANCZOS)
    return _uri(picture, "WEBP", quality=quality, method=4)


def mask_uri(mask: npt.NDArray[np.float32]) -> str:
    """A mask (h, w) of values from 0 to 1 as the alpha of a white PNG, to be upsampled by CSS.

    64 levels look the same as 256, at half the bytes.
    """
    alpha = (np.clip(mask, 0, 1) * 63).round().astype(np.uint8) * 4
    alpha[alpha == 252] = 255
    return _uri(Image.fromarray(np.stack([np.full_like(alpha, 255), alpha], -1)), "PNG")


def segments_uri(masks: npt.NDArray[np.float32], colours: list[str | None]) -> str:
    """The segments of masks (K, h, w), painted with white outlines, as a transparent palette PNG.

    ``colours`` has one for each mask; None leaves its segment transparent.
    """
    largest = upsampled(masks, PAINTED_SIDE).argmax(0).astype(np.uint8)
    largest[_outlines(largest)] = _OUTLINE
    picture = Image.fromarray(largest).convert("P")
    palette = np.full((256, 3), 255, np.uint8)
    alpha = np.zeros(256, np.uint8)
    for number, colour in enumerate(colours):
        if colour is not None:
            palette[number] = tuple(bytes.fromhex(colour.removeprefix("#")))
            alpha[number] = _FILL_ALPHA
    alpha[_OUTLINE] = 235
    picture.putpalette(palette.tobytes())
    return _uri(picture, "PNG", transparency=alpha.tobytes())


def truth_uri(mask: npt.NDArray[np.uint8], slots: list[int | None]) -> str:
    """A true mask (S, S), each object in its slot's colour; the background is transparent."""
    numbers = np.arange(len(slots) + 1)[:, None, None]
    return segments_uri(
        (mask == numbers).astype(np.float32),
        [None, *(None if slot is None else slot_colour(slot) for slot in slots)],
    )


def _outlines(segments: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    edge = np.zeros(segments.shape, bool)
    edge[:, 1:] |= segments[:, 1:] != segments[:, :-1]
    edge[1:] |= segments[1:] != segments[:-1]
    return edge


def _uri(picture: Image.Image, kind: str, **options: Any) -> str:
    file = io.BytesIO()
    picture.save(file, kind, optimize=True, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
