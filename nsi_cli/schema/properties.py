"""The two kinds of property: categorical values and vectors of bounded numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nsi_cli.support.errors import SchemaError
from nsi_cli.support.options import did_you_mean

MISSING_ID = -1
"""The id of an unknown categorical value."""

MAX_COUNT = 1 << 16
"""The largest `Continuous.size` and the largest `Schema.max_objects`."""


@dataclass(frozen=True)
class Categorical:
    """An attribute that takes one of ``values``; the id of a value is its index.

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
                f"property '{self.name}': values must be a list of distinct, non-empty strings",
                "list each value once, in the order of the ids",
            )

    @property
    def columns(self) -> int:
        """The number of its columns in a primitive: one, for the id."""
        return 1

    def encode(self, value: str | None) -> int:
        """Return the id of a value, −1 for None. Raises `SchemaError` for an unknown value."""
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
        """Return the value of an id, None for −1. Raises `SchemaError` for any other id."""
        if index == MISSING_ID:
            return None
        if not (float(index).is_integer() and 0 <= index < len(self.values)):
            raise SchemaError(
                f"property '{self.name}' has no value with id {index:g}",
                f"ids are 0 to {len(self.values) - 1}; −1 means a missing value",
            )
        return self.values[int(index)]


@dataclass(frozen=True)
class Continuous:
    """An attribute of ``size`` numbers, each expected between ``low`` and ``high``.

    ``low`` and ``high`` are one number for all components, or one for each. The schema encoder uses
    them to normalise values. Finite values outside the bounds are allowed, because the ranges
    that datasets state are rarely exact.
    """

    name: str
    size: int = 1
    low: float | tuple[float, ...] = 0.0
    high: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not is_count(self.size):
            raise SchemaError(
                f"property '{self.name}': size must be a whole number from 1 to {MAX_COUNT:,}",
                "size is the number of components of a value",
            )
        for name in ("low", "high"):
            bound = getattr(self, name)
            parts = _parts(bound)
            numbers = _numbers(parts * self.size if len(parts) == 1 else parts, self.size)
            if numbers is None:
                raise SchemaError(
                    f"property '{self.name}': a bound must be one finite number, or one for each "
                    f"of {self.size} components",
                    f"got {bound!r}",
                )
            object.__setattr__(self, name, numbers)
        lows, highs = (np.array(ends, np.float32) for ends in (self.lows, self.highs))
        if not (lows < highs).all():
            raise SchemaError(
                f"property '{self.name}': low must be below high in every component (as float32)",
                f"got low {self.low} and high {self.high}",
            )

    @property
    def lows(self) -> tuple[float, ...]:
        """The lower bound of each component."""
        return _parts(self.low)

    @property
    def highs(self) -> tuple[float, ...]:
        """The upper bound of each component."""
        return _parts(self.high)

    @property
    def columns(self) -> int:
        """The number of its columns in a primitive: its size."""
        return self.size

    def encode(self, value: float | Sequence[float] | None) -> tuple[float, ...]:
        """Return the components of a value, NaN for None. Raises `SchemaError` if it is invalid."""
        if value is None:
            return (math.nan,) * self.size
        numbers = _numbers(_parts(value), self.size)
        if numbers is None:
            raise SchemaError(
                f"{self.name}: {value!r} is not {self._expected}", "use None for an unknown value"
            )
        return numbers

    def decode(self, numbers: Sequence[float]) -> float | tuple[float, ...] | None:
        """Return the value of components: a number, a tuple of numbers, or None if missing.

        Raises `SchemaError` for components that `encode` never returns, such as a single NaN.
        """
        values = tuple(float(number) for number in numbers)
        if len(values) == self.size and all(map(math.isnan, values)):
            return None
        if len(values) != self.size or not all(map(math.isfinite, values)):
            raise SchemaError(
                f"{self.name}: {values} is not {self._expected}",
                "a missing value is NaN in every component",
            )
        return values[0] if self.size == 1 else values

    @property
    def _expected(self) -> str:
        return "a finite number" if self.size == 1 else f"{self.size} finite numbers"


Property = Categorical | Continuous


def is_count(value: object) -> bool:
    """Whether a value is an integer from 1 to `MAX_COUNT`, and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_COUNT


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise SchemaError(
            f"a property's name must be a non-empty string, not {name!r}",
            "use the dataset's name for the attribute, for example 'shape'",
        )


def _parts(value: Any) -> tuple[Any, ...]:
    """Return the items of a sequence or 1-D array; any other value as the only item."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return tuple(value.tolist())
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    return tuple(value) if listed else (value,)


def _numbers(parts: Sequence[Any], count: int) -> tuple[float, ...] | None:
    """Return ``count`` numbers; None unless all are finite as float32, a primitive's type."""
    kinds, largest = (int, float, np.integer, np.floating), float(np.finfo(np.float32).max)
    if len(parts) != count or not all(isinstance(part, kinds) for part in parts):
        return None
    if any(isinstance(part, bool) or not abs(part) <= largest for part in parts):
        return None
    return tuple(map(float, parts))


def _short(values: Sequence[str], limit: int = 8) -> str:
    more = f", … ({len(values)} values)" if len(values) > limit else ""
    return ", ".join(values[:limit]) + more
