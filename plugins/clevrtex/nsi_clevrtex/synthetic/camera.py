"""A pinhole camera above the ground plane z = 0, with CLEVR's optics and pixel conventions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 240

FOCAL = WIDTH * 35.0 / 32.0
"""Focal length in pixels: a 35 mm lens on a 32 mm sensor."""

POSITION = (7.48, -6.51, 5.34)
JITTER = 0.5

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Camera:
    """A camera at `origin` (3,); the rows of `axes` (3, 3) are right, down and forward."""

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]

    @classmethod
    def looking_at(cls, origin: NDArray[np.float64], target: NDArray[np.float64]) -> Camera:
        """Return a camera without roll."""
        forward = (target - origin) / np.linalg.norm(target - origin)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return cls(origin, np.stack([right, np.cross(forward, right), forward]))

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Camera:
        """Return a camera at `POSITION`, moved at random by up to `JITTER` along each axis."""
        origin = np.array(POSITION) + rng.uniform(-JITTER, JITTER, 3)
        return cls.looking_at(origin, np.array([0.0, 0.0, 0.2]))

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project world points (n, 3) to rows [x, y, depth] (n, 3).

        x and y are pixels from the top left corner; depth is in world units along the optical axis.
        """
        right, down, depth = self.axes @ (points - self.origin).T
        return np.stack(
            [WIDTH / 2 + FOCAL * right / depth, HEIGHT / 2 + FOCAL * down / depth, depth], -1
        )

    def rays(self, x: Floats, y: Floats) -> Floats:
        """Return ray directions (3, n) through the pixel positions x, y (n,).

        Their depth (not their length) is 1, so a ray's parameter is the depth of the point it hits.
        """
        axes = self.axes.astype(np.float32)
        across = (x - np.float32(WIDTH / 2)) / np.float32(FOCAL)
        down = (y - np.float32(HEIGHT / 2)) / np.float32(FOCAL)
        return np.stack([axes[0, i] * across + axes[1, i] * down + axes[2, i] for i in range(3)])

    def directions(self) -> dict[str, list[float]]:
        """Return CLEVR's six cardinal directions: the camera's on the ground, and the vertical."""
        behind = self.axes[2] * (1.0, 1.0, 0.0)
        behind /= np.linalg.norm(behind)
        left, above = -self.axes[0], np.array([0.0, 0.0, 1.0])
        named = {"behind": behind, "front": -behind, "left": left, "right": -left}
        named |= {"above": above, "below": -above}
        return {name: [float(x) + 0.0 for x in vector] for name, vector in named.items()}

    def ground_axes(self) -> NDArray[np.float64]:
        """Return the directions behind and left on the ground, as rows (2, 2)."""
        directions = self.directions()
        return np.array([directions["behind"][:2], directions["left"][:2]])
