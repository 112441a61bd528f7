"""What kind of property a column is, as a person would decide it, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nsi_cli.plugins.tables import names
from nsi_cli.plugins.tables.cells import (
    is_code,
    is_date,
    is_missing,
    number,
    vector,
    word,
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
_SENTENCE = 3  # spaces in a text
_BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"0", "1"}, {"on", "off"})
_SENTINELS = {-1.0, -9.0, -99.0, -999.0, -9999.0, 999.0, 9999.0, 99999.0}


@dataclass(frozen=True)
class Verdict:
    """A property, or None if the column is left out; the reason; and what a person should know."""

    found: TableProperty | None
    reason: str
    warnings: tuple[str, ...] = ()


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
    words = Counter(map(word, known))
    if not known:
        return Verdict(None, "empty")
    limit = max_values or _limit(len(known))
    if forced == "categorical":
        return _categorical(name, words, "as asked for", merge_spellings)
    if forced == "continuous":
        return _continuous(name, cells, "as asked for")
    if len(words) == 1:
        again = "; " + _ask("categorical", name, "keeps it") if len(known) < len(cells) else ""
        return Verdict(None, f"the same value in all rows: {next(iter(words))!r}{again}")
    rules: tuple[Callable[[], Verdict | None], ...] = (
        lambda: _identifier(name),
        lambda: _time(name, known),
        lambda: _boolean(name, words),
        lambda: _vector(name, cells, known),
        lambda: _numbers(name, cells, known, words, limit, merge_spellings),
    )
    for rule in rules:
        if (verdict := rule()) is not None:
            return verdict
    return _text(name, known, words, limit, merge_spellings)


def _limit(rows: int) -> int:
    return MANY if rows <= _SHORT_TABLE else min(MANY, rows // 2)


def _identifier(name: str) -> Verdict | None:
    if not names.means_id(name):
        return None
    return Verdict(None, "an identifier, by its name; " + _ask("categorical", name, "keeps it"))


def _time(name: str, known: Sequence[Cell]) -> Verdict | None:
    numbers = all(number(cell) is not None for cell in known)
    if all(map(is_date, known)) or (numbers and names.means_time(name)):
        return Verdict(None, "dates or times, which an image does not show")
    return None


def _boolean(name: str, words: Counter[str]) -> Verdict | None:
    if {text.lower() for text in words} not in _BOOLEANS or len(words) != 2:
        return None
    return _categorical(name, words, f"two values, {' and '.join(sorted(words))}", False)


def _vector(name: str, cells: Sequence[Cell], known: Sequence[Cell]) -> Verdict | None:
    sizes = {len(value) if (value := vector(cell)) else 0 for cell in known}
    if len(sizes) == 1 and sizes != {0}:
        return _continuous(name, cells, f"lists of {sizes.pop()} numbers")
    if any(isinstance(cell, list) for cell in known):
        return Verdict(None, "lists that are not vectors of one length")
    return None


def _numbers(
    name: str,
    cells: Sequence[Cell],
    known: Sequence[Cell],
    words: Counter[str],
    limit: int,
    merge_spellings: bool,
) -> Verdict | None:
    """Return the verdict on a column of numbers; None if it is one of words."""
    values = [value for cell in known if (value := number(cell)) is not None]
    others = sorted({word(cell) for cell in known if number(cell) is None})
    if any(map(is_code, known)) or not values:
        return None
    if others and (len(values) < _MOSTLY * len(known) or len(others) > 3):
        return None
    different = len(set(values))
    whole = all(value.is_integer() for value in values)
    if whole and not others and names.means_category(name) and different <= limit:
        reason = f"{different} different numbers; by its name, codes of categories"
        return _categorical(name, words, reason, merge_spellings)
    if not names.means_quantity(name) and not others:
        if whole and _is_row_number(values):
            return Verdict(None, f"a row number; {_ask('continuous', name, 'keeps it')}")
        few, times = (FEW, 2) if whole else (_FEW_FRACTIONS, 10)
        if different <= few and len(values) >= times * different:
            reason = f"{different} different numbers; {_ask('continuous', name, 'changes it')}"
            return _categorical(name, words, reason, merge_spellings)
    verdict = _continuous(name, cells, f"{different} different numbers", others)
    if whole and different == len(values) > FEW and not names.means_quantity(name):
        question = f"{name}: whole numbers that are all different; if they are identifiers, "
        verdict = Verdict(
            verdict.found,
            verdict.reason,
            (*verdict.warnings, question + _ask("leave-out", name, "drops them")),
        )
    return verdict


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


def _text(
    name: str, known: Sequence[Cell], words: Counter[str], limit: int, merge_spellings: bool
) -> Verdict:
    many, count = len(words), len(known)
    sentences = sum(text.count(" ") * times for text, times in words.items()) >= _SENTENCE * count
    if many <= limit and not (sentences and many > count / 2):
        kind = "words" if not any(map(is_code, known)) else "codes"
        return _categorical(name, words, f"{many} different {kind}", merge_spellings)
    remedy = (
        f"--max-values {many} keeps it" if many > limit else _ask("categorical", name, "keeps it")
    )
    what = "free text" if sentences else f"{many:,} different words in {count:,} rows"
    return Verdict(None, f"{what}; {remedy}", (f"{name} is left out: {what}; {remedy}",))


def _categorical(name: str, words: Counter[str], reason: str, merge_spellings: bool) -> Verdict:
    groups = near_duplicates(words)
    spellings = merged(groups) if merge_spellings else {}
    values = sorted(set(words) - set(spellings), key=_order)
    found = TableProperty("categorical", (name,), tuple(values), spellings)
    if not groups or merge_spellings:
        return Verdict(found, reason)
    shown = "; ".join(
        " and ".join(f"'{text}' ({words[text]})" for text in group) for group in groups[:3]
    )
    warning = f"{name}: similar spellings: {shown}; --merge-spellings reads each group as one value"
    return Verdict(found, reason, (warning,))


def _order(text: str) -> tuple[int, float, str]:
    """The key that sorts numbers by value, before words."""
    value = number(text)
    return (1, 0.0, text) if value is None else (0, value, text)


def _ask(flag: str, name: str, effect: str) -> str:
    quoted = name if re.fullmatch(r"[\w.-]+", name) else f"'{name}'"
    return f"--{flag} {quoted} {effect}"
