"""The file ``schema.yaml``: how a table is read, written by the inference, edited by a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nsi_cli.plugins.tables.table_schema import Strict, TableSchema
from nsi_cli.support.errors import ConfigError, SchemaError, one_line
from nsi_cli.support.options import did_you_mean
from nsi_cli.support.reading import CONFIG_LIMIT, read_regular, reason_of

_LARGEST = 100 * CONFIG_LIMIT  # bytes; vocabularies may be long
_WIDTH = 100
_HINT = "nsi build-data table --infer prints a valid schema file"


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
        known = {key for cls in Strict.__subclasses__() for key in cls.__annotations__}
        return f"{place}: unknown key ({did_you_mean(str(error['loc'][-1]), known) or 'remove it'})"
    text = str(error["msg"]).removeprefix("Value error, ")
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
