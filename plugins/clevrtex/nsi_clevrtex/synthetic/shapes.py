"""The four shapes as analytic solids of radius 1 around the origin, z up.

`monkey` is a stand-in: the dataset uses Blender's Suzanne mesh, which cannot be shipped here, so it
is composed of ellipsoids: a head, a muzzle, a brow, two eyes and two ears. Its silhouette is as
distinct from the other three shapes as Suzanne's.

Arrays of points, directions and normals are (3, n); origins that all rays share are (3, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NEAR = np.float32(1e-3)
"""Hits at a smaller ray parameter are on the surface that the ray starts from."""

TINY = np.float32(1e-9)
MISS = np.float32(np.inf)
HALF_SIDE = float(1.0 / np.sqrt(2.0))
QUARTER = np.float32(2.0 / np.pi)


@dataclass(frozen=True)
class Shape:
    """A solid of radius 1.

    `extent` is its half size along each axis and `reach` the radius of a ball that contains it.
    `hit(origins, directions)` returns each ray's parameter (n,) at the first surface, infinite on
    a miss; `normals(points)` the unit normals (3, n) at points on the surface; and
    `wrap(points, normals)` the texture coordinates u, v (n,) there, in tiles.
    """

    name: str
    extent: tuple[float, float, float]
    reach: float
    hit: Callable[[Floats, Floats], Floats]
    normals: Callable[[Floats], Floats]
    wrap: Callable[[Floats, Floats], tuple[Floats, Floats]]
    convex: bool = True


def _dot(a: Floats, b: Floats) -> Floats:
    product: Floats = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return product


def hit_sphere(origins: Floats, directions: Floats) -> Floats:
    """Intersect rays with the unit ball."""
    square = _dot(directions, directions)
    half = _dot(origins, directions)
    discriminant = half * half - square * (_dot(origins, origins) - np.float32(1.0))
    t = -(half + np.sqrt(np.maximum(discriminant, 0))) / square
    return np.where((discriminant > 0) & (t > NEAR), t, MISS)


def hit_cube(origins: Floats, directions: Floats) -> Floats:
    """Intersect rays with the cube of half side 1/sqrt(2), the intersection of three slabs."""
    flip = np.copysign(np.float32(1.0), directions)
    steep = np.float32(1.0) / np.maximum(np.abs(directions), TINY)
    middle, half = -origins * flip * steep, np.float32(HALF_SIDE) * steep
    t = (middle - half).max(axis=0)
    return np.where((t < (middle + half).min(axis=0)) & (t > NEAR), t, MISS)


def hit_cylinder(origins: Floats, directions: Floats) -> Floats:
    """Intersect rays with the cylinder of radius 1 and half height 1."""
    dx, dy, dz = directions
    ox, oy, oz = origins
    square = np.maximum(dx * dx + dy * dy, TINY)
    half = ox * dx + oy * dy
    discriminant = half * half - square * (ox * ox + oy * oy - np.float32(1.0))
    root = np.sqrt(np.maximum(discriminant, 0))
    steep = np.float32(1.0) / np.maximum(np.abs(dz), TINY)
    level = -oz * np.copysign(steep, dz)
    t = np.maximum(-(half + root) / square, level - steep)
    leave = np.minimum((root - half) / square, level + steep)
    return np.where((discriminant > 0) & (t < leave) & (t > NEAR), t, MISS)


_MONKEY = (
    ((0.0, 0.10, 0.24), (0.72, 0.72, 0.76)),  # skull
    ((0.0, -0.36, -0.48), (0.46, 0.46, 0.52)),  # muzzle and chin
    ((0.0, -0.50, 0.44), (0.56, 0.22, 0.17)),  # brow
    ((-0.27, -0.56, 0.20), (0.19, 0.15, 0.19)),  # eyes
    ((0.27, -0.56, 0.20), (0.19, 0.15, 0.19)),
    ((-0.90, 0.16, 0.22), (0.36, 0.15, 0.40)),  # ears
    ((0.90, 0.16, 0.22), (0.36, 0.15, 0.40)),
)
"""(centre, half axes) of the ellipsoids; the face looks along -y."""

_PIECES: list[tuple[Floats, Floats]] = [
    (np.array(centre, np.float32)[:, None], (1 / np.array(axes)[:, None]).astype(np.float32))
    for centre, axes in _MONKEY
]


def hit_monkey(origins: Floats, directions: Floats) -> Floats:
    """Intersect rays with the nearest ellipsoid; each is a unit ball in its own coordinates."""
    hits = (hit_sphere((origins - at) * scale, directions * scale) for at, scale in _PIECES)
    nearest = np.full(directions.shape[1], MISS, np.float32)
    for hit in hits:
        np.minimum(nearest, hit, out=nearest)
    return nearest


def sphere_normals(points: Floats) -> Floats:
    """Return the normals; on a unit ball, a point is its own normal."""
    return points


def cube_normals(points: Floats) -> Floats:
    """Return the normals: the axis of each point's largest coordinate."""
    size = np.abs(points)
    return np.where(size == size.max(axis=0), np.copysign(np.float32(1.0), points), np.float32(0.0))


