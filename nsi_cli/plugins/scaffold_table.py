"""What the scaffold needs to know of a dataset whose schema is inferred."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nsi_cli.plugins.tables import (
    ImageFolder,
    TableScenes,
    coco_schema,
    infer,
    read_coco,
    read_table,
    with_masks,
)
from nsi_cli.plugins.tables.sample import write_sample
from nsi_cli.plugins.tables.schema_file import as_yaml

_PROGRAM_LEN, _SLOTS = 10, 22
"""The most objects of a scene, and the slots, of the preset ``demo``."""


@dataclass(frozen=True)
class Dataset:
    """A raw folder with a table of objects or COCO annotations, and how they are read."""

    scenes: TableScenes
    schema_file: str
    annotations: str  # the file's path in the raw folder, or only its name
    coco: bool
    notes: tuple[str, ...]

    @property
    def sample(self) -> str:
        """The path of the annotation file in the sample."""
        path = Path(self.annotations)
        keeps = self.coco or path.suffix.lower() == ".csv"
        return path.as_posix() if keeps else path.with_suffix(".csv").as_posix()

    @property
    def train_flags(self) -> str:
        """The flags of ``nsi train --preset demo`` for scenes of many objects, after a space."""
        most = self.scenes.how.max_objects
        length = f" --max-program-len {most}" if most > _PROGRAM_LEN else ""
        return length + (f" --num-slots {most + 1}" if most >= _SLOTS else "")

    def write_sample(self, folder: Path) -> None:
        """Write a few scenes as a raw folder. Raises `DataError` if no image exists."""
        write_sample(self.scenes, folder, self.sample, as_coco=self.coco)


def table_dataset(path: Path, raw: Path | None = None) -> Dataset:
    """Return the dataset of a table in a file; its images are in ``raw``, or beside the file."""
    raw = raw or path.parent
    images = ImageFolder(raw)
    table = read_table(path)
    inference = infer(table, images)
    scenes = TableScenes(table, inference.schema, images)
    notes = (*table.notes, *inference.lines(), *scenes.notes)
    return Dataset(scenes, inference.yaml(), _name(path, raw), False, notes)


def coco_dataset(path: Path, raw: Path | None = None) -> Dataset:
    """Return the dataset of COCO annotations in a file.

    Its images are in ``raw``, or beside the file or its folder, if that is ``annotations``.
    """
    beside = path.parent.parent if path.parent.name == "annotations" else path.parent
    raw = raw or beside
    table, masked, notes = with_masks(read_coco(raw, path), "auto")
    how = coco_schema(table, masked=masked)
    scenes = TableScenes(table, how, ImageFolder(raw), duplicates="keep")
    text = as_yaml(how, {}, f"Read from {path.name}. Edit this file.")
    return Dataset(scenes, text, _name(path, raw), True, (*table.notes, *notes, *scenes.notes))


def _name(path: Path, raw: Path) -> str:
    resolved, root = path.resolve(), raw.resolve()
    return resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else path.name
