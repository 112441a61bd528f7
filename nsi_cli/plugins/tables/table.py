"""A table in memory: its columns by name, with one row for each object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Cell = str | float | bool | list[Any] | None
"""A value of a table. From CSV, all are text; from JSON and Parquet, they have types."""


@dataclass(frozen=True)
class Table:
    """The rows of one annotation file, or of several. Columns have the same length.

    ``notes`` are lines about how the file was read, for example its encoding. ``of_image`` are
    columns that belong to the image and not to the object, by the structure of the file. ``lines``
    are the lines of the file in which the rows are; empty if they are unknown.
    """

    name: str
    columns: Mapping[str, Sequence[Cell]]
    notes: tuple[str, ...] = ()
    of_image: frozenset[str] = frozenset()
    lines: Sequence[int] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def keep(self, rows: Iterable[int]) -> Table:
        """Return the table with some of its rows, in that order."""
        kept = list(rows)
        columns = {name: [cells[row] for row in kept] for name, cells in self.columns.items()}
        lines = [self.lines[row] for row in kept] if self.lines else ()
        return replace(self, columns=columns, lines=lines)

    def place(self, row: int) -> str:
        """Return where a row is, for messages: its line in the file, or its number from 1."""
        return f"line {self.lines[row]}" if self.lines else f"row {row + 1}"


def table_of(
    name: str, records: Sequence[Mapping[str, Cell]], of_image: Iterable[str] = ()
) -> Table:
    """Return a table of records; a key that a record lacks is None.

    Equal texts share their memory.
    """
    names = list(dict.fromkeys(key for record in records for key in record))
    shared: dict[str, str] = {}

    def cell(value: Cell) -> Cell:
        return shared.setdefault(value, value) if isinstance(value, str) else value

    columns = {name: [cell(record.get(name)) for record in records] for name in names}
    return Table(name, columns, of_image=frozenset(of_image))


def joined(tables: Sequence[Table], added: str = "", values: Sequence[str] = ()) -> Table:
    """Return the rows of several tables as one table, with None in columns that one lacks.

    If ``added`` is given, it is a column that contains, for each table's rows, one of ``values``.
    """
    if len(tables) == 1 and not added:
        return tables[0]
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    columns: dict[str, list[Cell]] = {name: [] for name in names}
    for table in tables:
        for name, cells in columns.items():
            cells.extend(table.columns.get(name, [None] * len(table)))
    if added:
        columns[added] = [
            value for value, table in zip(values, tables, strict=True) for _ in range(len(table))
        ]
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    of_image = frozenset[str]().union(*(table.of_image for table in tables))
    return Table(", ".join(table.name for table in tables), columns, tuple(notes), of_image)
