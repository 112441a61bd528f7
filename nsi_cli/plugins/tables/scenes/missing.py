"""Lines about the values that the objects of a table lack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from reprlib import repr  # shortens long values

from nsi_cli.plugins.tables.cells import is_missing, number, vector
from nsi_cli.plugins.tables.scenes.values import missing_texts
from nsi_cli.plugins.tables.table import Cell, Table
from nsi_cli.plugins.tables.table_schema import TableBox, TableSchema


def missing_notes(table: Table, how: TableSchema, rows: Sequence[int]) -> Iterator[str]:
    """Yield a line with the missing values of each column, and one for each damaged box column.

    ``rows`` are the rows of objects.
    """
    texts = _texts_by_column(how)
    counts = {
        name: sum(is_missing(cells[row], texts[name]) for row in rows)
        for name, cells in table.columns.items()
        if name in texts
    }
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    if listed:
        yield f"missing values among {len(rows):,} objects: {listed} (stored as missing)"
    for name in how.box.columns if how.box else ():
        yield from _not_numbers(table, name, how, rows)


def _texts_by_column(how: TableSchema) -> dict[str, frozenset[str]]:
    """Return the texts of missing values in each column of a property or a box."""
    texts = {name: frozenset(how.missing) for name in (how.box.columns if how.box else ())}
    for item in how.properties.values():
        texts |= dict.fromkeys(item.columns, missing_texts(item, how.missing))
    return texts


def _not_numbers(table: Table, name: str, how: TableSchema, rows: Sequence[int]) -> Iterator[str]:
    """Yield a line if a column of boxes has cells that are neither numbers nor missing."""
    assert how.box is not None
    cells, missing = table.columns[name], frozenset(how.missing)
    wrong = [
        row
        for row in rows
        if not is_missing(cells[row], missing) and not _is_of_box(cells[row], how.box)
    ]
    if not wrong:
        return
    whole = len(how.box.columns) > 1
    if len(wrong) == 1:
        subject = f"1 cell is not {'a number' if whole else 'a list of four numbers'}"
    else:
        what = "numbers" if whole else "lists of four numbers"
        subject = f"{len(wrong):,} cells are not {what}"
    verb = "its object is" if len(wrong) == 1 else "their objects are"
    place, value = table.place(wrong[0]), repr(cells[wrong[0]])
    yield (
        f"warning: column {name}: {subject}, the first in {place} of {table.name}: {value}; "
        f"{verb} stored without {' and '.join(how.box.properties)}"
    )


def _is_of_box(cell: Cell, box: TableBox) -> bool:
    """Whether a cell has the number, or the list of four numbers, of a box."""
    if len(box.columns) > 1:
        return number(cell) is not None
    return len(vector(cell) or ()) == 4
