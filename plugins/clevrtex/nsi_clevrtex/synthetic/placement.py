"""Where objects stand: CLEVR's rejection rules, and the relations that follow from the places."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsi_clevrtex.synthetic.shapes import HALF_SIDE, SHAPES

SIZES: dict[str, float] = {"small": 0.4, "medium": 0.6, "large": 0.9}
"""Name of a size to the radius in world units."""

AREA = 3.0
"""Centres lie in (-AREA, AREA) on both axes of the ground."""

GAP = 0.25
"""Least distance between two objects' footprints."""

MARGIN = 0.4
"""Least distance between two centres along each cardinal direction."""

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
        """In world units."""
        return SIZES[self.size]


def place(
    rng: np.random.Generator, count: int, axes: NDArray[np.float64]
) -> tuple[Placement, ...] | None:
    """`count` objects that keep apart, or None if one found no place in `TRIES` tries.

    `axes` (2, 2) are two perpendicular cardinal directions on the ground. The rules are tested in
    their coordinates, in plain Python: most candidates fail at the first comparison.
    """
    sizes = rng.choice(list(SIZES), count).tolist()
    shapes = rng.choice(list(SHAPES), count).tolist()
    turns = rng.uniform(0.0, 360.0, count).tolist()
    taken: list[tuple[float, float, float]] = []
    placed: list[Placement] = []
    for size, shape, turn in zip(sizes, shapes, turns, strict=True):
        spots = rng.uniform(-AREA, AREA, (TRIES, 2))
        candidates = (spots @ axes.T).tolist()
        free = (i for i, (a, b) in enumerate(candidates) if _keeps_apart(a, b, SIZES[size], taken))
        chosen = next(free, None)
        if chosen is None:
            return None
        a, b = candidates[chosen]
        taken.append((a, b, SIZES[size]))
        x, y = spots[chosen].tolist()
        height = SIZES[size] * (HALF_SIDE if shape == "cube" else 1.0)
        placed.append(Placement(shape, size, (x, y, height), turn))
    return tuple(placed)


def _keeps_apart(
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
    """CLEVR's relations: entry [name][i] lists the objects (from 0) that lie `name` of object i."""
    points = np.array(centres)
    related = {}
    for name in ("behind", "front", "left", "right"):
        along = points @ np.array(directions[name])
        ahead = along[None, :] - along[:, None] > RELATION_THRESHOLD
        related[name] = [[int(j) for j in np.flatnonzero(row)] for row in ahead]
    return related
