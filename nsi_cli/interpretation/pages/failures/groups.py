"""Pointing of kinds of objects, from an evaluation, for bars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MOST_GROUPS = 24
"""A property with more groups is left out."""

_TITLES = {
    "visible": "share of the image that the object covers",
    "crowding": "distance to the nearest other object, as a share of the image’s side",
}


@dataclass(frozen=True)
class GroupBar:
    """The pointing of the objects of a group, with its 95 % interval."""

    name: str
    objects: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class GroupedPointing:
    """The groups of one property."""

    title: str
    bars: tuple[GroupBar, ...]


def grouped_pointing(result: dict[str, Any]) -> list[GroupedPointing]:
    """The groups of an evaluation; none if it has none."""
    groups = (result.get("grounding") or {}).get("by_group") or {}
    found = (
        GroupedPointing(_TITLES.get(name, name), tuple(_bars(members)))
        for name, members in groups.items()
        if len(members) <= MOST_GROUPS
    )
    return [one for one in found if one.bars]


def _bars(members: dict[str, Any]) -> Iterator[GroupBar]:
    for name, measured in members.items():
        pointing = measured.get("pointing")
        if pointing:
            low, high = pointing["ci95"]
            yield GroupBar(name, measured["objects"], pointing["value"], low, high)