def cylinder_normals(points: Floats) -> Floats:
    """Return the normals: up or down on the caps, outwards on the side."""
    x, y, z = points
    cap = np.abs(z) > np.hypot(x, y)
    zero = np.float32(0.0)
    up = np.copysign(np.float32(1.0), z)
    parts = (np.where(cap, zero, x), np.where(cap, zero, y), np.where(cap, up, zero))
    normals: Floats = np.stack(parts).astype(np.float32)
    return normals


def monkey_normals(points: Floats) -> Floats:
    """Return the normals of the ellipsoid on whose surface each point is."""
    closest = np.full(points.shape[1], MISS, np.float32)
    normals: Floats = np.zeros(points.shape, np.float32)
    for at, scale in _PIECES:
        inside = (points - at) * scale
        off = np.abs(_dot(inside, inside) - np.float32(1.0))
        normals = np.where(off < closest, inside * scale, normals)
        closest = np.minimum(closest, off)
    length: Floats = np.sqrt(np.maximum(_dot(normals, normals), TINY))
    return (normals / length).astype(np.float32, copy=False)


def wrap_sphere(points: Floats, normals: Floats) -> tuple[Floats, Floats]:
    """Return longitude and latitude as texture coordinates, four tiles around."""
    x, y, z = points
    return QUARTER * np.arctan2(y, x), QUARTER * np.arcsin(np.clip(z, -1, 1))


def wrap_cylinder(points: Floats, normals: Floats) -> tuple[Floats, Floats]:
    """Return texture coordinates that run around the side and are flat on the caps."""
    x, y, z = points
    cap = np.abs(normals[2]) > 0.5
    u = QUARTER * np.where(cap, x, np.arctan2(y, x))
    return u, QUARTER * np.where(cap, y, z)


def wrap_box(points: Floats, normals: Floats) -> tuple[Floats, Floats]:
    """Return texture coordinates, projected along the axis that the surface faces most."""
    x, y, z = points
    across, along, up = np.abs(normals)
    top = up > np.maximum(across, along)
    u = QUARTER * np.where((across > along) & ~top, y, x)
    return u, QUARTER * np.where(top, y, z)


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("cube", (HALF_SIDE,) * 3, 1.225, hit_cube, cube_normals, wrap_box),
        Shape("sphere", (1.0,) * 3, 1.0, hit_sphere, sphere_normals, wrap_sphere),
        Shape("cylinder", (1.0,) * 3, 1.415, hit_cylinder, cylinder_normals, wrap_cylinder),
        Shape("monkey", (1.26, 0.85, 1.0), 1.4, hit_monkey, monkey_normals, wrap_box, convex=False),
    )
}
