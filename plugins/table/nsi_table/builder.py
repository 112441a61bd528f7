"""The schema builder of any table: its schema is inferred, or read from a schema file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval

from nsi_cli.plugins import Categorical, ConfigError, Scene, Schema, option
from nsi_cli.plugins.tables import (
    Answers,
    ImageFolder,
    Inference,
    Table,
    TableScene,
    TableScenes,
    infer,
    load_table_scene,
    read_annotations,
    read_table_schema,
)

_INFERENCE = "Inference"  # the panel of flags that answer what inference asks


@dataclass(frozen=True)
class TableBuilder:
    """Reads a folder of images and a table with one row for each object."""

    raw: Path
    annotations: Path | None = option(  # noqa: RUF009
        None,
        help="The table: CSV, TSV, JSON Lines, JSON or Parquet. By default metadata.jsonl or .csv, "
        "or the only table in the raw folder.",
    )
    schema_: Path | None = option(  # noqa: RUF009
        None, help="A schema file, as --infer prints it; then nothing is inferred."
    )
    image_column: str = option("", help="The column that names images.", group=_INFERENCE)
    split_by: str = option(
        "auto",
        help="Splits: a column, folders (of images), random (80/10/10 %), or auto, which looks for "
        "a column or folders with names of splits.",
    )
    split_seed: Annotated[int, Interval(ge=0, le=2**32 - 1)] = option(
        0, help="Seed of random splits."
    )
    box_format: Literal["auto", "xywh", "xyxy", "cxcywh"] = option(
        "auto",
        help="What the four numbers of a box are: left and top, or the centre, with width and "
        "height; or left, top, right and bottom.",
        group=_INFERENCE,
    )
    categorical: str = option(
        "", help="Columns to read as categories, separated by commas.", group=_INFERENCE
    )
    continuous: str = option(
        "", help="Columns to read as numbers, separated by commas.", group=_INFERENCE
    )
    leave_out: str = option("", help="Columns to ignore, separated by commas.", group=_INFERENCE)
    scene_label_: str = option(
        "",
        help="A column with the label of whole scenes, the same in all rows of an image. It is "
        "stored, but not used in training.",
        group=_INFERENCE,
    )
    max_values: Annotated[int, Interval(ge=0, le=1_000_000)] = option(
        0,
        help="The most different words of a category. 0: 1000, or half the rows of a table of more "
        "than 40.",
        group=_INFERENCE,
    )
    max_objects: Annotated[int, Interval(ge=0, le=1 << 16)] = option(
        0,
        help="The most objects of a scene; of more, those with the largest boxes are kept. 0: all.",
        group=_INFERENCE,
    )
    merge_spellings: bool = option(
        False, help="Read similar spellings, such as Red and red, as one value.", group=_INFERENCE
    )
    duplicates: Literal["auto", "keep", "drop"] = option(
        "auto",
        help="Rows that are equal to another one. auto: drop them if a column tells equal objects "
        "apart, such as a box.",
    )
    keep_empty: bool = option(
        False, help="Store images without an object too, also those that no row names."
    )

    def faults(self) -> list[str]:
        """Return a fault if a schema file is given together with answers for the inference."""
        if self.schema_ is None:
            return []
        given = [name for name in _ANSWERS if getattr(self, name) != getattr(TableBuilder, name)]
        given = [name.rstrip("_") for name in given]
        return [f"{name}: has no effect with --schema; edit the file" for name in given]

    def schema(self) -> Schema:
        """Return the schema of the schema file, or the inferred one."""
        return self._scenes.schema

    def scene_label(self) -> Categorical | None:
        """Return the label of whole scenes, if a column of labels is named."""
        return self._scenes.scene_label

    def splits(self) -> dict[str, list[TableScene]]:
        """Return the scenes of each split."""
        return self._scenes.splits

    def load(self, source: TableScene) -> Scene:
        """Load a scene: its image, boxes as shares of the image, and its mask if there is one."""
        return load_table_scene(source)

    def notes(self) -> list[str]:
        """Return what was decided about each column, and what a person should know."""
        if self.schema_ is not None:
            return [*self._table.notes, f"schema from {self.schema_}", *self._scenes.notes]
        edit = "to change any of this: --infer > schema.yaml, edit it, and build with --schema"
        return [*self._table.notes, *self._inference.lines(), edit, *self._scenes.notes]

    def infer(self) -> str:
        """Return the inferred schema as a file to edit."""
        if self.schema_ is not None:
            raise ConfigError("--infer and --schema exclude each other", "choose one of them")
        return self._inference.yaml()

    @cached_property
    def _table(self) -> Table:
        return read_annotations(self.raw, self.annotations)

    @cached_property
    def _images(self) -> ImageFolder:
        return ImageFolder(self.raw)

    @cached_property
    def _inference(self) -> Inference:
        answers = Answers(
            self.image_column,
            self.split_by,
            self.box_format,
            _listed(self.categorical),
            _listed(self.continuous),
            _listed(self.leave_out),
            self.max_values,
            self.max_objects,
            self.merge_spellings,
            self.duplicates,
            self.scene_label_,
        )
        return infer(self._table, self._images, answers)

    @cached_property
    def _scenes(self) -> TableScenes:
        how = self._inference.schema if self.schema_ is None else read_table_schema(self.schema_)
        return TableScenes(
            self._table,
            how,
            self._images,
            keep_empty=self.keep_empty,
            duplicates=self.duplicates,
            seed=self.split_seed,
        )

    def __getstate__(self) -> dict[str, object]:
        """Return only the fields: workers need no table."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


_ANSWERS = (
    "image_column", "split_by", "box_format", "categorical", "continuous", "leave_out",
    "max_values", "max_objects", "merge_spellings", "scene_label_",
)  # fmt: skip


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
