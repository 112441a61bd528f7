"""The two kinds of property: a word out of an ordered list, or a vector of bounded numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nsi_cli.errors import SchemaError
from nsi_cli.options import did_you_mean

MISSING_ID = -1
"""The id of a categorical value that is not known."""


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise SchemaError(
            f"a property's name must be a non-empty text, not {name!r}",
            "name the attribute as the dataset does, for example 'shape'",
        )


@dataclass(frozen=True)
class Categorical:
    """An attribute that takes one of ``values``; a value's id is its place in that order.

    >>> Categorical("shape", ("cube", "sphere")).encode("sphere")
    1
    """

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_name(self.name)
        object.__setattr__(self, "values", tuple(self.values))
        wrong = [value for value in self.values if not isinstance(value, str) or not value]
        if wrong or not self.values or len(set(self.values)) != len(self.values):
            raise SchemaError(
                f"property '{self.name}': values must be different non-empty texts",
                "give each value once, in the order that its id should have",
            )

    @property
    def columns(self) -> int:
        """How many columns of a primitive it takes: one, the id."""
        return 1

    def encode(self, value: str | None) -> int:
        """The id of a value, −1 for None. Raises `SchemaError` for an unknown value."""
        if value is None:
            return MISSING_ID
        try:
            return self.values.index(value)
        except ValueError:
            near = did_you_mean(str(value), self.values)
            raise SchemaError(
                f"unknown {self.name} '{value}'", near or f"known: {_short(self.values)}"
            ) from None

    def decode(self, index: float) -> str | None:
        """The value of an id, None for −1. Raises `SchemaError` for any other id."""
        if index == MISSING_ID:
            return None
        if not (float(index).is_integer() and 0 <= index < len(self.values)):
            raise SchemaError(
                f"property '{self.name}' has no value of id {index:g}",
                f"ids run from 0 to {len(self.values) - 1}; −1 stands for a missing value",
            )
        return self.values[int(index)]


@dataclass(frozen=True)
class Continuous:
    """An attribute of ``size`` numbers, each expected between ``low`` and ``high``.

    ``low`` and ``high`` are one number for all components, or one for each. They normalise the
    values for the schema encoder; a value outside them is allowed (a dataset's stated range is
    rarely exact), an infinite one is not.
    """

    name: str
    size: int = 1
    low: float | tuple[float, ...] = 0.0
    high: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not isinstance(self.size, int) or self.size < 1:
            raise SchemaError(
                f"property '{self.name}': size must be a whole number of at least 1",
                "size counts the numbers that one value has",
            )
        for bound in ("low", "high"):
            object.__setattr__(self, bound, self._spread(getattr(self, bound)))
        if not all(low < high for low, high in zip(self.lows, self.highs, strict=True)):
            raise SchemaError(
                f"property '{self.name}': low must be below high in every component",
                f"got low {self.low} and high {self.high}",
            )

    def _spread(self, bound: float | Sequence[float]) -> tuple[float, ...]:
        values = (bound,) * self.size if isinstance(bound, int | float) else tuple(bound)
        numbers = tuple(float(value) for value in values)
        if len(numbers) != self.size or not all(map(math.isfinite, numbers)):
            raise SchemaError(
                f"property '{self.name}': a bound must be one finite number, or {self.size}",
                f"got {bound!r}",
            )
        return numbers

    @property
    def lows(self) -> tuple[float, ...]:
        """The lower bound of each component."""
        return self._spread(self.low)

    @property
    def highs(self) -> tuple[float, ...]:
        """The upper bound of each component."""
        return self._spread(self.high)

    @property
    def columns(self) -> int:
        """How many columns of a primitive it takes: its size."""
        return self.size

    def encode(self, value: float | Sequence[float] | None) -> tuple[float, ...]:
        """The value's components, NaN for None. Raises `SchemaError` for anything else."""
        if value is None:
            return (math.nan,) * self.size
        parts = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        numbers = [
            float(part) if isinstance(part, int | float) and not isinstance(part, bool) else None
            for part in parts
        ]
        finite = [number for number in numbers if number is not None and math.isfinite(number)]
        if len(numbers) != self.size or len(finite) != self.size:
            raise SchemaError(
                f"{self.name}: {value!r} is not {self.size} finite number(s)",
                "use None for a value that is not known",
            )
        return tuple(finite)

    def decode(self, numbers: Sequence[float]) -> float | tuple[float, ...] | None:
        """The value of its components: a number, a tuple of them, or None where missing."""
        values = tuple(float(number) for number in numbers)
        if all(map(math.isnan, values)):
            return None
        return values[0] if self.size == 1 else values


Property = Categorical | Continuous


def _short(values: Sequence[str], most: int = 8) -> str:
    more = f", … ({len(values)} in all)" if len(values) > most else ""
    return ", ".join(values[:most]) + more
