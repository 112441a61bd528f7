"""Queries in words, such as ``large sphere whitemarble`` or ``cube position=1,0,0.5``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.candidates import OPEN
from nsi_cli.schema import Categorical, Continuous, Property, Schema
from nsi_cli.support.errors import ConfigError
from nsi_cli.support.options import did_you_mean

_MOST_LISTED = 6

_FEW = 20
"""The most values of a property that an error lists."""


@dataclass(frozen=True)
class Query:
    """The values of some properties of an object; the other properties are open."""

    schema: Schema
    values: Mapping[str, str | tuple[float, ...]]  # by property, in the order of the text

    def __str__(self) -> str:
        return " ".join(
            value
            if isinstance(value, str)
            else f"{name}={','.join(_number_text(part) for part in value)}"
            for name, value in self.values.items()
        )

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """The ids of the categorical properties, `OPEN` for those left open."""
        ids = [
            item.encode(str(self.values[item.name])) if item.name in self.values else OPEN
            for item in self.schema.categorical
        ]
        return np.array(ids, dtype=np.int64)

    @property
    def numbers(self) -> dict[int, float]:
        """The given numbers by their column in a primitive; one that is NaN is open."""
        given: dict[int, float] = {}
        for name, value in self.values.items():
            if not isinstance(value, str):
                start = self.schema.columns[name].start
                parts = enumerate(value, start)
                given |= {column: part for column, part in parts if not np.isnan(part)}
        return given


def parse_query(text: str, schema: Schema, excluded: Sequence[str] = ()) -> Query:
    """Parse a query: values in any order, or ``PROPERTY=VALUE``.

    A value can be shortened to any part that no other value contains; case is ignored. Numbers
    need their property's name, and ``?`` leaves one of several open, as in ``position=?,?,0.5``. A
    value with spaces needs quotes. Raises `ConfigError` if the text
    is not a query, for a word that matches no value or several values, for two values of a
    property, and for an ``excluded`` property.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        raise ConfigError(f"query '{text}' has an open quote", "close the quote") from None
    found: dict[str, str | tuple[float, ...]] = {}
    for word in words:
        name, value = _meaning(word, schema)
        if name in found:
            raise ConfigError(
                f"query '{text}' has two values of {name}", "a query describes a single object"
            )
        found[name] = value
    if not found:
        raise ConfigError("the query is empty", f"for example: {_example(schema)}")
    if unseen := [name for name in found if name in excluded]:
        raise ConfigError(
            f"the run was trained without {', '.join(unseen)}", "leave it out of the query"
        )
    return Query(schema, found)


def _meaning(word: str, schema: Schema) -> tuple[str, str | tuple[float, ...]]:
    """The property and the value that a word of a query stands for. Raises `ConfigError`."""
    name, equals, value = word.partition("=")
    if equals and name in schema.columns:
        return name, _value(schema[name], value)
    meanings = list(_matches(word, schema.categorical))
    if len(meanings) == 1:
        return meanings[0]
    if meanings:
        some = [f"{name}={value}" for name, value in meanings[:_MOST_LISTED]]
        more = f" and {len(meanings) - len(some)} more" if len(meanings) > len(some) else ""
        raise ConfigError(
            f"'{word}' matches several values: {', '.join(some)}{more}", "write one of them"
        )
    if equals:
        near = did_you_mean(name, list(schema.columns))
        raise ConfigError(
            f"no property '{name}' in the schema", near or f"known: {', '.join(schema.columns)}"
        )
    values = [value for item in schema.categorical for value in item.values]
    raise ConfigError(
        f"no property has a value '{word}'",
        " ".join(filter(None, (did_you_mean(word, values), _known(schema)))),
    )


def _matches(word: str, items: tuple[Categorical, ...]) -> Iterator[tuple[str, str]]:
    """The properties and values that equal the word or, if none does, those that contain it."""
    wanted = word.casefold()
    every = [(item.name, value) for item in items for value in item.values]
    same = [(name, value) for name, value in every if value.casefold() == wanted]
    yield from same or [(name, value) for name, value in every if wanted in value.casefold()]


def _value(item: Property, text: str) -> str | tuple[float, ...]:
    """The value of a property that a text stands for. Raises `ConfigError`."""
    if isinstance(item, Continuous):
        parts = text.split(",")
        try:
            numbers = tuple(_number(part) for part in parts)
        except ValueError:
            numbers = ()
        if len(numbers) != item.size or np.isnan(numbers).all():
            wanted = "a number" if item.size == 1 else f"{item.size} numbers separated by commas"
            raise ConfigError(f"{item.name}={text}: expected {wanted}", _example_of(item))
        return numbers
    matches = list(_matches(text, (item,)))
    if len(matches) == 1:
        return matches[0][1]
    near = " ".join(filter(None, (did_you_mean(text, item.values), f"known: {_listed(item)}")))
    several = ", ".join(value for _, value in matches[:_MOST_LISTED])
    raise ConfigError(
        f"'{text}' matches several values of {item.name}: {several}"
        if matches
        else f"{item.name} has no value '{text}'",
        "write more of it" if matches else near,
    )


def _number(text: str) -> float:
    """The number that a text stands for, NaN for ``?``. Raises `ValueError`."""
    if text.strip() == "?":
        return float("nan")
    if not np.isfinite(number := float(text)):
        raise ValueError
    return number


def _number_text(number: float) -> str:
    return "?" if np.isnan(number) else f"{number:g}"


def _known(schema: Schema) -> str:
    """The values of all categorical properties; an example if there is none."""
    if not schema.categorical:
        return f"for example: {_example(schema)}"
    listed = (f"{item.name}: {_listed(item)}" for item in schema.categorical)
    return "; ".join(listed)


def _listed(item: Categorical) -> str:
    """The values of a property, or where to find them if they are many."""
    if len(item.values) <= _FEW:
        return ", ".join(item.values)
    return f"{len(item.values):,} values, listed in schema.json in the run's folder"


def _example(schema: Schema) -> str:
    """A query that fits a schema."""
    words = [item.values[0] for item in schema.categorical[:2]]
    return " ".join(words) or _example_of(schema.properties[0])


def _example_of(item: Property) -> str:
    if isinstance(item, Categorical):
        return f"{item.name}={item.values[0]}"
    middle = [(low + high) / 2 for low, high in zip(item.lows, item.highs, strict=True)]
    return f"{item.name}=" + ",".join(f"{part:g}" for part in middle)
