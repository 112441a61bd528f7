"""Inferring how a table is read: the one result is an `Inference`, with a reason for everything."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

from nsi_cli.plugins.tables import names
from nsi_cli.plugins.tables.cells import is_missing, number, word
from nsi_cli.plugins.tables.image_paths import ImageFolder
from nsi_cli.plugins.tables.inference.box_columns import find_box
from nsi_cli.plugins.tables.inference.columns import Verdict, continuous_of, judge
from nsi_cli.plugins.tables.inference.roles import check_name, find_image, find_mask, find_split
from nsi_cli.plugins.tables.names import BoxFormat
from nsi_cli.plugins.tables.rows import Duplicates, are_dropped, object_rows, repeated_rows
from nsi_cli.plugins.tables.schema_file import as_yaml
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

Use = Literal["image", "split", "size", "box", "mask", "label", "property", "left out"]


@dataclass(frozen=True)
class Answers:
    """What a person says beforehand about columns that would be read otherwise.

    Names are those of columns. ``max_values`` is the most different words of a category, 0 for the
    default. ``max_objects`` is the most objects of an image, 0 for as many as there are.
    ``scene_label`` is the column of the scene label, if there is one.
    """

    image: str = ""
    split_by: str = "auto"
    box_format: Literal["auto", BoxFormat] = "auto"
    categorical: tuple[str, ...] = ()
    continuous: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    max_values: int = 0
    max_objects: int = 0
    merge_spellings: bool = False
    duplicates: Duplicates = "auto"
    scene_label: str = ""


@dataclass(frozen=True)
class Decision:
    """What columns are used for, the property that they become, if any, and why."""

    columns: tuple[str, ...]
    use: Use
    reason: str
    property: str = ""

    def __str__(self) -> str:
        what = f"property {self.property}" if self.use == "property" else self.use
        columns = ", ".join(self.columns)
        return f"{columns}: {what}: {self.reason}" if columns else f"{what}: {self.reason}"


@dataclass(frozen=True)
class Inference:
    """How a table is read, what was decided about each column, and notes for the user."""

    schema: TableSchema
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...]
    header: str = field(repr=False)

    def lines(self) -> list[str]:
        """Return the decisions and the warnings, one line each."""
        return [*map(str, self.decisions), *(f"warning: {text}" for text in self.warnings)]

    def yaml(self) -> str:
        """Return the schema file, with the reasons and warnings as comments."""
        comments: dict[str, str] = {".max_objects": "the most objects in an image"}
        for decision in self.decisions:
            key = decision.property if decision.use == "property" else f".{decision.use}"
            comments[key] = decision.reason
        left_out = [str(item) for item in self.decisions if item.use == "left out"]
        lines = [self.header, *left_out, *(f"warning: {text}" for text in self.warnings)]
        lines.append("Edit this file, and build with --schema FILE.")
        return as_yaml(self.schema, comments, "\n".join(lines))


def infer(table: Table, images: ImageFolder, answers: Answers = Answers()) -> Inference:
    """Infer how a table is read.

    Raises `DataError` if no column names images or no property is found, with the flag that
    answers the question; `ConfigError` if an answer names an unknown column.
    """
    for flag, columns in (
        ("--image-column", (answers.image,) if answers.image else ()),
        ("--categorical", answers.categorical),
        ("--continuous", answers.continuous),
        ("--leave-out", answers.left_out),
        ("--scene-label", (answers.scene_label,) if answers.scene_label else ()),
    ):
        for column in columns:
            check_name(table, column, flag)
    inference = _Inferring(table, images, answers).result()
    rows = object_rows(table, inference.schema)
    if are_dropped(table, inference.schema, answers.duplicates):
        repeated = repeated_rows(table, rows)
        rows = [row for row in rows if row not in repeated]
    if len(rows) in (0, len(table)):
        return inference
    return _Inferring(table.keep(rows), images, answers).result()


class _Inferring:
    """The columns of a table, each of which is used up by one decision."""

    def __init__(self, table: Table, images: ImageFolder, answers: Answers) -> None:
        self.table, self.images, self.answers = table, images, answers
        self.decisions: list[Decision] = []
        self.warnings: list[str] = []
        self.properties: dict[str, TableProperty] = {}

    def result(self) -> Inference:
        for name in self.answers.left_out:
            self._decide((name,), "left out", "as asked for")
        label = self.answers.scene_label
        if label:
            self._decide((label,), "label", "of whole scenes, as asked for")
        image = self._image()
        mask = self._mask()
        split = self._split(image)
        box = self._box(image)
        size = self._size(box)
        self._of_image()
        self._vectors()
        for name in self._free:
            self._property(name)
        self._leave_out_codes()
        box = self._named_apart(box)
        if not self.properties and box is None:
            raise DataError(
                f"{self.table.name}: no column is a property of objects: "
                + "; ".join(str(item) for item in self.decisions if item.use == "left out"),
                "keep one with --categorical COLUMN or --continuous COLUMN",
            )
        most, header = self._counts(image)
        if mask is not None and most > names.MOST_IN_MASK:
            self.warnings.append(
                f"a mask has at most {names.MOST_IN_MASK} objects; max_objects is lowered"
            )
            most = names.MOST_IN_MASK
        schema = TableSchema(image, most, self._in_order(), box, mask, size, split, label)
        return Inference(schema, tuple(self.decisions), tuple(self.warnings), header)

    @property
    def _free(self) -> list[str]:
        """The columns without a decision."""
        used = {name for decision in self.decisions for name in decision.columns}
        return [name for name in self.table.columns if name not in used]

    @property
    def _forced(self) -> tuple[str, ...]:
        return self.answers.categorical + self.answers.continuous

    @property
    def _unforced(self) -> list[str]:
        """The columns without a decision that may become anything."""
        return [name for name in self._free if name not in self._forced]

    @property
    def _open(self) -> Table:
        """The table with these columns only."""
        columns = {name: self.table.columns[name] for name in self._unforced}
        return replace(self.table, columns=columns)

    def _decide(self, columns: tuple[str, ...], use: Use, reason: str, name: str = "") -> None:
        self.decisions.append(Decision(columns, use, reason, name))

    def _image(self) -> str:
        if self.answers.image:
            self._decide((self.answers.image,), "image", "as asked for")
            return self.answers.image
        role = find_image(self._open, self.images)
        self._decide(role.columns, "image", role.reason)
        return role.columns[0]

    def _mask(self) -> TableMask | None:
        mask, reason = find_mask(self._open, self.images)
        if mask is None:
            self.warnings += [f"masks are not used: {reason}"] if reason else []
            files = [name for name in self._free if names.plain(name) in names.MASK_COLUMNS]
            for name in files if reason else ():
                self._decide((name,), "left out", "a mask whose values are unknown")
            return None
        self._decide(tuple(mask.columns), "mask", reason)
        return mask

    def _split(self, image: str) -> TableSplit:
        asked = self.answers.split_by
        if asked == "auto":
            split, reason = find_split(self._open, self.table.columns[image], self.images)
        elif asked in ("random", "folders"):
            split, reason = TableSplit(asked), "as asked for"  # type: ignore[arg-type]
        else:
            split = TableSplit("column", check_name(self.table, asked, "--split-by"))
            reason = "as asked for"
        self._decide((split.column,) if split.column else (), "split", f"{split.by}: {reason}")
        return split

    def _box(self, image: str) -> TableBox | None:
        form = self.answers.box_format
        box, reason, warnings = find_box(self.table, self._unforced, image, self.images, form)
        self.warnings += warnings
        if box is not None:
            self._decide(box.columns, "box", reason)
        return box

    def _size(self, box: TableBox | None) -> TableImageSize | None:
        """Return the columns of the image's own width and height."""
        columns = names.size_columns(self._unforced, bare=box is not None)
        if columns is None:
            return None
        self._decide(columns, "size", "the size of the image")
        return TableImageSize(*columns)

    def _of_image(self) -> None:
        """Leave out the columns that describe the image and not the object."""
        for name in self._unforced:
            if name in self.table.of_image:
                reason = (
                    f"it describes the image, not its objects; --categorical {name} keeps it, and "
                    f"--scene-label {name} makes it the label of the scene"
                )
                self._decide((name,), "left out", reason)

    def _vectors(self) -> None:
        for name, columns in names.vector_columns(self._unforced).items():
            cells = [self.table.columns[column] for column in columns]
            if not all(number(cell) is not None for part in cells for cell in part
                       if not is_missing(cell)):  # fmt: skip
                continue
            rows = [
                tuple(value for value in map(number, row) if value is not None)
                for row in zip(*cells, strict=True)
            ]
            whole = [row for row in rows if len(row) == len(columns)]
            if not whole:
                continue
            if name in self.table.columns:
                name = "_".join(columns)
            self.properties[name], warnings = continuous_of(columns, whole)
            self.warnings += warnings
            self._decide(columns, "property", f"a vector of {len(columns)} numbers", name)

    def _property(self, name: str) -> None:
        answers = self.answers
        forced = "categorical" if name in answers.categorical else ""
        forced = "continuous" if name in answers.continuous else forced
        cells = self.table.columns[name]
        verdict: Verdict = judge(
            name,
            cells,
            forced=forced,
            max_values=answers.max_values,
            merge_spellings=answers.merge_spellings,
        )
        self.warnings += verdict.warnings
        if verdict.found is None:
            self._decide((name,), "left out", verdict.reason)
            return
        self.properties[name] = verdict.found
        self._decide((name,), "property", verdict.reason, name)

    def _leave_out_codes(self) -> None:
        """Leave out properties that only number the words of another one."""
        found = {name: item for name, item in self.properties.items() if item.kind == "categorical"}
        for name, item in found.items():
            if name in self._forced or any(number(value) is None for value in item.values):
                continue
            for other, words in found.items():
                if number(words.values[0]) is None and self._is_one_to_one(item, words):
                    del self.properties[name]
                    self.decisions = [each for each in self.decisions if each.property != name]
                    self._decide((name,), "left out", f"the number of each {other}")
                    break

    def _is_one_to_one(self, one: TableProperty, other: TableProperty) -> bool:
        """Whether each value of a property always occurs with the same value of the other."""
        if len(one.values) != len(other.values):
            return False
        columns = (self.table.columns[item.columns[0]] for item in (one, other))
        pairs = {tuple(map(word, row)) for row in zip(*columns, strict=True)}
        return len(pairs) == len(one.values)

    def _in_order(self) -> dict[str, TableProperty]:
        """Return the properties in the order of their columns."""
        order = list(self.table.columns)
        named = self.properties.items()
        return dict(sorted(named, key=lambda pair: order.index(pair[1].columns[0])))

    def _named_apart(self, box: TableBox | None) -> TableBox | None:
        """Return the box with names that no other property has."""
        if box is None or not {"center", "size"} & self.properties.keys():
            return box
        return replace(box, center="box_center", size=box.size and "box_size")

    def _counts(self, image: str) -> tuple[int, str]:
        """Return the most objects of an image, and the first line of the schema file."""
        objects = Counter(word(cell) for cell in self.table.columns[image] if not is_missing(cell))
        most = max(objects.values(), default=1)
        rows, images = sum(objects.values()), len(objects)
        header = f"Inferred from {self.table.name}: {rows:,} rows, {images:,} images."
        if self.answers.max_objects and self.answers.max_objects < most:
            return self.answers.max_objects, header
        return most, header
