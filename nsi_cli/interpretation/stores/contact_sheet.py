"""A contact sheet: scenes of a store with their masks and their primitives in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from nsi_cli.interpretation.colours import ink_on, slot_colour
from nsi_cli.interpretation.description import describe
from nsi_cli.schema import Schema

SIDE = 300
"""The side at which a scene's image is drawn."""

ACROSS = 3
_GAP, _PAD, _LINE, _TITLE = 24, 14, 22, 34
_TOP = 2 * _GAP + _TITLE - 8
_CARD_WIDTH = 2 * SIDE + 3 * _PAD
_PAPER, _CARD, _INK, _DIM = "#eef0f3", "#ffffff", "#1c2127", "#77808a"
_TINT = 0.45

Bytes = npt.NDArray[np.uint8]
Draw = ImageDraw.ImageDraw
Font = ImageFont.FreeTypeFont


@dataclass(frozen=True)
class SheetScene:
    """The parts of a scene that the sheet shows."""

    title: str
    image: Bytes  # (S, S, 3)
    primitives: npt.NDArray[np.float32]  # (n, W), without absent ones
    mask: Bytes | None = None  # (S, S)


def draw_sheet(scenes: Sequence[SheetScene], schema: Schema, heading: str) -> Image.Image:
    """A picture of the scenes, each with its image, its mask and its objects in words."""
    rows = [scenes[start : start + ACROSS] for start in range(0, len(scenes), ACROSS)]
    heights = [max(map(_height, row)) for row in rows]
    across = min(ACROSS, max(1, len(scenes)))
    size = across * (_CARD_WIDTH + _GAP) + _GAP, _TOP + sum(height + _GAP for height in heights)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), heading, _INK, _font(15, bold=True))
    top = _TOP
    for row, height in zip(rows, heights, strict=True):
        for column, scene in enumerate(row):
            left = _GAP + column * (_CARD_WIDTH + _GAP)
            draw.rounded_rectangle((left, top, left + _CARD_WIDTH, top + height), 8, _CARD)
            _draw_scene(sheet, draw, scene, schema, left + _PAD, top + _PAD // 2)
        top += height + _GAP
    return sheet


def _height(scene: SheetScene) -> int:
    """The height of a scene's card."""
    lines = max(1, len(scene.primitives)) * _LINE
    content = max(SIDE, lines) if scene.mask is None else SIDE + _PAD + lines
    return _TITLE + content + 2 * _PAD


@cache
def _font(size: int, *, bold: bool = False) -> Font:
    """A font that comes with matplotlib, so that every machine draws the same."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)


def _draw_scene(
    sheet: Image.Image, draw: Draw, scene: SheetScene, schema: Schema, left: int, top: int
) -> None:
    """Title, image, overlay, and a line for each object: below the two, or beside the image."""
    title_font = _font(15, bold=True)
    title = _fitted(draw, scene.title, title_font, _CARD_WIDTH - 2 * _PAD)
    draw.text((left, top + 4), title, _INK, title_font)
    top += _TITLE
    sheet.paste(_enlarged(scene.image), (left, top))
    if scene.mask is None:
        x, y, width = left + SIDE + _PAD, top, SIDE
    else:
        overlay = _overlay(_enlarged(scene.image), scene.mask)
        sheet.paste(overlay, (left + SIDE + _PAD, top))
        x, y, width = left, top + SIDE + _PAD, _CARD_WIDTH - 2 * _PAD
    if not len(scene.primitives):
        draw.text((x, y), "no object", _DIM, _font(13))
    for row, primitive in enumerate(scene.primitives):
        _draw_number(draw, (x + 9, y + row * _LINE + 8), row + 1)
        _draw_words(draw, (x + 26, y + row * _LINE), width - 26, schema, primitive)


def _draw_words(
    draw: Draw, corner: tuple[int, int], width: int, schema: Schema,
    primitive: npt.NDArray[np.float32],
) -> None:  # fmt: skip
    """An object's words, then its numbers in a lighter ink, each cut to fit the width."""
    (x, y), font, description = corner, _font(13), describe(schema, primitive)
    numbers = description.numbers_line if description.words else ""
    room = width - (draw.textlength(numbers, font) + 12 if numbers else 0)
    line = _fitted(draw, description.line, font, max(room, width // 2))
    draw.text((x, y), line, _INK, font)
    start = x + draw.textlength(line, font) + 12
    draw.text((start, y), _fitted(draw, numbers, font, x + width - start), _DIM, font)


def _fitted(draw: Draw, text: str, font: Font, width: float) -> str:
    """The text, cut with an ellipsis if it is too wide."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "…", font) > width:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""


def _draw_number(draw: Draw, centre: tuple[int, int], number: int) -> None:
    """An object's number in a circle of its colour."""
    colour, (x, y) = slot_colour(number - 1), centre
    draw.ellipse((x - 9, y - 9, x + 9, y + 9), colour, "#ffffff", 1)
    draw.text(centre, str(number), ink_on(colour), _font(11, bold=True), anchor="mm")


def _enlarged(image: Bytes) -> Image.Image:
    return Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _overlay(image: Image.Image, small_mask: Bytes) -> Image.Image:
    """The image in grey, each object tinted and outlined in its colour, with its number."""
    mask = np.asarray(Image.fromarray(small_mask).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    grey = np.asarray(image.convert("L").convert("RGB")).astype(np.float32)
    painted, edge = grey * 0.8, _edges(mask)
    numbers = np.unique(mask[mask > 0]).tolist()
    for number in numbers:
        colour = np.array(list(bytes.fromhex(slot_colour(number - 1)[1:])), np.float32)
        inside = mask == number
        painted[inside] = (1 - _TINT) * grey[inside] + _TINT * colour
        painted[inside & edge] = colour
    picture = Image.fromarray(painted.round().astype(np.uint8))
    for number in numbers:
        _draw_number(ImageDraw.Draw(picture), _inner_point(mask == number), number)
    return picture


def _edges(mask: Bytes) -> npt.NDArray[np.bool_]:
    """The pixels within two of another value of the mask."""
    low = ndimage.minimum_filter(mask, 5, mode="nearest")
    return np.asarray(low != ndimage.maximum_filter(mask, 5, mode="nearest"))


def _inner_point(inside: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The point of an object that is farthest from its edge, away from the picture's border."""
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return (min(max(int(x), 10), SIDE - 11), min(max(int(y), 10), SIDE - 11))
