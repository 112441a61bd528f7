"""Shadows: a shadow map of the ground, and shadow rays between objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from nsi_clevrtex.synthetic.camera import Floats
from nsi_clevrtex.synthetic.lights import Lights, Vector
from nsi_clevrtex.synthetic.solids import Solid

CELLS = 256
REACH = 6.4
"""The map covers (-REACH, REACH) on both ground axes, which is farther than any shadow."""

PER_UNIT = CELLS / (2 * REACH)

CONTACT = 0.75
"""How strongly an object that hides the sky darkens the ground near it."""


class GroundMap:
    """The visible fraction of the key lamp and of the sky in each cell of the ground.

    `key` and `sky` are (CELLS, CELLS); rows run along y, columns along x.
    """

    def __init__(self, solids: Sequence[Solid], lights: Lights) -> None:
        self.key = np.ones((CELLS, CELLS), np.float32)
        self.sky = np.ones((CELLS, CELLS), np.float32)
        for solid in solids:
            self._cast(solid, lights.key_position)
            self._cover(solid)
        width = max(2, round(lights.softness * PER_UNIT * 1.7))
        for _ in range(2):  # two box filters approximate a Gaussian
            self.key = uniform_filter1d(uniform_filter1d(self.key, width, axis=0), width, axis=1)

    def _cast(self, solid: Solid, lamp: Vector) -> None:
        corners = solid.corners()
        away = corners - lamp
        corner_shadows = lamp[:2] - away[:, :2] * lamp[2] / away[:, 2:]
        x, y, window = _cells(corner_shadows.min(axis=0), corner_shadows.max(axis=0))
        ground = np.stack([x, y, np.zeros_like(x)])
        t = solid.hit(ground, lamp[:, None] - ground)
        patch = self.key[window]
        patch[np.isfinite(t).reshape(patch.shape)] = 0.0

    def _cover(self, solid: Solid) -> None:
        """Subtract the sky that a ball hides at distance d: (1 + (d / r)^2)^(-3/2)."""
        radius = solid.radius
        middle = solid.centre[:2, 0].astype(np.float64)
        x, y, window = _cells(middle - 2.6 * radius, middle + 2.6 * radius)
        square = 1 + ((x - solid.centre[0]) ** 2 + (y - solid.centre[1]) ** 2) / np.float32(
            radius**2
        )
        patch = self.sky[window]
        patch *= (1 - np.float32(CONTACT) / (square * np.sqrt(square))).reshape(patch.shape)

    def look_up(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return (key, sky) at points x, y (n,).

        `key` is interpolated between the four nearest cells; `sky` is smooth without that.
        """
        column, row = _to_cells(x), _to_cells(y)
        left, top = column.astype(np.int32), row.astype(np.int32)
        across, down = column - left, row - top
        corner = top * CELLS + left
        flat = self.key.ravel()
        a, b, c, d = (flat.take(corner + step) for step in (0, 1, CELLS, CELLS + 1))
        upper = a + across * (b - a)
        key = upper + down * (c + across * (d - c) - upper)
        return key, self.sky.ravel().take(corner)


def _to_cells(position: Floats) -> Floats:
    """Convert world units to cells, whose centres are whole numbers; clip to the map."""
    cells = position * np.float32(PER_UNIT) + np.float32(REACH * PER_UNIT - 0.5)
    clipped: Floats = np.clip(cells, 0, CELLS - 1.001)
    return clipped


def _cells(
    low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[Floats, Floats, tuple[slice, slice]]:
    """Return the centres x, y (n,) of the cells in a rectangle, and the rectangle as slices."""
    first = np.clip(np.floor((low + REACH) * PER_UNIT), 0, CELLS).astype(int)
    last = np.clip(np.ceil((high + REACH) * PER_UNIT), 0, CELLS).astype(int)
    middles = ((np.arange(CELLS) + 0.5) / PER_UNIT - REACH).astype(np.float32)
    x, y = np.meshgrid(middles[first[0] : last[0]], middles[first[1] : last[1]])
    return x.ravel(), y.ravel(), (slice(first[1], last[1]), slice(first[0], last[0]))


def blockers(solids: Sequence[Solid], lamp: Vector) -> list[list[int]]:
    """Return, for each solid, the indices of the solids that may shade it.

    These are the solids whose ball touches the beam from the lamp to its ball. A solid that is not
    convex may also shade itself.
    """
    centres = np.concatenate([solid.centre for solid in solids], axis=1).T
    reach = np.array([solid.radius * solid.shape.reach for solid in solids])
    beam = lamp - centres
    aside = centres[None] - centres[:, None]
    along = (aside * beam[:, None]).sum(axis=2) / (beam**2).sum(axis=1)[:, None]
    distance = np.linalg.norm(aside - along[..., None] * beam[:, None], axis=2)
    touches = (along > -0.05) & (distance < reach[:, None] + reach[None, :])
    np.fill_diagonal(touches, [not solid.shape.convex for solid in solids])
    return [np.flatnonzero(row).tolist() for row in touches]


def lit_by_key(points: Floats, normals: Floats, others: Sequence[Solid], lamp: Vector) -> Floats:
    """Return 1 for surface points (3, n) that no other solid hides from the lamp, else 0."""
    lit = np.ones(points.shape[1], np.float32)
    if others:
        start = points + normals * np.float32(0.01)
        directions = lamp[:, None] - start
        for solid in others:
            lit[np.isfinite(solid.hit(start, directions))] = 0.0
    return lit
