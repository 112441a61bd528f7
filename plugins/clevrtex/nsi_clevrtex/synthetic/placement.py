"""The positions of objects, by CLEVR's rejection rules, and the relations between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsi_clevrtex.synthetic.shapes import HALF_SIDE, SHAPES

SIZES: dict[str, float] = {"small": 0.4, "medium": 0.6, "large": 0.9}
"""The radius of each size, in world units."""

AREA = 3.0
"""Centres are in (-AREA, AREA) on both ground axes."""

GAP = 0.25
"""The smallest distance between the footprints of two objects."""

MARGIN = 0.4
"""The smallest distance between two centres along each cardinal direction."""

TRIES = 50

RELATION_THRESHOLD = 0.2


@dataclass(frozen=True)
class Placement:
    """An object on the ground: centre x, y, z in world units, rotation about z in degrees."""

    shape: str
    size: str
    centre: tuple[float, float, float]
    rotation: float

    @property
    def radius(self) -> float:
        """The radius in world units."""
        return SIZES[self.size]


def place_objects(
    rng: np.random.Generator, count: int, axes: NDArray[np.float64]
) -> tuple[Placement, ...] | None:
    """Return `count` objects that keep their distance; None if one finds no free position.

    `axes` (2, 2) are two perpendicular cardinal directions on the ground. The rules are checked in
    their coordinates, in plain Python because most candidates fail the first comparison.
    """
    sizes = rng.choice(list(SIZES), count).tolist()
    shapes = rng.choice(list(SHAPES), count).tolist()
    turns = rng.uniform(0.0, 360.0, count).tolist()
    taken: list[tuple[float, float, float]] = []
    placed: list[Placement] = []
    for size, shape, turn in zip(sizes, shapes, turns, strict=True):
        positions = rng.uniform(-AREA, AREA, (TRIES, 2))
        candidates = (positions @ axes.T).tolist()
        free = (
            i for i, (a, b) in enumerate(candidates) if _keeps_distance(a, b, SIZES[size], taken)
        )
        chosen = next(free, None)
        if chosen is None:
            return None
        a, b = candidates[chosen]
        taken.append((a, b, SIZES[size]))
        x, y = positions[chosen].tolist()
        height = SIZES[size] * (HALF_SIDE if shape == "cube" else 1.0)
        placed.append(Placement(shape, size, (x, y, height), turn))
    return tuple(placed)


def _keeps_distance(
    a: float, b: float, radius: float, taken: list[tuple[float, float, float]]
) -> bool:
    for other_a, other_b, other_radius in taken:
        across, along = abs(a - other_a), abs(b - other_b)
        if across < MARGIN or along < MARGIN:
            return False
        if math.hypot(across, along) < radius + other_radius + GAP:
            return False
    return True


def relationships(
    centres: Sequence[Sequence[float]], directions: Mapping[str, Sequence[float]]
) -> dict[str, list[list[int]]]:
    """Return CLEVR's relations: entry [name][i] lists the objects that are `name` of object i."""
    points = np.array(centres)
    related = {}
    for name in ("behind", "front", "left", "right"):
        along = points @ np.array(directions[name])
        ahead = along[None, :] - along[:, None] > RELATION_THRESHOLD
        related[name] = [[int(j) for j in np.flatnonzero(row)] for row in ahead]
    return related
