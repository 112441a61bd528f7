"""The two kinds of property: a word out of an ordered list, or a vector of bounded numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from nsi_cli.support.errors import SchemaError
from nsi_cli.support.options import did_you_mean

MISSING_ID = -1
"""The id of a categorical value that is not known."""

MOST = 1 << 16
"""The largest `Continuous.size` and the most objects of a scene."""


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
        listed = isinstance(self.values, Iterable) and not isinstance(self.values, str)
        object.__setattr__(self, "values", tuple(self.values) if listed else ())
        wrong = [value for value in self.values if not isinstance(value, str) or not value]
        if wrong or not self.values or len(set(self.values)) != len(self.values):
            raise SchemaError(
                f"property '{self.name}': values must be a list of different non-empty texts",
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
        if not is_count(self.size):
            raise SchemaError(
                f"property '{self.name}': size must be a whole number from 1 to {MOST:,}",
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
        parts = _parts(bound)
        parts = parts * self.size if len(parts) == 1 else parts
        numbers = _finite(parts)
        if not len(parts) == len(numbers) == self.size:
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
        parts = _parts(value)
        numbers = _finite(parts)
        if not len(parts) == len(numbers) == self.size:
            raise SchemaError(
                f"{self.name}: {value!r} is not {_numbers(self.size)}",
                "use None for a value that is not known",
            )
        return numbers

    def decode(self, numbers: Sequence[float]) -> float | tuple[float, ...] | None:
        """The value of its components: a number, a tuple of them, or None if missing.

        Raises `SchemaError` for what `encode` never gives, such as a NaN among numbers.
        """
        values = tuple(float(number) for number in numbers)
        if len(values) == self.size and all(map(math.isnan, values)):
            return None
        if len(values) != self.size or not all(map(math.isfinite, values)):
            raise SchemaError(
                f"{self.name}: {values} is not {_numbers(self.size)}",
                "a missing value is NaN in every component",
            )
        return values[0] if self.size == 1 else values


Property = Categorical | Continuous


def is_count(value: object) -> bool:
    """Whether a value is a whole number from 1 to `MOST`; True is none."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST


def _parts(value: Any) -> tuple[Any, ...]:
    """A number, or the numbers of a sequence or array, as a tuple of whatever it holds."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return tuple(value.tolist())
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    return tuple(value) if listed else (value,)


_LARGEST = float(np.finfo(np.float32).max)
_NUMBERS = (int, float, np.integer, np.floating)


def _finite(parts: Sequence[Any]) -> tuple[float, ...]:
    """Those that are numbers, finite in float32 (which is what a primitive holds)."""
    numbers = []
    for part in parts:
        if isinstance(part, _NUMBERS) and not isinstance(part, bool):
            with suppress(OverflowError):
                numbers.append(float(part))
    return tuple(number for number in numbers if abs(number) <= _LARGEST)


def _numbers(count: int) -> str:
    return "a finite number" if count == 1 else f"{count} finite numbers"


def _short(values: Sequence[str], most: int = 8) -> str:
    more = f", … ({len(values)} in all)" if len(values) > most else ""
    return ", ".join(values[:most]) + more
