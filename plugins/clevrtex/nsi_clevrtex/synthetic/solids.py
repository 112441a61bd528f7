"""A scene's objects as solids: ray intersections, and bounds in the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsi_clevrtex.synthetic.camera import HEIGHT, WIDTH, Camera, Floats
from nsi_clevrtex.synthetic.placement import Placement
from nsi_clevrtex.synthetic.shapes import SHAPES, Shape


@dataclass(frozen=True)
class Solid:
    """A shape with a centre and a radius, rotated about z. Arrays of vectors are (3, n)."""

    shape: Shape
    centre: Floats
    radius: float
    cosine: np.float32
    sine: np.float32

    @classmethod
    def at(cls, placement: Placement) -> Solid:
        """Return the solid of an object."""
        angle = np.deg2rad(placement.rotation)
        centre = np.array(placement.centre, np.float32)[:, None]
        shape = SHAPES[placement.shape]
        return cls(
            shape, centre, placement.radius, np.float32(np.cos(angle)), np.float32(np.sin(angle))
        )

    def inward(self, vectors: Floats) -> Floats:
        """Transform world vectors to the shape's frame, in which the radius is 1."""
        c, s = self.cosine / np.float32(self.radius), self.sine / np.float32(self.radius)
        x, y, z = vectors
        return np.stack([c * x + s * y, c * y - s * x, z / np.float32(self.radius)])

    def outward(self, normals: Floats) -> Floats:
        """Rotate vectors of the shape's frame to the world; their length is unchanged."""
        x, y, z = normals
        return np.stack([self.cosine * x - self.sine * y, self.sine * x + self.cosine * y, z])

    def hit(self, origins: Floats, directions: Floats) -> Floats:
        """Return each ray's parameter (n,) at the solid's surface, infinite on a miss."""
        return self.shape.hit(self.inward(origins - self.centre), self.inward(directions))

    def corners(self) -> NDArray[np.float64]:
        """Return the eight corners (8, 3) of a box around the solid."""
        signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], np.float32)
        local = signs.T * np.array(self.shape.extent, np.float32)[:, None] * np.float32(self.radius)
        return (self.outward(local) + self.centre).T.astype(np.float64)

    def screen_box(self, camera: Camera) -> tuple[float, float, float, float]:
        """Return bounds (left, right, top, bottom) of the solid in the image, in pixels."""
        projected = camera.project(self.corners())
        left, top = projected[:, :2].min(axis=0)
        right, bottom = projected[:, :2].max(axis=0)
        return max(left, 0), min(right, WIDTH), max(top, 0), min(bottom, HEIGHT)
