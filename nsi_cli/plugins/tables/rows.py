"""Which rows of a table describe an object, and which repeat another row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from nsi_cli.plugins.tables.cells import is_missing
from nsi_cli.plugins.tables.names import means_id
from nsi_cli.plugins.tables.table import Table
from nsi_cli.plugins.tables.table_schema import TableSchema

Duplicates = Literal["auto", "keep", "drop"]


def object_rows(table: Table, how: TableSchema) -> list[int]:
    """Return the rows that describe an object. The others only say that there is an image."""
    columns = [table.columns[name] for name in how.object_columns]
    return [
        row
        for row in range(len(table))
        if not all(is_missing(cells[row], how.missing) for cells in columns)
    ]


def repeated_rows(table: Table, rows: Iterable[int]) -> frozenset[int]:
    """Return those of some rows that are equal to an earlier one in all columns."""
    seen: set[tuple[object, ...]] = set()
    repeated = []
    for row in rows:
        values = (cells[row] for cells in table.columns.values())
        key = tuple(repr(value) if isinstance(value, list) else value for value in values)
        if key in seen:
            repeated.append(row)
        seen.add(key)
    return frozenset(repeated)


def are_dropped(table: Table, how: TableSchema, duplicates: Duplicates) -> bool:
    """Whether rows that repeat another one are left out.

    With ``auto`` they are if a column tells equal objects apart (a box, a mask, a number or an
    identifier), so that equal rows must be one object.
    """
    if duplicates != "auto":
        return duplicates == "drop"
    numbers = any(item.kind == "continuous" for item in how.properties.values())
    identified = any(means_id(name) for name in table.columns if name != how.image)
    return bool(how.box or how.mask or numbers or identified)
