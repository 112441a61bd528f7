"""How a table is read: the file ``schema.yaml`` that inference writes and a person may edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from nsi_cli.plugins.tables.cells import MISSING
from nsi_cli.plugins.tables.names import BoxFormat
from nsi_cli.schema import Categorical, Continuous, Property, Schema
from nsi_cli.support.errors import ConfigError, DataError, SchemaError, one_line
from nsi_cli.support.options import did_you_mean
from nsi_cli.support.reading import CONFIG_LIMIT, read_regular, reason_of

_LARGEST = 100 * CONFIG_LIMIT  # bytes; vocabularies may be long
_WIDTH = 100
_HINT = "nsi build-data table --infer prints a valid schema file"


class _Strict:
    """Makes pydantic refuse unknown keys, and read numbers as text where text is needed."""

    __pydantic_config__ = {"extra": "forbid", "coerce_numbers_to_str": True}  # noqa: RUF012


@dataclass(frozen=True)
class TableProperty(_Strict):
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
class TableBox(_Strict):
    """The columns of boxes: four, or one of lists. They become `center` and `size`.

    ``format`` is xywh (left, top, width, height), xyxy (left, top, right, bottom) or cxcywh
    (centre, width, height), in ``pixels`` or as ``shares`` of the image.
    """

    columns: tuple[str, ...]
    format: BoxFormat = "xywh"
    unit: Literal["pixels", "shares"] = "pixels"
    center: str = "center"
    size: str = "size"


@dataclass(frozen=True)
class TableMask(_Strict):
    """The columns of an object's mask file and of its pixel value; without, any value but 0."""

    file: str
    value: str | None = None


@dataclass(frozen=True)
class TableSplit(_Strict):
    """Where the splits come from: a column, the folders of the images, or chance."""

    by: Literal["column", "folders", "random"] = "random"
    column: str = ""


@dataclass(frozen=True)
class TableSchema(_Strict):
    """How a table is read: which column is what, and the properties of an object."""

    image: str
    max_objects: int
    properties: Mapping[str, TableProperty] = field(default_factory=dict)
    box: TableBox | None = None
    mask: TableMask | None = None
    split: TableSplit = TableSplit()
    missing: tuple[str, ...] = MISSING

    def schema(self) -> Schema:
        """Return the schema of the store. Raises `SchemaError` if it is not valid."""
        properties = [item.named(name) for name, item in self.properties.items()]
        if self.box:
            properties += [Continuous(self.box.center, 2), Continuous(self.box.size, 2)]
        return Schema(tuple(properties), self.max_objects)

    @property
    def object_columns(self) -> list[str]:
        """The columns that describe an object."""
        names = [name for item in self.properties.values() for name in item.columns]
        names += self.box.columns if self.box else ()
        return names + ([self.mask.file] if self.mask else [])

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        names = [self.image, *self.object_columns]
        names += [self.mask.value] if self.mask and self.mask.value else []
        return names + ([self.split.column] if self.split.by == "column" else [])


def read_table_schema(path: Path) -> TableSchema:
    """Return the content of a schema file. Raises `ConfigError` that lists all faults."""
    import yaml

    try:
        data = yaml.safe_load(read_regular(path, _LARGEST))
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {one_line(reason_of(error))}", _HINT) from None
    return parse_table_schema(data, str(path))


def parse_table_schema(data: Any, where: str) -> TableSchema:
    """Return a schema file's content from plain values. Raises `ConfigError`."""
    from pydantic import TypeAdapter, ValidationError

    try:
        parsed = TypeAdapter(TableSchema).validate_python(data)
        parsed.schema()
        return parsed
    except ValidationError as error:
        faults = [_fault(item) for item in error.errors(include_url=False)]
    except SchemaError as error:
        faults = [error.message]
    raise ConfigError(f"{where}: " + "; ".join(faults[:20]), _HINT)


def _fault(error: Any) -> str:
    place = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] == "unexpected_keyword_argument":
        known = {key for cls in _Strict.__subclasses__() for key in cls.__annotations__}
        return f"{place}: unknown key ({did_you_mean(str(error['loc'][-1]), known) or 'remove it'})"
    text = str(error["msg"])
    return f"{place}: {text[:1].lower()}{text[1:]}"


def as_yaml(schema: TableSchema, comments: Mapping[str, str], header: str) -> str:
    """Return the text of a schema file.

    ``comments`` has lines for top-level keys and for properties by name; ``header`` comes first.
    """
    data = _short(asdict(schema))
    properties = data.pop("properties")
    text = _commented(header)
    for key, value in data.items():
        text += _commented(comments.get(f".{key}", "")) + _dump({key: value})
    text += "properties:\n" if properties else "properties: {}\n"
    for name, value in properties.items():
        part = _commented(comments.get(name, "")) + _dump({name: value})
        text += "".join(f"  {line}\n" for line in part.splitlines())
    return text


def _short(value: Any) -> Any:
    """Return plain values for YAML, without empty ones."""
    if isinstance(value, Mapping):
        kept = {key: _short(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [], {}, "")}
    return list(value) if isinstance(value, tuple) else value


def _commented(text: str) -> str:
    return "".join(f"# {line}\n" for line in text.splitlines())


def _dump(data: Any) -> str:
    import yaml

    nested = any(isinstance(value, dict | list) for value in data.values())
    dumped = yaml.safe_dump(
        data,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None if nested else False,  # lists and small mappings on one line
        width=_WIDTH,
    )
    return str(dumped)


def check_columns(schema: TableSchema, names: Mapping[str, object], table: str) -> None:
    """Raise `DataError` if a table lacks a column that the schema reads."""
    for name in schema.columns:
        if name not in names:
            near = did_you_mean(name, names)
            raise DataError(
                f"{table} has no column '{name}'", near or f"it has: {', '.join(list(names)[:20])}"
            )
