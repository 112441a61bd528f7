"""How a table is read: which column is what, and the properties of an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nsi_cli.plugins.tables.cells import MISSING
from nsi_cli.plugins.tables.names import BoxFormat
from nsi_cli.schema import Categorical, Continuous, Property, Schema
from nsi_cli.support.errors import DataError
from nsi_cli.support.options import did_you_mean


class Strict:
    """Makes pydantic refuse unknown keys, and read numbers as text where text is needed."""

    __pydantic_config__ = {"extra": "forbid", "coerce_numbers_to_str": True}  # noqa: RUF012


@dataclass(frozen=True)
class TableProperty(Strict):
    """A property, and the columns from which it is read.

    A categorical property has one column. A continuous one has a column per component, or one
    column of lists. ``spellings`` maps other texts in the column to a value; the texts ``missing``
    are read as missing values.
    """

    kind: Literal["categorical", "continuous"]
    columns: tuple[str, ...]
    values: tuple[str, ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    missing: tuple[str, ...] = ()

    def named(self, name: str) -> Property:
        """Return the property. Raises `SchemaError` if values or bounds are not valid."""
        if self.kind == "categorical":
            return Categorical(name, self.values)
        return Continuous(name, len(self.low), self.low, self.high)


@dataclass(frozen=True)
class TableBox(Strict):
    """The columns of boxes: four, or one of lists. They become `center` and `size`.

    ``format`` is xywh (left, top, width, height), xyxy (left, top, right, bottom) or cxcywh
    (centre, width, height), in ``pixels`` or as ``shares`` of the image. ``center`` and ``size``
    are the names of the properties; an empty ``size`` is not stored.
    """

    columns: tuple[str, ...]
    format: BoxFormat = "xywh"
    unit: Literal["pixels", "shares"] = "pixels"
    center: str = "center"
    size: str = "size"

    @property
    def properties(self) -> list[str]:
        """The names of its properties."""
        return [name for name in (self.center, self.size) if name]


@dataclass(frozen=True)
class TableMask(Strict):
    """Where an object's mask comes from: a column of files, or one of COCO segmentations.

    ``value`` is the column of the object's pixel value in the file; without it, an object's pixels
    are those that are not 0.
    """

    file: str = ""
    value: str = ""
    segmentation: str = ""

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        return [name for name in (self.file, self.value, self.segmentation) if name]


@dataclass(frozen=True)
class TableImageSize(Strict):
    """The columns of an image's width and height in pixels, which its file must have."""

    width: str
    height: str


@dataclass(frozen=True)
class TableSplit(Strict):
    """Where the splits come from: a column, the folders of the images, or chance."""

    by: Literal["column", "folders", "random"] = "random"
    column: str = ""


@dataclass(frozen=True)
class TableSchema(Strict):
    """How a table is read: which column is what, and the properties of an object.

    ``label`` is the column of the scene label, which is the same in all rows of an image.
    """

    image: str
    max_objects: int
    properties: Mapping[str, TableProperty] = field(default_factory=dict)
    box: TableBox | None = None
    mask: TableMask | None = None
    size: TableImageSize | None = None
    split: TableSplit = TableSplit()
    label: str = ""
    missing: tuple[str, ...] = MISSING

    def schema(self) -> Schema:
        """Return the schema of the store. Raises `SchemaError` if it is not valid."""
        properties = [item.named(name) for name, item in self.properties.items()]
        properties += [Continuous(name, 2) for name in self.box.properties] if self.box else []
        return Schema(tuple(properties), self.max_objects)

    @property
    def object_columns(self) -> list[str]:
        """The columns that describe an object."""
        names = [name for item in self.properties.values() for name in item.columns]
        names += self.box.columns if self.box else ()
        return names + [name for name in self._mask_columns if name != self._mask_value]

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        names = [self.image, *self.object_columns, *self._mask_columns]
        names += [self.size.width, self.size.height] if self.size else []
        names += [self.label] if self.label else []
        return names + ([self.split.column] if self.split.by == "column" else [])

    @property
    def _mask_columns(self) -> list[str]:
        return self.mask.columns if self.mask else []

    @property
    def _mask_value(self) -> str:
        return self.mask.value if self.mask else ""


def check_columns(schema: TableSchema, names: Mapping[str, object], table: str) -> None:
    """Raise `DataError` if a table lacks a column that the schema reads."""
    for name in schema.columns:
        if name not in names:
            near = did_you_mean(name, names)
            raise DataError(
                f"{table} has no column '{name}'", near or f"it has: {', '.join(list(names)[:20])}"
            )
