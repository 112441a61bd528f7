"""What kind of property a column is, as a person would decide it, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nsi_cli.plugins.tables import names
from nsi_cli.plugins.tables.cells import (
    is_code,
    is_date,
    is_missing,
    number,
    vector,
    word,
    word_order,
)
from nsi_cli.plugins.tables.inference.spellings import merged, near_duplicates
from nsi_cli.plugins.tables.table import Cell
from nsi_cli.plugins.tables.table_schema import TableProperty

FEW = 20
"""Whole numbers with at most so many different values are read as categories."""
MANY = 1000
"""Columns with more different words than this are left out, unless asked for."""

_FEW_FRACTIONS = 5
_SHORT_TABLE = 40  # rows; in fewer, each word may occur once
_MOSTLY = 0.9  # the share of numbers in a column of numbers with some words
_FEW_WORDS = 3  # different words in such a column
_SENTENCE = 3  # spaces in a text
_BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"0", "1"}, {"on", "off"})
_SENTINELS = {-1.0, -9.0, -99.0, -999.0, -9999.0, 999.0, 9999.0, 99999.0}


@dataclass(frozen=True)
class Verdict:
    """A property, or None if the column is left out; the reason; and notes for the user."""

    found: TableProperty | None
    reason: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Column:
    """A column, its cells with a value, and the number of rows of each word."""

    name: str
    cells: Sequence[Cell]
    known: Sequence[Cell]
    words: Counter[str]
    limit: int  # the most different words of a category
    merge_spellings: bool

    def categorical(self, reason: str) -> Verdict:
        return _categorical(self.name, self.words, reason, self.merge_spellings)


def judge(
    name: str,
    cells: Sequence[Cell],
    *,
    forced: str = "",
    max_values: int = 0,
    merge_spellings: bool = False,
) -> Verdict:
    """Return the verdict on a column.

    ``forced`` is "categorical", "continuous" or empty. ``max_values`` is the most different words
    of a category; 0 is `MANY`, or half the rows of a long table.
    """
    known = [cell for cell in cells if not is_missing(cell)]
    limit = max_values or _limit(len(known))
    column = _Column(name, cells, known, Counter(map(word, known)), limit, merge_spellings)
    if not known:
        return Verdict(None, "empty")
    if forced == "categorical":
        return column.categorical("as asked for")
    if forced == "continuous":
        return _continuous(name, cells, "as asked for")
    for rule in (_one_value, _identifier, _time, _boolean, _vector, _numbers):
        if (verdict := rule(column)) is not None:
            return verdict
    return _text(column)


def _limit(rows: int) -> int:
    return MANY if rows <= _SHORT_TABLE else min(MANY, rows // 2)


def _one_value(column: _Column) -> Verdict | None:
    if len(column.words) > 1:
        return None
    has_missing = len(column.known) < len(column.cells)
    again = "; " + _ask("categorical", column.name, "keeps it") if has_missing else ""
    return Verdict(None, f"the same value in all rows: {next(iter(column.words))!r}{again}")


def _identifier(column: _Column) -> Verdict | None:
    if not names.means_id(column.name):
        return None
    question = _ask("categorical", column.name, "keeps it")
    return Verdict(None, f"an identifier, by its name; {question}")


def _time(column: _Column) -> Verdict | None:
    numbers = all(number(cell) is not None for cell in column.known)
    if all(map(is_date, column.known)) or (numbers and names.means_time(column.name)):
        return Verdict(None, "dates or times, which an image does not show")
    return None


def _boolean(column: _Column) -> Verdict | None:
    words = sorted(column.words)
    if len(words) != 2 or {text.lower() for text in words} not in _BOOLEANS:
        return None
    return column.categorical(f"two values, {' and '.join(words)}")


def _vector(column: _Column) -> Verdict | None:
    sizes = {len(value) if (value := vector(cell)) else 0 for cell in column.known}
    if len(sizes) == 1 and sizes != {0}:
        return _continuous(column.name, column.cells, f"lists of {sizes.pop()} numbers")
    if any(isinstance(cell, list) for cell in column.known):
        return Verdict(None, "lists that are not vectors of one length")
    return None


def _numbers(column: _Column) -> Verdict | None:
    """Return the verdict on a column of numbers; None if it is one of words."""
    values = [value for cell in column.known if (value := number(cell)) is not None]
    others = sorted({word(cell) for cell in column.known if number(cell) is None})
    if any(map(is_code, column.known)) or not values:
        return None
    if others and (len(values) < _MOSTLY * len(column.known) or len(others) > _FEW_WORDS):
        return None
    verdict = None if others else _codes(column, values)
    if verdict is not None:
        return verdict
    different = len(set(values))
    verdict = _continuous(column.name, column.cells, f"{different} different numbers", others)
    all_differ = different == len(values) > FEW and all(value.is_integer() for value in values)
    if not all_differ or names.means_quantity(column.name):
        return verdict
    question = _ask("leave-out", column.name, "drops them")
    warning = f"{column.name}: whole numbers that all differ; if they are identifiers, {question}"
    return Verdict(verdict.found, verdict.reason, (*verdict.warnings, warning))


def _codes(column: _Column, values: Sequence[float]) -> Verdict | None:
    """Return the verdict on numbers that are no quantities; None if they are."""
    name, different = column.name, len(set(values))
    whole = all(value.is_integer() for value in values)
    if whole and names.means_category(name) and different <= column.limit:
        return column.categorical(f"{different} different numbers; by its name, codes")
    if names.means_quantity(name):
        return None
    if whole and _is_row_number(values):
        return Verdict(None, f"a row number; {_ask('continuous', name, 'keeps it')}")
    few, times = (FEW, 2) if whole else (_FEW_FRACTIONS, 10)
    if different > few or len(values) < times * different:
        return None
    question = _ask("continuous", name, "reads them as quantities")
    return column.categorical(f"{different} different numbers; {question}")


def _is_row_number(values: Sequence[float]) -> bool:
    """Whether numbers are all different, without gaps, and many."""
    different = len(set(values)) == len(values) > FEW
    return different and max(values) - min(values) == len(values) - 1


def _continuous(
    name: str, cells: Sequence[Cell], reason: str, missing: Sequence[str] = ()
) -> Verdict:
    """Return a continuous property with the bounds of the data."""
    rows = [
        value
        for cell in cells
        if not is_missing(cell) and (value := vector(cell) or _single(cell)) is not None
    ]
    if not rows or len({len(row) for row in rows}) > 1:
        return Verdict(None, "no numbers")
    property_, warnings = continuous_of((name,), rows)
    found = TableProperty(
        "continuous", property_.columns, low=property_.low, high=property_.high,
        missing=tuple(text.lower() for text in missing),
    )  # fmt: skip
    if missing:
        quoted = ", ".join(map(repr, missing))
        warnings.append(f"{name}: numbers, but also {quoted}, read as missing; "
                        + _ask("categorical", name, "reads all as words"))  # fmt: skip
    return Verdict(found, reason, tuple(warnings))


def continuous_of(
    columns: tuple[str, ...], rows: Sequence[tuple[float, ...]]
) -> tuple[TableProperty, list[str]]:
    """Return a continuous property with the bounds of its values, and warnings about them.

    A component that is the same in all rows gets a range of 1, because bounds must differ.
    """
    parts = list(zip(*rows, strict=True))
    low = tuple(min(part) for part in parts)
    high = tuple(max(part) if max(part) > min(part) else min(part) + 1 for part in parts)
    warnings = [line for part in parts for line in _sentinel(columns[0], part)]
    return TableProperty("continuous", columns, low=low, high=high), warnings


def _single(cell: Cell) -> tuple[float, ...] | None:
    value = number(cell)
    return None if value is None else (value,)


def _sentinel(name: str, values: Sequence[float]) -> list[str]:
    """Return a warning about a number such as −999 that lies apart and may mean a missing value."""
    counts = Counter(values)
    for value in (min(counts), max(counts)):
        rest = [other for other in counts if other != value]
        if value not in _SENTINELS or counts[value] < 2 or len(rest) < 3:
            continue
        if min(abs(value - other) for other in rest) > max(rest) - min(rest):
            return [
                f"{name}: {value:g} occurs {counts[value]} times, far from all others; if it means "
                f"a missing value, add '{value:g}' to its 'missing' in the schema file"
            ]
    return []


def _text(column: _Column) -> Verdict:
    words, rows = column.words, len(column.known)
    many = len(words)
    sentences = sum(text.count(" ") * count for text, count in words.items()) >= _SENTENCE * rows
    if many <= column.limit and not (sentences and many > rows / 2):
        kind = "codes" if any(map(is_code, column.known)) else "words"
        return column.categorical(f"{many} different {kind}")
    too_many = many > column.limit
    asked = _ask("categorical", column.name, "keeps it")
    remedy = f"--max-values {many} keeps it" if too_many else asked
    what = "free text" if sentences else f"{many:,} different words in {rows:,} rows"
    warning = f"{column.name} is left out: {what}; {remedy}"
    return Verdict(None, f"{what}; {remedy}", (warning,))


def _categorical(name: str, words: Counter[str], reason: str, merge_spellings: bool) -> Verdict:
    groups = near_duplicates(words)
    spellings = merged(groups) if merge_spellings else {}
    values = sorted(set(words) - set(spellings), key=word_order)
    found = TableProperty("categorical", (name,), tuple(values), spellings)
    if not groups or merge_spellings:
        return Verdict(found, reason)
    shown = "; ".join(
        " and ".join(f"'{text}' ({words[text]})" for text in group) for group in groups[:3]
    )
    warning = f"{name}: similar spellings: {shown}; --merge-spellings reads each group as one value"
    return Verdict(found, reason, (warning,))


def _ask(flag: str, name: str, effect: str) -> str:
    quoted = name if re.fullmatch(r"[\w.-]+", name) else f"'{name}'"
    return f"--{flag} {quoted} {effect}"
