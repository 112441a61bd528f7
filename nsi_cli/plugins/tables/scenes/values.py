"""Reading the value of a property from the rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from reprlib import repr  # shortens long values

import numpy as np
import numpy.typing as npt

from nsi_cli.plugins.tables.cells import is_missing, number, vector, word
from nsi_cli.plugins.tables.table import Cell, Table
from nsi_cli.plugins.tables.table_schema import TableBox, TableProperty
from nsi_cli.schema.schema import Value
from nsi_cli.support.errors import DataError
from nsi_cli.support.options import did_you_mean

Reader = Callable[[int], Value]
"""Returns a property's value in a row. Raises `DataError` if the schema file does not allow it."""


def reader_of(table: Table, name: str, how: TableProperty, missing: tuple[str, ...]) -> Reader:
    """Return the function that reads a property from a row."""
    all_missing = missing_texts(how, missing)
    if how.kind == "categorical":
        return _categorical(table, name, how, all_missing)
    return _continuous(table, name, how, all_missing)


def missing_texts(how: TableProperty, missing: Iterable[str]) -> frozenset[str]:
    """Return the texts that are read as missing: those of the table, and of the property."""
    return frozenset(text.casefold() for text in (*missing, *how.missing))


def _categorical(table: Table, name: str, how: TableProperty, missing: frozenset[str]) -> Reader:
    cells, known = table.columns[how.columns[0]], frozenset(how.values)

    def read(row: int) -> Value:
        if is_missing(cells[row], missing):
            return None
        text = word(cells[row])
        text = how.spellings.get(text, text)
        if text in known:
            return text
        near = did_you_mean(text, known)
        raise DataError(
            f"{table.name}, {table.place(row)}: {name} {text!r} is not in the schema file",
            (near + " " if near else "") + "add it to 'values', 'spellings' or 'missing' there",
        )

    return read


def _continuous(table: Table, name: str, how: TableProperty, missing: frozenset[str]) -> Reader:
    columns, size = [table.columns[column] for column in how.columns], len(how.low)

    def read(row: int) -> Value:
        cells = [cells[row] for cells in columns]
        if any(is_missing(cell, missing) for cell in cells):
            return None
        numbers = _numbers(cells)
        if numbers is not None and len(numbers) == size:
            return numbers
        raise DataError(
            f"{table.name}, {table.place(row)}: {name} "
            f"{repr(cells[0] if len(cells) == 1 else cells)} is not {size} numbers",
            "fix it, or add it to 'missing' of the property in the schema file",
        )

    return read


def _numbers(cells: list[Cell]) -> tuple[float, ...] | None:
    if len(cells) == 1 and (listed := vector(cells[0])) is not None:
        return listed
    numbers = [number(cell) for cell in cells]
    known = tuple(value for value in numbers if value is not None)
    return known if len(known) == len(numbers) else None


def boxes_of(table: Table, box: TableBox) -> npt.NDArray[np.float64]:
    """Return left, top, width and height of each row's box (n, 4), NaN if missing.

    The unit is that of the table.
    """
    columns = [table.columns[name] for name in box.columns]
    rows = (_numbers(list(cells)) for cells in zip(*columns, strict=True))
    blank = (np.nan,) * 4
    boxes = np.array([row if row and len(row) == 4 else blank for row in rows], np.float64)
    boxes = boxes.reshape(-1, 4)
    if box.format == "xyxy":
        boxes[:, 2:] -= boxes[:, :2]
    elif box.format == "cxcywh":
        boxes[:, :2] -= boxes[:, 2:] / 2
    return boxes
