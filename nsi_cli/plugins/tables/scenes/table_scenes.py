"""The scenes of a table: its rows grouped by image, divided into splits, encoded as primitives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nsi_cli.plugins.splitting import split_randomly
from nsi_cli.plugins.tables.cells import is_missing, number, word
from nsi_cli.plugins.tables.image_paths import ImageFolder
from nsi_cli.plugins.tables.inference.roles import folder_split
from nsi_cli.plugins.tables.names import SPLITS, plain
from nsi_cli.plugins.tables.rows import Duplicates, are_dropped, object_rows, repeated_rows
from nsi_cli.plugins.tables.scenes.loading import SceneBoxes, SceneMasks, TableScene
from nsi_cli.plugins.tables.scenes.missing import missing_notes
from nsi_cli.plugins.tables.scenes.scene_labels import label_of_scenes, labels_of
from nsi_cli.plugins.tables.scenes.values import Reader, boxes_of, reader_of
from nsi_cli.plugins.tables.table import Table
from nsi_cli.plugins.tables.table_schema import TableBox, TableMask, TableSchema, check_columns
from nsi_cli.schema import Categorical, Schema
from nsi_cli.support.errors import DataError

_ORDER = ("train", "val", "test")


@dataclass(frozen=True)
class TableScenes:
    """The scenes of a table as a schema file reads them.

    ``keep_empty`` keeps images without objects, also those that no row names. ``duplicates`` says
    what happens to rows that are equal to another one. ``seed`` draws the splits if nothing else
    says them. Raises `DataError` if the table lacks a column.
    """

    table: Table
    how: TableSchema
    images: ImageFolder
    keep_empty: bool = False
    duplicates: Duplicates = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_columns(self.how, self.table.columns, self.table.name)

    @cached_property
    def schema(self) -> Schema:
        """The schema of the store."""
        return self.how.schema()

    @cached_property
    def splits(self) -> dict[str, list[TableScene]]:
        """The scenes of each split, in the order of the table.

        Raises `DataError` if a row has a value that the schema file does not allow, or if an image
        is in no split or in two.
        """
        rows = {
            name: rows
            for name, rows in self._rows_by_image.items()
            if self.keep_empty or self._objects_by_image[name]
        }
        if self.how.split.by == "random":
            return split_randomly([self._scene(name) for name in rows], seed=self.seed)
        splits: dict[str, list[TableScene]] = {}
        for name, numbers in rows.items():
            splits.setdefault(self._split_of(name, numbers), []).append(self._scene(name))
        order = sorted(splits, key=lambda split: (*_ORDER, split).index(split))
        return {split: splits[split] for split in order}

    @cached_property
    def scene_label(self) -> Categorical | None:
        """The name and the values of the scene label; None if the table is read without one.

        Raises `DataError` if an image has several labels, or if none has one.
        """
        return label_of_scenes(self.table, self.how, self._labels)

    @cached_property
    def notes(self) -> list[str]:
        """Lines about images without a file, without a row, or without objects."""
        return list(self._notes())

    def rows(self, image: str) -> list[int]:
        """Return the rows of the scene with this id."""
        return self._rows_by_image[image]

    def _notes(self) -> Iterable[str]:
        missing = [name for name, path in self._paths.items() if path is None]
        if missing:
            yield (
                f"warning: images that are not in {self.images.root}: {len(missing):,} of "
                f"{len(self._paths):,}, for example {missing[0]}; they are skipped, and too many "
                "fail the build (--max-skipped)"
            )
        rows = [row for numbers in self._objects_by_image.values() for row in numbers]
        yield from missing_notes(self.table, self.how, rows)
        if self._repeated:
            dropped = "left out; --duplicates keep keeps them"
            kept = "kept, because two objects can be equal; --duplicates drop leaves them out"
            yield (
                f"rows that are equal to another one: {len(self._repeated):,}, "
                + (dropped if self._dropped else kept)
            )
        empty = sum(not rows for rows in self._objects_by_image.values())
        if empty and self.keep_empty:
            yield f"images without an object, stored as scenes without objects: {empty:,}"
        elif empty or self._unlisted:
            yield (
                f"images without an object, left out: {empty + len(self._unlisted):,}, of which "
                f"{len(self._unlisted):,} are in no row; --keep-empty stores them"
            )
        full = sum(len(rows) > self.how.max_objects for rows in self._objects_by_image.values())
        if full:
            kept = "largest boxes" if self.how.box else "first rows"
            yield (
                f"images with more than {self.how.max_objects} objects: {full:,}; those with the "
                f"{kept} are kept"
            )

    @cached_property
    def _paths(self) -> dict[str, str | None]:
        """The path of each image that the table names, relative to the folder; None if missing."""
        cells = self.table.columns[self.how.image]
        names = dict.fromkeys(word(cell) for cell in cells if not is_missing(cell))
        if not names:
            raise DataError(f"{self.table.name} names no image", "check the image column")
        return {name: self.images.find(name) for name in names}

    @cached_property
    def _unlisted(self) -> list[str]:
        """The images of the folder that the table does not name, without masks."""
        named = {path for path in self._paths.values() if path}
        if self.how.mask and self.how.mask.file:
            cells = self.table.columns[self.how.mask.file]
            files = dict.fromkeys(word(cell) for cell in cells if not is_missing(cell))
            named |= {path for name in files if (path := self.images.find(name, mask=True))}
        return [path for path in self.images.pictures if path not in named]

    @cached_property
    def _rows_by_image(self) -> dict[str, list[int]]:
        """The rows of each image, by its path, or by its name if there is no such file."""
        by_image: dict[str, list[int]] = {}
        for row, cell in enumerate(self.table.columns[self.how.image]):
            if not is_missing(cell):
                name = word(cell)
                by_image.setdefault(self._paths[name] or name, []).append(row)
        if self.keep_empty and self.how.split.by != "column":
            by_image |= {path: [] for path in self._unlisted}
        return by_image

    @cached_property
    def _objects_by_image(self) -> dict[str, list[int]]:
        objects = frozenset(object_rows(self.table, self.how)) - self._dropped
        return {
            name: [row for row in rows if row in objects]
            for name, rows in self._rows_by_image.items()
        }

    @cached_property
    def _labels(self) -> dict[str, str]:
        """The label of each image that has one."""
        return labels_of(self.table, self.how, self._rows_by_image)

    @cached_property
    def _repeated(self) -> frozenset[int]:
        return repeated_rows(self.table, object_rows(self.table, self.how))

    @cached_property
    def _dropped(self) -> frozenset[int]:
        dropped = are_dropped(self.table, self.how, self.duplicates)
        return self._repeated if dropped else frozenset()

    @cached_property
    def _readers(self) -> dict[str, Reader]:
        return {
            name: reader_of(self.table, name, item, self.how.missing)
            for name, item in self.how.properties.items()
        }

    @cached_property
    def _boxes(self) -> npt.NDArray[np.float64]:
        """Left, top, width and height of the box of each row."""
        assert self.how.box is not None
        return boxes_of(self.table, self.how.box)

    def _scene(self, image: str) -> TableScene:
        rows, box = self._kept(self._objects_by_image[image]), self.how.box
        blank = dict.fromkeys(box.properties) if box else {}
        readers = self._readers.items()
        objects = [{name: read(row) for name, read in readers} | blank for row in rows]
        return TableScene(
            image,
            str(self.images.path(image)),
            self.schema.width,
            self.schema.encode(objects).tobytes(),
            self._scene_boxes(box, rows) if box else None,
            self._scene_masks(self.how.mask, rows) if self.how.mask else None,
            self._size(self._rows_by_image[image]),
            self._labels.get(image),
        )

    def _kept(self, rows: Sequence[int]) -> Sequence[int]:
        """Return the rows of the objects that are kept: those with the largest boxes, or first."""
        if len(rows) <= self.how.max_objects:
            return rows
        if self.how.box is None:
            return rows[: self.how.max_objects]
        areas = np.nan_to_num(self._boxes[list(rows), 2] * self._boxes[list(rows), 3])
        largest = np.argsort(-areas, kind="stable")[: self.how.max_objects]
        return [rows[index] for index in sorted(largest.tolist())]

    def _scene_boxes(self, box: TableBox, rows: Sequence[int]) -> SceneBoxes:
        columns = self.schema.columns
        center, size = (columns[name].start if name else None for name in (box.center, box.size))
        return SceneBoxes(self._boxes[list(rows)].tobytes(), center, size, box.unit == "pixels")

    def _scene_masks(self, mask: TableMask, rows: Sequence[int]) -> SceneMasks:
        def texts(column: str) -> tuple[str, ...]:
            cells = self.table.columns[column] if column else []
            return tuple(
                "" if is_missing(cells[row]) else word(cells[row]) for row in rows if column
            )

        files = tuple(self._mask_path(name) if name else "" for name in texts(mask.file))
        return SceneMasks(files, texts(mask.value), texts(mask.segmentation))

    def _mask_path(self, name: str) -> str:
        return str(self.images.path(self.images.find(name, mask=True) or name))

    def _size(self, rows: Sequence[int]) -> tuple[int, int] | None:
        """Return the width and height that the table states for an image."""
        if self.how.size is None or not rows:
            return None
        columns = (self.table.columns[name] for name in (self.how.size.width, self.how.size.height))
        width, height = (number(cells[rows[0]]) for cells in columns)
        return (int(width), int(height)) if width and height else None

    def _split_of(self, image: str, rows: Sequence[int]) -> str:
        if self.how.split.by == "folders":
            split = folder_split(image, self.images)
            if split is None:
                raise DataError(
                    f"image {image} is in no folder named like a split", "use --split-by random"
                )
            return split
        cells = self.table.columns[self.how.split.column]
        words = {word(cells[row]) for row in rows if not is_missing(cells[row])}
        splits = {SPLITS.get(text.lower()) or plain(text) for text in words}
        if len(splits) != 1:
            where = " and ".join(sorted(splits)) or "no split"
            raise DataError(
                f"{self.table.name}: image {image} is in {where}",
                f"fix the column '{self.how.split.column}', or use --split-by random",
            )
        return splits.pop()
