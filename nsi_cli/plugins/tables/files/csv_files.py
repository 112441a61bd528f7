"""Reading CSV and its relatives: any common delimiter, UTF-8, UTF-16 or Windows-1252.

The csv module of Python does the parsing. It reads everything as text, which the inference needs:
a library that guesses types first would already have turned the code "007" into the number 7.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from nsi_cli.plugins.tables.table import Cell, Table
from nsi_cli.support.errors import DataError

DELIMITERS = ",;\t|"

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SAMPLE = 100  # rows that the delimiter is chosen by
_HAS_COMMA = re.compile(r"[+-]?\d+,\d+")
_HAS_NO_COMMA = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


class _Row(NamedTuple):
    """A row: its first and its last line in the file, which differ if a field has several lines."""

    first: int
    last: int
    fields: list[str]


def parse_csv(name: str, data: bytes) -> Table:
    """Return the table in a file's content; its first line names the columns.

    Raises `DataError` for a file without a header, with rows of different lengths, or with two
    columns of one name.
    """
    text, notes = _decoded(name, data)
    delimiter = _delimiter(text)
    rows = _checked_rows(name, text, delimiter)
    if not rows:
        raise DataError(f"{name} is empty", "it needs a line of column names and a row per object")
    header, *rest = rows
    names = _names(name, header.fields)
    for row in rest:
        _check_length(name, row, len(names))
    shared: dict[str, str] = {}
    columns: dict[str, list[Cell]] = {
        column: [shared.setdefault(row.fields[index], row.fields[index]) for row in rest]
        for index, column in enumerate(names)
    }
    if delimiter != ",":
        notes += _without_decimal_commas(columns)
    return Table(name, columns, tuple(notes), lines=[row.first for row in rest])


def _checked_rows(name: str, text: str, delimiter: str) -> list[_Row]:
    """Return all rows. Raises `DataError`, also if a quote is not closed."""
    rows: list[_Row] = []
    try:
        for row in _rows(text, delimiter):
            rows.append(row)
    except csv.Error as error:
        line = rows[-1].last + 1 if rows else 1
        raise DataError(
            f"{name} cannot be read from line {line} on: {error}",
            "check whether a quote there is not closed",
        ) from None
    lines = list(io.StringIO(text, newline=""))
    for row in [row for row in rows if row.last > row.first] + rows[-1:]:
        fault = _quote_fault(lines[row.first - 1 : row.last], delimiter)
        if fault and (row.last > row.first or "end of data" in fault):
            raise DataError(
                f"{name}: a quote in line {row.first} is not closed", "close it, or remove it"
            )
    return rows


def _quote_fault(lines: list[str], delimiter: str) -> str:
    """Return what is wrong with the quotes in the lines of a row; "" if nothing is."""
    try:
        list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        return str(error)
    return ""


def _check_length(name: str, row: _Row, columns: int) -> None:
    """Raise `DataError` if a row does not have a field for each column."""
    count = len(row.fields)
    if count == columns:
        return
    if row.last > row.first:
        raise DataError(
            f"{name}: a quote in line {row.first} is closed only in line {row.last}, and the row "
            f"has {count} fields, but there are {columns} columns",
            f"close the quote in line {row.first}, or remove it",
        )
    raise DataError(
        f"{name}: line {row.first} has {count} fields, but there are {columns} columns",
        "put fields that contain the delimiter in quotes",
    )


def _decoded(name: str, data: bytes) -> tuple[str, list[str]]:
    """Return the text of a file, and notes about its encoding."""
    encoding = next((known for bom, known in _BOMS.items() if data.startswith(bom)), "")
    if not encoding and b"\0" in data[:1000]:  # UTF-16 of mostly Latin letters has many zeros
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding:
            raise DataError(
                f"{name} is not valid {encoding}: {error.reason}", "save it as UTF-8"
            ) from None
        note = f"{name} is not UTF-8: read as Windows-1252; if letters are wrong, save it as UTF-8"
        return data.decode("cp1252", errors="replace"), [note]
    return text, [f"{name}: read as UTF-16"] if encoding.startswith("utf-16") else []


def _delimiter(text: str) -> str:
    """Return the delimiter by which rows have the most fields, of those that suit most rows."""

    def quality(delimiter: str) -> tuple[float, int]:
        try:
            counts = [len(row.fields) for row in islice(_rows(text, delimiter), _SAMPLE)]
        except csv.Error:
            return 0.0, 0
        if not counts or counts[0] == 1:
            return 0.0, 0
        return sum(count == counts[0] for count in counts) / len(counts), counts[0]

    return max(DELIMITERS, key=quality)


def _rows(text: str, delimiter: str) -> Iterator[_Row]:
    """Yield each row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    first = 1
    for fields in reader:
        if any(field.strip() for field in fields):
            yield _Row(first, reader.line_num, fields)
        first = reader.line_num + 1


def _names(name: str, header: list[str]) -> list[str]:
    """Return the names of the columns. Raises `DataError` if the header looks like data."""
    names = [" ".join(field.split()) for field in header]
    names = [name or f"column {number}" for number, name in enumerate(names, start=1)]
    if any(_HAS_NO_COMMA.fullmatch(field) for field in names):
        raise DataError(
            f"{name}: its first line has numbers, so it is not a line of column names",
            "add a first line that names the columns, for example: image,shape,x,y",
        )
    for column in names:
        if names.count(column) > 1:
            raise DataError(f"{name}: two columns are called '{column}'", "rename one of them")
    return names


def _without_decimal_commas(columns: dict[str, list[Cell]]) -> list[str]:
    """Replace decimal commas by points in columns of numbers; return a note if there are any."""
    changed = []
    for name, cells in columns.items():
        texts = [str(cell).strip() for cell in cells if str(cell).strip()]
        commas = [text for text in texts if _HAS_COMMA.fullmatch(text)]
        others = [text for text in texts if not _HAS_COMMA.fullmatch(text)]
        if commas and all(_HAS_NO_COMMA.fullmatch(text) for text in others):
            columns[name] = [str(cell).replace(",", ".") for cell in cells]
            changed.append(name)
    return [f"decimal commas in {', '.join(changed)}"] if changed else []
