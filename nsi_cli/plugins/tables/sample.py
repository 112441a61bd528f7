"""Copying a few scenes of a table to a small raw folder, for the tests of a plugin."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from nsi_cli.plugins.tables.cells import is_missing, word
from nsi_cli.plugins.tables.files import coco
from nsi_cli.plugins.tables.scenes.loading import TableScene
from nsi_cli.plugins.tables.scenes.table_scenes import TableScenes
from nsi_cli.plugins.tables.table import Cell, Table
from nsi_cli.support.errors import DataError

_SCENES = 6


def write_sample(scenes: TableScenes, folder: Path, annotations: str, *, as_coco: bool) -> None:
    """Copy the first scenes, some of each split, and write their rows as CSV or as COCO.

    ``annotations`` is the path of the annotation file in the folder. Raises `DataError` if no image
    of the table exists.
    """
    table = _copied(scenes, _chosen(scenes), folder)
    path = folder / annotations
    path.parent.mkdir(parents=True, exist_ok=True)
    if as_coco:
        path.write_text(json.dumps(_coco(table), indent=1), encoding="utf-8")
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(zip(*(map(_text, cells) for cells in table.columns.values()), strict=True))


def _chosen(scenes: TableScenes) -> list[TableScene]:
    """Return a scene of each split, and more in their order; all with an image that exists."""
    splits = [
        [scene for scene in part if Path(scene.image).is_file()] for part in scenes.splits.values()
    ]
    chosen = [*(scene for part in splits for scene in part[:1]),
              *(scene for part in splits for scene in part[1:])][:_SCENES]  # fmt: skip
    if not chosen:
        raise DataError(
            f"no image of {scenes.table.name} is in {scenes.images.root}",
            "name the folder of the images with --raw",
        )
    return chosen


def _copied(scenes: TableScenes, chosen: Sequence[TableScene], folder: Path) -> Table:
    """Copy the files of some scenes; return their rows, with the paths of the copies."""
    rows = [(row, scene) for scene in chosen for row in scenes.rows(scene.id)]
    table = scenes.table.keep(row for row, _ in rows)
    columns = dict(table.columns)
    columns[scenes.how.image] = [_copy(scene.image, scene.id, folder) for _, scene in rows]
    if scenes.how.mask and scenes.how.mask.file:
        columns[scenes.how.mask.file] = [
            None if is_missing(cell) else _copy_mask(scenes, word(cell), folder)
            for cell in columns[scenes.how.mask.file]
        ]
    return replace(table, columns=columns)


def _copy_mask(scenes: TableScenes, name: str, folder: Path) -> str | None:
    found = scenes.images.find(name, mask=True)
    return _copy(str(scenes.images.path(found)), found, folder) if found else None


def _copy(path: str, name: str, folder: Path) -> str:
    """Copy a file to a folder, at its path in the raw folder, and return that."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        relative = PurePosixPath(relative.name)
    target = folder / relative
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return str(relative)


def _text(cell: Cell) -> str:
    """Return the text of a cell in CSV, which is read as the same value."""
    if cell is None:
        return ""
    return json.dumps(cell) if isinstance(cell, list | bool) else str(cell)


def _coco(table: Table) -> dict[str, Any]:
    """Return a table of COCO annotations as COCO."""
    records = [
        dict(zip(table.columns, row, strict=True))
        for row in zip(*table.columns.values(), strict=True)
    ]
    names = {item[coco.CATEGORY]: item[coco.SUPERCATEGORY] for item in records}
    names.pop(None, None)
    ids = {name: number for number, name in enumerate(names, start=1)}
    images = {item[coco.IMAGE]: item for item in records}
    numbers = {name: number for number, name in enumerate(images, start=1)}
    return {
        "categories": [
            {"id": ids[name], "name": name, "supercategory": above or ""}
            for name, above in names.items()
        ],
        "images": [
            {"id": numbers[name], "file_name": name, "width": item[coco.WIDTH],
             "height": item[coco.HEIGHT]}
            for name, item in images.items()
        ],
        "annotations": [
            {"id": number, "image_id": numbers[item[coco.IMAGE]],
             "category_id": ids[item[coco.CATEGORY]], "bbox": item[coco.BOX], "iscrowd": 0,
             "segmentation": json.loads(str(item[coco.SEGMENTATION] or "[]"))}
            for number, item in enumerate(records, start=1)
            if item[coco.CATEGORY]
        ],
    }  # fmt: skip
