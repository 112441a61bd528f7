"""A contact sheet: scenes of a store with their masks and their primitives in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsi_cli.interpretation.colours import ink_on, slot_colour
from nsi_cli.interpretation.description import describe
from nsi_cli.schema import Schema

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

SIDE = 300
"""The side at which a scene's image is drawn."""

ACROSS = 3
_GAP, _PAD, _LINE, _TITLE = 24, 14, 22, 34
_PAPER, _CARD, _INK, _DIM = "#eef0f3", "#ffffff", "#1c2127", "#77808a"
_TINT = 0.45

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SheetScene:
    """What the sheet shows of one scene."""

    title: str
    image: Bytes  # (S, S, 3)
    primitives: npt.NDArray[np.float32]  # (n, W), those that are there
    mask: Bytes | None = None  # (S, S)


def draw_sheet(scenes: Sequence[SheetScene], schema: Schema, heading: str) -> Picture:
    """A picture of the scenes, each with its image, its mask and its objects in words."""
    from PIL import Image, ImageDraw

    fonts, wide = _Fonts.load(), 2 * SIDE + 3 * _PAD
    rows = [scenes[start : start + ACROSS] for start in range(0, len(scenes), ACROSS)]
    heights = [max(map(_height, row)) for row in rows]
    tall = 2 * _GAP + _TITLE - 8 + sum(height + _GAP for height in heights)
    across = min(ACROSS, max(1, len(scenes)))
    sheet = Image.new("RGB", (across * (wide + _GAP) + _GAP, tall), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), heading, _INK, fonts.bold)
    top = 2 * _GAP + _TITLE - 8
    for row, height in zip(rows, heights, strict=True):
        for place, scene in enumerate(row):
            left = _GAP + place * (wide + _GAP)
            draw.rounded_rectangle((left, top, left + wide, top + height), 8, _CARD)
            _draw_scene(sheet, draw, scene, schema, fonts, (left + _PAD, top + _PAD // 2, wide))
        top += height + _GAP
    return sheet


def _height(scene: SheetScene) -> int:
    """How tall a scene's card must be."""
    lines = max(1, len(scene.primitives)) * _LINE
    content = max(SIDE, lines) if scene.mask is None else SIDE + _PAD + lines
    return _TITLE + content + 2 * _PAD


@dataclass(frozen=True)
class _Fonts:
    plain: FreeTypeFont
    bold: FreeTypeFont
    small: FreeTypeFont

    @classmethod
    def load(cls) -> _Fonts:
        """The fonts that come with matplotlib, so that every machine draws the same."""
        import matplotlib
        from PIL import ImageFont

        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        return cls(
            ImageFont.truetype(str(folder / "DejaVuSans.ttf"), 13),
            ImageFont.truetype(str(folder / "DejaVuSans-Bold.ttf"), 15),
            ImageFont.truetype(str(folder / "DejaVuSans-Bold.ttf"), 11),
        )


def _draw_scene(
    sheet: Picture, draw: ImageDraw, scene: SheetScene, schema: Schema, fonts: _Fonts,
    place: tuple[int, int, int],
) -> None:  # fmt: skip
    """Title, image, overlay, and a line an object: below the two, or beside the image alone."""
    left, top, wide = place
    title = _fitted(draw, scene.title, fonts.bold, wide - 2 * _PAD)
    draw.text((left, top + 4), title, _INK, fonts.bold)
    top += _TITLE
    sheet.paste(_enlarged(scene.image), (left, top))
    if scene.mask is None:
        words = left + SIDE + _PAD, top, SIDE
    else:
        sheet.paste(_overlay(scene, fonts), (left + SIDE + _PAD, top))
        words = left, top + SIDE + _PAD, wide - 2 * _PAD
    if not len(scene.primitives):
        draw.text(words[:2], "no object", _DIM, fonts.plain)
    for number, primitive in enumerate(scene.primitives, start=1):
        at = words[0], words[1] + (number - 1) * _LINE
        _chip(draw, (at[0] + 9, at[1] + 8), number, fonts)
        _draw_words(draw, (at[0] + 26, at[1]), words[2] - 26, schema, primitive, fonts)


def _draw_words(
    draw: ImageDraw, at: tuple[int, int], wide: int, schema: Schema,
    primitive: npt.NDArray[np.float32], fonts: _Fonts,
) -> None:  # fmt: skip
    """An object's words, and dimly after them its numbers, each as far as there is room."""
    description = describe(schema, primitive)
    numbers = description.numbers_line if description.words else ""
    room = wide - (draw.textlength(numbers, fonts.plain) + 12 if numbers else 0)
    line = _fitted(draw, description.line, fonts.plain, max(room, wide // 2))
    draw.text(at, line, _INK, fonts.plain)
    start = at[0] + draw.textlength(line, fonts.plain) + 12
    numbers = _fitted(draw, numbers, fonts.plain, at[0] + wide - start)
    draw.text((start, at[1]), numbers, _DIM, fonts.plain)


def _fitted(draw: ImageDraw, text: str, font: FreeTypeFont, wide: float) -> str:
    """The text, cut with an ellipsis if it is too wide."""
    if draw.textlength(text, font) <= wide:
        return text
    while text and draw.textlength(text + "…", font) > wide:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""


def _chip(draw: ImageDraw, centre: tuple[int, int], number: int, fonts: _Fonts) -> None:
    """An object's number on its colour."""
    colour, (x, y) = slot_colour(number - 1), centre
    draw.ellipse((x - 9, y - 9, x + 9, y + 9), colour, "#ffffff", 1)
    draw.text(centre, str(number), ink_on(colour), fonts.small, anchor="mm")


def _enlarged(image: Bytes) -> Picture:
    from PIL import Image

    return Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _overlay(scene: SheetScene, fonts: _Fonts) -> Picture:
    """The image in grey, each object tinted and outlined in its colour, with its number."""
    from PIL import Image, ImageDraw

    assert scene.mask is not None
    large = Image.fromarray(scene.mask).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    mask = np.asarray(large)
    grey = np.asarray(_enlarged(scene.image).convert("L").convert("RGB")).astype(np.float32)
    painted, edge = grey * 0.8, _edges(mask)
    for number in np.unique(mask[mask > 0]).tolist():
        colour = np.array(list(bytes.fromhex(slot_colour(number - 1)[1:])), np.float32)
        inside = mask == number
        painted[inside] = (1 - _TINT) * grey[inside] + _TINT * colour
        painted[inside & edge] = colour
    picture = Image.fromarray(painted.round().astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for number in np.unique(mask[mask > 0]).tolist():
        _chip(draw, _inner_point(mask == number), number, fonts)
    return picture


def _edges(mask: Bytes) -> npt.NDArray[np.bool_]:
    """The pixels of the mask within two of another value."""
    from scipy import ndimage

    low = ndimage.minimum_filter(mask, 5, mode="nearest")
    return np.asarray(low != ndimage.maximum_filter(mask, 5, mode="nearest"))


def _inner_point(inside: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The point of an object that lies deepest in it, kept off the picture's border."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return (min(max(int(x), 10), SIDE - 11), min(max(int(y), 10), SIDE - 11))
