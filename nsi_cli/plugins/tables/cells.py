"""What a single cell of a table says: missing, a number, a word, a date or a vector."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from functools import lru_cache

from nsi_cli.plugins.tables.table import Cell

MISSING = ("", "na", "n/a", "#n/a", "nan", "null")
"""The texts of a missing value, in lower case. "none" is not one: it can be a category."""

_REMEMBERED = 1 << 16  # texts; columns repeat theirs
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"([+-]?\d+)\.0+")
_CODE = re.compile(r"0\d+")
_DATES = re.compile(
    r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:.*)?"  # 2024-03-01, with or without a time
    r"|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( \d{1,2}:.*)?"  # 1.3.2024, 3/1/24
    r"|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"  # 12:30
)


def is_missing(cell: Cell, missing: Collection[str] = MISSING) -> bool:
    """Whether a cell has no value; ``missing`` are texts in lower case, also of numbers."""
    if isinstance(cell, str):
        return cell.strip().casefold() in missing
    if isinstance(cell, int | float):
        return math.isnan(cell) or f"{cell:g}" in missing
    return cell is None


def number(cell: Cell) -> float | None:
    """Return the finite number in a cell, or None."""
    if isinstance(cell, str):
        return _number_in(cell)
    if not isinstance(cell, int | float) or isinstance(cell, bool):
        return None
    return float(cell) if math.isfinite(cell) else None


@lru_cache(maxsize=_REMEMBERED)
def _number_in(text: str) -> float | None:
    text = text.strip()
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def is_code(cell: Cell) -> bool:
    """Whether a cell has digits that begin with 0, such as 007, which is not a quantity."""
    return isinstance(cell, str) and bool(_CODE.fullmatch(cell.strip()))


def is_date(cell: Cell) -> bool:
    """Whether a cell has a date or a time of day."""
    return isinstance(cell, str) and bool(_DATES.fullmatch(cell.strip()))


def word(cell: Cell) -> str:
    """Return the text of a category: without spaces around it, and 2 for 2.0."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return _word_in(cell) if isinstance(cell, str) else str(cell)


@lru_cache(maxsize=_REMEMBERED)
def _word_in(text: str) -> str:
    text = text.strip()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def word_order(text: str) -> tuple[int, float, str]:
    """Return the key that sorts numbers by value, before words."""
    value = number(text)
    return (1, 0.0, text) if value is None else (0, value, text)


def vector(cell: Cell) -> tuple[float, ...] | None:
    """Return the numbers of a list, also one written as text in brackets; None if it is none."""
    if isinstance(cell, str) and cell.strip()[:1] in ("[", "("):
        text = cell.strip().replace("(", "[").replace(")", "]")
        try:
            cell = json.loads(text)
        except (ValueError, RecursionError):
            return None
    if not isinstance(cell, list) or not cell:
        return None
    numbers = [number(item) for item in cell]
    known = tuple(item for item in numbers if item is not None)
    return known if len(known) == len(numbers) else None
