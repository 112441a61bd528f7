"""Reading JSON Lines, JSON and Parquet, and images with a list of objects.

A record is either an object, or an image with its objects: the ``imagefolder`` convention has
``objects`` as a mapping from property to a list with one item per object; many tools write a list
of mappings. Nested mappings become columns with a dotted name, such as ``bbox.x``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from nsi_cli.plugins.tables.table import Cell, Table, table_of
from nsi_cli.support.errors import DataError, one_line

OBJECTS = ("objects", "annotations", "regions")
"""Keys under which a record of an image has its objects."""

Record = dict[str, Cell]


def parse_json(name: str, data: bytes) -> Table:
    """Return the table in a JSON file: a list of records. Raises `DataError`."""
    content = _loaded(data.decode("utf-8-sig", errors="replace"), name)
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        raise DataError(f"{name} is a COCO file", "build it with nsi build-data coco")
    if not isinstance(content, list):
        raise DataError(f"{name} is not a list of records", "one record per object, or per image")
    return _table(name, content, [f"record {number}" for number in range(1, len(content) + 1)])


def parse_json_lines(name: str, data: bytes) -> Table:
    """Return the table in a JSON Lines file: one record per line. Raises `DataError`."""
    text = data.decode("utf-8-sig", errors="replace")
    numbered = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    records = [_loaded(line, f"{name}: line {number}") for number, line in numbered]
    lines = [number for number, _ in numbered]
    return _table(name, records, [f"line {number}" for number in lines], lines)


def read_parquet(path: Path) -> Table:
    """Return the table in a Parquet file. Raises `DataError`, also if pyarrow is missing."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise DataError(
            f"reading {path.name} needs pyarrow, which is not installed",
            "pip install 'nsi-cli[parquet]', or save the table as CSV",
        ) from None
    try:
        records = parquet.read_table(path, memory_map=False).to_pylist()
    except (ArrowException, OSError, ValueError) as error:
        reason = one_line(str(error))
        raise DataError(f"{path.name} cannot be read: {reason}", "write it again") from None
    return _table(path.name, records, [f"row {number}" for number in range(1, len(records) + 1)])


def with_objects(name: str, table: Table) -> Table:
    """Return a table in which a column has the objects of an image, as JSON text, by object."""
    key = next((key for key in OBJECTS if key in table.columns), None)
    cells = table.columns[key] if key else []
    if key is None or not any(str(cell).lstrip()[:1] in ("{", "[") for cell in cells):
        return table
    records = [
        {**dict(zip(table.columns, row, strict=True)), key: _loaded(str(cell or "[]"), name)}
        for cell, row in zip(cells, zip(*table.columns.values(), strict=True), strict=True)
    ]
    places = [table.place(row) for row in range(len(table))]
    return _table(name, records, places, table.lines)


def _table(
    name: str, records: Sequence[Any], places: Sequence[str], lines: Sequence[int] = ()
) -> Table:
    objects: list[Record] = []
    lines_of_objects: list[int] = []
    of_image: set[str] = set()
    for number, (place, record) in enumerate(zip(places, records, strict=True)):
        if not isinstance(record, dict):
            raise DataError(f"{name}: {place} is not a JSON object", "one object per record")
        try:
            image, items = _objects(record)
        except ValueError as error:
            raise DataError(f"{name}: {place}: {error}", "fix the record") from None
        of_image |= image.keys()
        found = [{**image, **item} for item in items] or [image]
        objects += found
        lines_of_objects += [lines[number]] * len(found) if lines else []
    if not objects:
        raise DataError(f"{name} is empty", "it needs a record for each object, or for each image")
    return replace(table_of(name, objects, of_image), lines=lines_of_objects)


def _objects(record: Mapping[str, Any]) -> tuple[Record, list[Record]]:
    """Return what a record says about an image, and its objects."""
    key = next((key for key in OBJECTS if isinstance(record.get(key), dict | list)), None)
    if key is None:
        return {}, [_flat(record)]
    image = _flat({name: value for name, value in record.items() if name != key})
    listed = record[key]
    objects = listed if isinstance(listed, list) else list(_transposed(listed, key))
    if not all(isinstance(item, dict) for item in objects):
        raise ValueError(f"'{key}' is not a list of objects")
    return image, [_flat(item) for item in objects]


def _transposed(columns: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a mapping from property to a list of its values."""
    lengths = {len(values) if isinstance(values, list) else -1 for values in columns.values()}
    if -1 in lengths or len(lengths) > 1:
        raise ValueError(f"'{key}' must have lists of one length, with an item per object")
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _flat(record: Mapping[str, Any], prefix: str = "") -> Record:
    """Return a record with nested mappings spread over dotted names."""
    flat: Record = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= _flat(value, f"{name}.")
        elif isinstance(value, bytes):
            raise ValueError(f"'{name}' contains bytes: save images as files, and name them")
        elif isinstance(value, date):
            flat[name] = value.isoformat()
        elif isinstance(value, str | float | int | list) or value is None:
            flat[name] = value
        else:  # a type of Parquet, such as a decimal
            flat[name] = str(value)
    return flat


def _loaded(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not valid JSON: {one_line(str(error))}", "fix it") from None
