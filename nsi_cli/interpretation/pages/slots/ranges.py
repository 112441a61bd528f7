"""Slots along the range of each continuous property, as shelves of crops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.interpretation.pages.crops import cut
from nsi_cli.interpretation.pages.pictures import photo_uri
from nsi_cli.interpretation.plots import Pixels
from nsi_cli.interpretation.query import Query
from nsi_cli.interpretation.search import Match, Search
from nsi_cli.schema import Continuous, Schema

STOPS = 6
"""Number of values along a range."""

STOP_SLOTS = 3
"""The most slots at each value."""

MOST_COMPONENTS = 6
"""A property with more components has no shelf."""


@dataclass(frozen=True)
class RangeCrop:
    """A slot that scores high with a value."""

    picture: str  # a data URI
    scene: str
    score: float
    true: str  # the value of the object under its peak; empty if there is none or it is unknown


@dataclass(frozen=True)
class Stop:
    """A value in the range of a component, and the slots that score highest with it."""

    value: float
    crops: tuple[RangeCrop, ...]


@dataclass(frozen=True)
class Range:
    """A component of a continuous property, from its lowest to its highest value in the split."""

    name: str  # of the property, with the number of the component if there are several
    stops: tuple[Stop, ...]


@dataclass(frozen=True)
class RangeSearch:
    """A search for one value of a component; the other components are open."""

    item: Continuous
    component: int
    value: float
    search: Search

    @property
    def title(self) -> str:
        """The name of the component, for example ``position, 1 of 3``."""
        several = self.item.size > 1
        return self.item.name + (f", {self.component + 1} of {self.item.size}" if several else "")


def range_searches(
    schema: Schema, seen: Schema, encode: EncodePrimitives, excluded: Sequence[str] = ()
) -> list[RangeSearch]:
    """A search for each of `STOPS` values of each component of each continuous property.

    ``seen`` is the schema with the range of the split's values as bounds.
    """
    return [
        RangeSearch(item, component, value, _search(item, component, value, schema, seen, encode,
                                                    tuple(excluded)))
        for item in seen.continuous
        if item.name not in excluded and item.size <= MOST_COMPONENTS
        for component in range(item.size)
        for value in np.linspace(item.lows[component], item.highs[component], STOPS).tolist()
    ]  # fmt: skip


def _search(
    item: Continuous, component: int, value: float, schema: Schema, seen: Schema,
    encode: EncodePrimitives, excluded: tuple[str, ...],
) -> Search:  # fmt: skip
    values = [float("nan")] * item.size
    values[component] = value
    query = Query(schema, {item.name: tuple(values)})
    return Search(query, seen, encode, STOP_SLOTS, excluded)


def ranges(
    searches: Sequence[RangeSearch],
    ids: Sequence[str],
    images: Callable[[Sequence[int]], Pixels],
) -> list[Range]:
    """The shelves of finished `range_searches`; ``ids`` and ``images`` are those of the split."""

    def crops(found: RangeSearch) -> Iterator[RangeCrop]:
        for match in found.search.matches:
            picture = photo_uri(cut(images([match.index])[0], match.mask))
            yield RangeCrop(picture, ids[match.index], match.score, _true_value(found, match))

    stops: dict[str, list[Stop]] = {}
    for found in searches:
        stops.setdefault(found.title, []).append(Stop(found.value, tuple(crops(found))))
    return [Range(title, tuple(row)) for title, row in stops.items()]


def _true_value(found: RangeSearch, match: Match) -> str:
    if match.primitive is None:
        return ""
    column = found.search.query.schema.columns[found.item.name].start + found.component
    value = float(match.primitive[column])
    return "" if np.isnan(value) else f"{value:.2f}"
