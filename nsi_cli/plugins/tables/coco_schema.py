"""How the table of COCO annotations is read."""

from __future__ import annotations

import json
from collections import Counter
from typing import Literal

from nsi_cli.plugins.tables.cells import is_missing, vector, word
from nsi_cli.plugins.tables.files import coco
from nsi_cli.plugins.tables.names import MOST_IN_MASK
from nsi_cli.plugins.tables.scenes.segmentations import pycocotools_mask
from nsi_cli.plugins.tables.table import Table
from nsi_cli.plugins.tables.table_schema import (
    TableBox,
    TableImageSize,
    TableMask,
    TableProperty,
    TableSchema,
    TableSplit,
)
from nsi_cli.support.errors import DataError

Masks = Literal["auto", "on", "off"]


def coco_schema(
    table: Table,
    *,
    supercategory: bool = False,
    masked: bool = False,
    max_objects: int = 0,
    split_by: Literal["auto", "random", "folders"] = "auto",
) -> TableSchema:
    """Return how the table of `read_coco` is read: category and box, and what is asked for.

    ``max_objects`` is the most objects of an image, 0 for as many as there are. Raises `DataError`
    if supercategories are asked for and there are none.
    """
    names = [coco.CATEGORY, *([coco.SUPERCATEGORY] if supercategory else [])]
    properties = {
        name: TableProperty("categorical", (name,), _values(table, name)) for name in names
    }
    images = zip(table.columns[coco.CATEGORY], table.columns[coco.IMAGE], strict=True)
    most = max(Counter(word(image) for cell, image in images if not is_missing(cell)).values())
    most = min(most, max_objects or most, MOST_IN_MASK if masked else most)
    split = TableSplit() if split_by != "folders" else TableSplit("folders")
    if split_by == "auto" and coco.SPLIT in table.columns:
        split = TableSplit("column", coco.SPLIT)
    return TableSchema(
        coco.IMAGE,
        most,
        properties,
        TableBox((coco.BOX,)),
        TableMask(segmentation=coco.SEGMENTATION) if masked else None,
        TableImageSize(coco.WIDTH, coco.HEIGHT),
        split,
    )


def _values(table: Table, name: str) -> tuple[str, ...]:
    values = sorted({word(cell) for cell in table.columns[name] if not is_missing(cell)})
    if not values:
        raise DataError(f"{table.name} has no {name}", f"leave out --{name}")
    return tuple(values)


def with_masks(table: Table, masks: Masks) -> tuple[Table, bool, list[str]]:
    """Return the table, whether its masks are used, and notes.

    With ``auto`` they are if most objects have a segmentation and pycocotools is installed. An
    object without a segmentation gets its box as one. Raises `DataError` if masks are asked for and
    cannot be made.
    """
    objects = [row for row, cell in enumerate(table.columns[coco.CATEGORY]) if not is_missing(cell)]
    cells = list(table.columns[coco.SEGMENTATION])
    without = [row for row in objects if is_missing(cells[row])]
    if masks == "off" or (masks == "auto" and len(without) > len(objects) / 2):
        return table, False, []
    if len(without) == len(objects):
        raise DataError(f"{table.name} has no segmentation", "build without --masks on")
    try:
        pycocotools_mask()
    except DataError as error:
        if masks == "on":
            raise
        return table, False, [f"warning: no masks are stored: {error.message}; {error.hint}"]
    for row in without:
        cells[row] = _rectangle(vector(table.columns[coco.BOX][row]))
    notes = [f"objects without a segmentation, whose box is used: {len(without):,}"]
    columns = {**table.columns, coco.SEGMENTATION: cells}
    return Table(table.name, columns, table.notes), True, notes if without else []


def _rectangle(box: tuple[float, ...] | None) -> str | None:
    """Return a box as a polygon in JSON."""
    if box is None:
        return None
    left, top, width, height = box
    right, bottom = left + width, top + height
    return json.dumps([[left, top, right, top, right, bottom, left, bottom]])
