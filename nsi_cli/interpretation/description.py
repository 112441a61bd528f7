"""An object in words, short enough for a line of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nsi_cli.schema import Categorical, Schema


@dataclass(frozen=True)
class Description:
    """A primitive as text: its words, then its numbers under their names."""

    words: tuple[str, ...]
    numbers: tuple[tuple[str, str], ...]
    known: bool = True  # no word is missing

    @property
    def line(self) -> str:
        """The words in one line; the numbers, if there are no words."""
        return " ".join(self.words) or self.numbers_line

    @property
    def numbers_line(self) -> str:
        """The numbers in one line, each after its name."""
        return ", ".join(f"{name} {text}" for name, text in self.numbers)


def describe(schema: Schema, primitive: npt.NDArray[np.float32]) -> Description:
    """A primitive (W,) as text."""
    values = schema.decode(primitive[None])[0]
    words, numbers = [], []
    for item in schema.properties:
        value = values[item.name]
        if not isinstance(item, Categorical):
            numbers.append((item.name, _as_text(value)))
        else:
            words.append(f"unknown {item.name}" if value is None else value)
    known = all(values[item.name] is not None for item in schema.categorical)
    return Description(tuple(words), tuple(numbers), known)


def _as_text(value: float | Sequence[float] | None) -> str:
    """A continuous value, to two decimals."""
    if value is None:
        return "unknown"
    parts = value if isinstance(value, Sequence) else (value,)
    return " ".join(f"{part:.2f}" for part in parts)
