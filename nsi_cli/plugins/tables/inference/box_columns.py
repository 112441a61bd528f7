"""Which columns are the box of an object, and what its numbers mean."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal

from nsi_cli.plugins.raw_files import FORMATS
from nsi_cli.plugins.tables import names
from nsi_cli.plugins.tables.cells import is_missing, number, vector, word
from nsi_cli.plugins.tables.image_paths import ImageFolder
from nsi_cli.plugins.tables.table import Cell, Table
from nsi_cli.plugins.tables.table_schema import TableBox
from nsi_cli.support.errors import DataError

_SAMPLE = 200  # images whose size is looked at
_ENOUGH = 20  # boxes of one size, so that it is no accident
_EDGE = 1.01  # a box may exceed the image by rounding
_MEANING: dict[names.BoxFormat, str] = {
    "xywh": "left, top, width, height",
    "xyxy": "left, top, right, bottom",
    "cxcywh": "centre, width, height",
}


def find_box(
    table: Table,
    free: Collection[str],
    image: str,
    images: ImageFolder,
    form: Literal["auto", names.BoxFormat],
) -> tuple[TableBox | None, str, list[str]]:
    """Return the columns of boxes among the ``free`` ones, why, and warnings.

    ``form`` is a box format, or auto.
    """
    guessed, columns = _columns(table, free)
    rows = [_numbers(row) for row in zip(*(table.columns[name] for name in columns), strict=True)]
    known = [row for row in rows if row is not None]
    if not known:
        return None, "", []
    unit: Literal["pixels", "shares"] = "shares" if max(map(max, known)) <= _EDGE else "pixels"
    warnings: list[str] = []
    if form != "auto":
        guessed, reason = form, "as asked for"
    elif guessed is None:
        guessed, reason, warnings = _format_of(table, columns[0], image, images, unit)
    else:
        reason = f"{_MEANING[guessed]}, in {unit}, by their names"
    box = TableBox(columns, guessed, unit)
    if len(known) >= _ENOUGH and _have_one_size(known, guessed):
        box, reason = replace(box, size=""), f"{reason}; all have one size, which is left out"
    return box, reason, warnings


def _have_one_size(rows: Sequence[tuple[float, ...]], form: names.BoxFormat) -> bool:
    """Whether all boxes have the same width and height."""
    sizes = {
        (third - left, fourth - top) if form == "xyxy" else (third, fourth)
        for left, top, third, fourth in rows
    }
    return len(sizes) == 1


def _columns(table: Table, free: Collection[str]) -> tuple[names.BoxFormat | None, tuple[str, ...]]:
    """Return four columns of a box, or one of lists, and the format if names say it."""
    named = names.box_columns(free)
    if named is not None:
        return named
    for name in free:
        is_box, form = names.box_list(name)
        if is_box and _is_box(table.columns[name]):
            return form, (name,)
    return None, ()


def _numbers(cells: Sequence[Cell]) -> tuple[float, ...] | None:
    """Return the four numbers of a row; None if one is missing."""
    values = vector(cells[0]) if len(cells) == 1 else tuple(map(number, cells))
    return values if values and None not in values else None  # type: ignore[return-value]


def _format_of(
    table: Table, column: str, image: str, images: ImageFolder, unit: str
) -> tuple[names.BoxFormat, str, list[str]]:
    """Return the format of a list of four numbers: the one by which boxes lie in their images."""
    fits = dict.fromkeys(("xywh", "xyxy"), 0)
    count = 0
    for cell, limits in _boxes_with_sizes(table, column, image, images, unit):
        left, top, third, fourth = cell
        count += 1
        fits["xywh"] += left + third <= limits[0] * _EDGE and top + fourth <= limits[1] * _EDGE
        fits["xyxy"] += left < third <= limits[0] * _EDGE and top < fourth <= limits[1] * _EDGE
    if count and fits["xywh"] == count and fits["xyxy"] == count:
        warning = (
            f"{column}: read as left, top, width, height, as in COCO; left, top, right, bottom "
            "would fit too: --box-format xyxy"
        )
        return "xywh", f"{_MEANING['xywh']}, in {unit}, as in COCO", [warning]
    if fits["xyxy"] > fits["xywh"]:
        return "xyxy", f"{_MEANING['xyxy']}, in {unit}: only so do boxes lie in their images", []
    return "xywh", f"{_MEANING['xywh']}, in {unit}", []


def _boxes_with_sizes(
    table: Table, column: str, image: str, images: ImageFolder, unit: str
) -> list[tuple[tuple[float, ...], tuple[int, int]]]:
    """Return boxes and the sizes of their images, of a sample of images that can be opened."""
    from PIL import Image

    sizes: dict[str, tuple[int, int] | None] = {}
    found = []
    for cell, name in zip(table.columns[column], map(word, table.columns[image]), strict=True):
        box = vector(cell)
        if box is None:
            continue
        if unit == "shares":
            found.append((box, (1, 1)))
            continue
        if name not in sizes and len(sizes) < _SAMPLE:
            try:
                with Image.open(images.path(images.find(name) or name), formats=FORMATS) as picture:
                    sizes[name] = picture.size
            except (OSError, DataError, ValueError, Image.DecompressionBombError):
                sizes[name] = None
        if size := sizes.get(name):
            found.append((box, size))
    return found


def _is_box(cells: Sequence[Cell]) -> bool:
    known = [vector(cell) for cell in cells if not is_missing(cell)]
    return bool(known) and all(value is not None and len(value) == 4 for value in known)
