"""Reading COCO instances as a table, in the layouts of COCO and of annotation tools."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nsi_cli.plugins.raw_files import read_json
from nsi_cli.plugins.tables.cells import number
from nsi_cli.plugins.tables.names import SPLITS
from nsi_cli.plugins.tables.table import Cell, Table, joined, table_of
from nsi_cli.support.errors import ConfigError, DataError
from nsi_cli.support.options import did_you_mean

LARGEST = 4_000_000_000  # bytes of an annotation file

IMAGE, CATEGORY, SUPERCATEGORY, BOX = "image", "category", "supercategory", "bbox"
SEGMENTATION, SPLIT, WIDTH, HEIGHT = "segmentation", "split", "image_width", "image_height"
"""The columns of the table."""

_HINT = "export COCO instances: images, annotations and categories"
_OTHERS = ("captions", "image_info", "stuff", "panoptic", "person_keypoints")

Record = dict[str, Cell]


def read_coco(raw: Path, annotations: Path | None, categories: Sequence[str] = ()) -> Table:
    """Return the objects of COCO annotations as a table with the columns above.

    ``annotations`` is a file; by default the files in the folder, its subfolder ``annotations`` or
    the folders of the splits are read. ``categories`` are the names that are kept, all if empty.
    Crowds are left out. An image without an object is a row without one. Raises `DataError`, and
    `ConfigError` for an unknown category.
    """
    if not raw.is_dir():
        raise DataError(f"no raw folder at {raw}", "name the folder of the images with --raw")
    if annotations is not None:
        inside = raw / annotations
        files = {inside if inside.exists() else annotations: ""}
    else:
        files = _files(raw)
    parsed = [_CocoFile(raw, path, split).parse() for path, split in files.items()]
    known = sorted({name for file in parsed for name in file.categories.values()})
    for name in categories:
        if name not in known:
            near = did_you_mean(name, known) or f"known: {', '.join(known[:20])}"
            raise ConfigError(f"--categories: there is no category '{name}'", near)
    table = joined([file.table(categories) for file in parsed])
    if CATEGORY not in table.columns:
        raise DataError(f"{table.name} has no object", "check the file, or --categories")
    return table


def _files(raw: Path) -> dict[Path, str]:
    """Return the annotation files of a folder with their splits, "" for a single file."""
    found = [path for pattern in ("*.json", "*/*.json") for path in sorted(raw.glob(pattern))]
    found = [path for path in found if not path.stem.startswith(_OTHERS)]
    for chosen in ("instances", "coco"):
        named = [path for path in found if chosen in path.name]
        found = named or found
    if not found:
        raise DataError(f"no COCO annotations in {raw}", "name the file with --annotations FILE")
    if len(found) == 1:
        return {found[0]: ""}
    splits = {path: _split(path) for path in found}
    if "" in splits.values() or len(set(splits.values())) < len(splits):
        names = ", ".join(str(path.relative_to(raw)) for path in found[:5])
        raise DataError(f"{len(found)} annotation files in {raw}: {names}",
                        "choose one with --annotations FILE")  # fmt: skip
    return splits


def _split(path: Path) -> str:
    """Return the split that a file or its folder is named like; "" if none."""
    words = [*path.stem.replace("-", "_").split("_"), path.parent.name]
    splits = (SPLITS.get(word.lower().rstrip("0123456789")) for word in words)
    return next((split for split in splits if split), "")


@dataclass
class _CocoFile:
    """One annotation file."""

    raw: Path
    path: Path
    split: str
    categories: dict[str, str] = field(default_factory=dict)
    supercategories: dict[str, str] = field(default_factory=dict)
    images: dict[str, Record] = field(default_factory=dict)
    objects: list[tuple[str, str, Record]] = field(default_factory=list)  # image, category, object
    left_out: Counter[str] = field(default_factory=Counter)

    def parse(self) -> _CocoFile:
        """Read the file. Raises `DataError`."""
        data = read_json(self.path, limit=LARGEST, hint=_HINT)
        lists = [self._list(data, key) for key in ("categories", "images", "annotations")]
        try:
            for item in lists[0]:
                self.categories[str(item["id"])] = str(item["name"]).strip()
                self.supercategories[str(item["id"])] = str(item.get("supercategory") or "").strip()
            folder = self._folder(lists[1])
            for item in lists[1]:
                self.images[str(item["id"])] = {
                    IMAGE: f"{folder}{item['file_name']}",
                    WIDTH: item.get("width") or None,
                    HEIGHT: item.get("height") or None,
                } | ({SPLIT: self.split} if self.split else {})
            for item in lists[2]:
                self._add(item)
        except (KeyError, TypeError, AttributeError) as error:
            reason = f"an item has no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{self.path.name} is not valid COCO: {reason}", _HINT) from None
        return self

    def _list(self, data: Any, key: str) -> list[Any]:
        found = data.get(key) if isinstance(data, dict) else None
        if not isinstance(found, list):
            raise DataError(f"{self.path.name} is not COCO: it has no list '{key}'", _HINT)
        return found

    def _folder(self, images: Sequence[Mapping[str, Any]]) -> str:
        """Return the folder of the images, relative to the raw folder, with a slash at its end.

        It is the folder of the file, or one that is named in the file's name, such as
        ``train2017`` for ``instances_train2017.json``; else "", and images are searched.
        """
        first = str(images[0]["file_name"]) if images else ""
        for folder in (self.path.parent, *(self.raw / word for word in self.path.stem.split("_"))):
            if first and (folder / first).is_file() and folder.is_relative_to(self.raw):
                prefix = folder.relative_to(self.raw).as_posix()
                return "" if prefix == "." else f"{prefix}/"
        return ""

    def _add(self, item: Mapping[str, Any]) -> None:
        """Add an annotation, unless it is a crowd or belongs to nothing."""
        image, category = str(item["image_id"]), str(item["category_id"])
        if item.get("iscrowd"):
            self.left_out["crowds"] += 1
        elif image not in self.images:
            self.left_out["annotations of unknown images"] += 1
        elif category not in self.categories:
            self.left_out["annotations of unknown categories"] += 1
        else:
            segmentation = item.get("segmentation") or None
            box = _box(item.get("bbox")) or _box_of(segmentation)
            text = json.dumps(segmentation, separators=(",", ":")) if segmentation else None
            self.objects.append((image, category, {BOX: box, SEGMENTATION: text}))

    def table(self, wanted: Sequence[str]) -> Table:
        """Return the objects of the wanted categories, in the order of the images."""
        of_image: dict[str, list[Record]] = {image: [] for image in self.images}
        for image, category, item in self.objects:
            name = self.categories[category]
            if not wanted or name in wanted:
                above = self.supercategories[category] or None
                row = {**self.images[image], CATEGORY: name, SUPERCATEGORY: above, **item}
                of_image[image].append(row)
        rows = [row for image, rows in of_image.items() for row in rows or [self.images[image]]]
        notes = [f"{self.path.name}: {what}, left out: {n:,}" for what, n in self.left_out.items()]
        return replace(table_of(self.path.name, rows), notes=tuple(notes))


def _box(value: Any) -> list[Any] | None:
    """Return left, top, width and height of an annotation; None if they are not four numbers."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    numbers = [number(item) for item in value]
    return None if None in numbers else numbers


def _box_of(segmentation: Any) -> list[Any] | None:
    """Return the box around polygons; None for a run-length encoding."""
    if not isinstance(segmentation, list):
        return None
    xs = list(_coordinates(segmentation, 0))
    ys = list(_coordinates(segmentation, 1))
    if not xs or not ys:
        return None
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _coordinates(polygons: Sequence[Any], axis: int) -> Iterator[float]:
    for polygon in polygons:
        for value in polygon[axis::2] if isinstance(polygon, list) else ():
            if isinstance(value, int | float) and math.isfinite(value):
                yield value
