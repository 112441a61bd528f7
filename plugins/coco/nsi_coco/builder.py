"""The schema builder of COCO instances."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval

from nsi_cli.plugins import Scene, Schema, option
from nsi_cli.plugins.tables import (
    ImageFolder,
    Table,
    TableScene,
    TableScenes,
    coco_schema,
    load_table_scene,
    read_coco,
    with_masks,
)


@dataclass(frozen=True)
class CocoBuilder:
    """Reads COCO instances, in the layout of COCO or of an annotation tool."""

    raw: Path
    annotations: Path | None = option(  # noqa: RUF009
        None,
        help="The annotation file. By default those of the raw folder: "
        "annotations/instances_SPLIT.json, SPLIT/_annotations.coco.json, or the only JSON file.",
    )
    categories: str = option(
        "", help="Names of the categories that are kept, separated by commas; all by default."
    )
    supercategory: bool = option(False, help="Store the supercategory as a property too.")
    masks: Literal["auto", "on", "off"] = option(
        "auto",
        help="Instance masks from segmentations, which need pycocotools. auto: if it is installed "
        "and most objects have a segmentation.",
    )
    max_objects: Annotated[int, Interval(ge=0, le=1 << 16)] = option(
        0,
        help="The most objects of a scene; of more, those with the largest boxes are kept. 0: all.",
    )
    split_by: Literal["auto", "random", "folders"] = option(
        "auto",
        help="Splits: folders (of images), random (80/10/10 %), or auto, which is the annotation "
        "files, or random if there is one file.",
    )
    split_seed: Annotated[int, Interval(ge=0, le=2**32 - 1)] = option(
        0, help="Seed of random splits."
    )
    keep_empty: bool = option(False, help="Store images without an object too.")

    def schema(self) -> Schema:
        """Return the schema: category, and box as center and size."""
        return self._scenes.schema

    def splits(self) -> dict[str, list[TableScene]]:
        """Return the scenes of each split."""
        return self._scenes.splits

    def load(self, source: TableScene) -> Scene:
        """Load a scene: its image, boxes as shares of the image, and its mask if there is one."""
        return load_table_scene(source)

    def notes(self) -> list[str]:
        """Return lines about annotations, masks and images that are left out."""
        _, _, notes = self._read
        return [*self._scenes.table.notes, *notes, *self._scenes.notes]

    @cached_property
    def _read(self) -> tuple[Table, bool, list[str]]:
        """The table, whether its masks are used, and notes about masks."""
        wanted = tuple(part.strip() for part in self.categories.split(",") if part.strip())
        return with_masks(read_coco(self.raw, self.annotations, wanted), self.masks)

    @cached_property
    def _scenes(self) -> TableScenes:
        table, masked, _ = self._read
        how = coco_schema(
            table,
            supercategory=self.supercategory,
            masked=masked,
            max_objects=self.max_objects,
            split_by=self.split_by,
        )
        return TableScenes(
            table,
            how,
            ImageFolder(self.raw),
            keep_empty=self.keep_empty,
            duplicates="keep",
            seed=self.split_seed,
        )

    def __getstate__(self) -> dict[str, object]:
        """Return only the fields: workers need no annotations."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
