"""The gallery: for each value of a property, the slots of the split that show it most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.interpretation.pages.crops import cut
from nsi_cli.interpretation.pages.pictures import photo_uri
from nsi_cli.interpretation.plots import Pixels
from nsi_cli.interpretation.query import Query
from nsi_cli.interpretation.search import Match, Search
from nsi_cli.schema import Schema

MOST_VALUES = 24
"""The most values of a property that have a shelf: the first ones of its vocabulary."""

GALLERY_SLOTS = 8
"""The most slots of a shelf."""


@dataclass(frozen=True)
class Crop:
    """A slot of a scene: the part of the image that it takes."""

    picture: str  # a data URI
    scene: str
    score: float
    right: bool  # its peak lies on an object with the value; without true masks, the scene has one


@dataclass(frozen=True)
class Shelf:
    """The slots that show one value most, best first."""

    value: str
    scenes: int  # that have an object with the value
    crops: tuple[Crop, ...]

    @property
    def right(self) -> int:
        """How many of the crops are right."""
        return sum(crop.right for crop in self.crops)


@dataclass(frozen=True)
class Gallery:
    """The shelves of one property."""

    name: str
    shelves: tuple[Shelf, ...]
    left_out: int  # values without a shelf


def value_searches(
    schema: Schema,
    seen: Schema,
    encode: EncodePrimitives,
    top: int,
    excluded: Sequence[str] = (),
) -> list[Search]:
    """A search for each value of each categorical property, `MOST_VALUES` at most of each.

    ``seen`` is the schema with the range of the split's values as bounds.
    """
    return [
        Search(Query(schema, {item.name: value}), seen, encode, top, tuple(excluded))
        for item in schema.categorical
        if item.name not in excluded
        for value in item.values[:MOST_VALUES]
    ]


def galleries(
    schema: Schema,
    searches: Sequence[Search],
    ids: Sequence[str],
    images: Callable[[Sequence[int]], Pixels],
) -> list[Gallery]:
    """The galleries of finished `value_searches`; ``ids`` and ``images`` are those of the split."""
    shelves: dict[str, list[Shelf]] = {}
    for search in searches:
        ((name, value),) = search.query.values.items()
        crops = tuple(_crop(match, ids, images) for match in search.matches)
        shelves.setdefault(name, []).append(Shelf(str(value), search.relevant or 0, crops))
    return [
        Gallery(item.name, tuple(shelves[item.name]), max(0, len(item.values) - MOST_VALUES))
        for item in schema.categorical
        if item.name in shelves
    ]


def _crop(match: Match, ids: Sequence[str], images: Callable[[Sequence[int]], Pixels]) -> Crop:
    image = images([match.index])[0]
    right = match.right if match.on_it is None else match.on_it
    return Crop(photo_uri(cut(image, match.mask)), ids[match.index], match.score, bool(right))
