"""Shading: the colour of a surface point from its texture, light, shadow and highlight.

Colours are linear. Textures are squared to make them linear, and the renderer takes the root at the
end: gamma 2 is a cheap approximation of sRGB.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nsi_clevrtex.synthetic.camera import FOCAL, Floats
from nsi_clevrtex.synthetic.lights import KEY_POSITION
from nsi_clevrtex.synthetic.scene import SceneLayout
from nsi_clevrtex.synthetic.shadows import GroundMap, blockers, lit_by_key
from nsi_clevrtex.synthetic.solids import Solid
from nsi_clevrtex.synthetic.textures import BASE, LEVELS, STARTS, Texture, texture

GROUND_TILE = 2.0
"""The size of a texture tile on the ground, in world units."""

OBJECT_TILE = float(np.pi / 2)
"""The size of a texture tile on objects, in units of the object's radius."""

FALLOFF = np.float32(np.dot(KEY_POSITION, KEY_POSITION))
"""The squared distance at which the key lamp has its nominal strength."""


class Shader:
    """Computes the colours of surface points of one scene."""

    def __init__(self, layout: SceneLayout, solids: Sequence[Solid]) -> None:
        self._layout = layout
        self._solids = solids
        self._origin = layout.camera.origin.astype(np.float32)[:, None]
        self._map = GroundMap(solids, layout.lights)
        self._blockers = blockers(solids, layout.lights.key_position)

    def shade(self, directions: Floats, owner: NDArray[np.uint8], depth: Floats) -> Floats:
        """Return the linear colours (3, n) of n traced rays."""
        colours = np.empty_like(directions)
        order = np.argsort(owner, kind="stable")
        bounds = np.searchsorted(owner[order], np.arange(len(self._solids) + 2))
        ground = order[: bounds[1]]
        scatter(self._ground(directions.take(ground, axis=1)), colours, ground)
        for index in range(len(self._solids)):
            selected = order[bounds[index + 1] : bounds[index + 2]]
            points = self._origin + depth.take(selected) * directions.take(selected, axis=1)
            scatter(self._object(index, points), colours, selected)
        return colours

    def _ground(self, directions: Floats) -> Floats:
        lights = self._layout.lights
        height = self._origin[2, 0]
        depth = -height / np.minimum(directions[2], np.float32(-1e-3))
        x = self._origin[0] + depth * directions[0]
        y = self._origin[1] + depth * directions[1]
        material = texture(self._layout.ground)
        tile = np.float32(1.0 / GROUND_TILE)
        # A pixel covers depth / FOCAL across, and depth / height times as much along the view.
        footprint = depth * np.sqrt(depth / height) * np.float32(BASE / GROUND_TILE / FOCAL)
        albedo = _sample(material, x * tile, y * tile, np.log2(footprint))
        lamp = lights.key_position
        square = (x - lamp[0]) ** 2 + (y - lamp[1]) ** 2 + lamp[2] ** 2
        visible, sky = self._map.look_up(x, y)
        facing = visible * (lamp[2] * FALLOFF) / (square * np.sqrt(square))
        fill = lights.fill * np.float32(0.6)
        parts = zip(lights.key, lights.ambient, fill, strict=True)
        light = np.stack([key * facing + (ambient * sky + rest) for key, ambient, rest in parts])
        colours: Floats = albedo * light
        if material.gloss:
            points = np.stack([x, y, np.zeros_like(x)])
            up = np.array([[0.0], [0.0], [1.0]], np.float32)
            shine = _highlight(points, up, lamp, self._origin)
            colours += shine * (visible * np.float32(0.5 * material.gloss))
        return colours

    def _object(self, index: int, points: Floats) -> Floats:
        lights, solid, item = self._layout.lights, self._solids[index], self._layout.objects[index]
        local = solid.inward(points - solid.centre)
        facing = solid.shape.normals(local)
        normals = solid.outward(facing)
        u, v = solid.shape.wrap(local, facing)
        material = texture(item.material)
        depth = np.linalg.norm(solid.centre - self._origin)
        level = np.log2(depth / FOCAL / solid.radius / OBJECT_TILE * BASE)
        albedo = _sample(material, u, v, np.float32(level))
        albedo *= (np.array(item.tint, np.float32)[:, None] / np.float32(255.0)) ** 2
        others = [self._solids[other] for other in self._blockers[index]]
        lit = lit_by_key(points, normals, others, lights.key_position)
        key = _facing(points, normals, lights.key_position) * lit
        fill = _facing(points, normals, lights.fill_position)
        # The sky is above; points near the ground face the object's own shadow instead.
        sky = (np.float32(0.62) + np.float32(0.38) * normals[2]) * (
            np.float32(0.55)
            + np.float32(0.45) * np.minimum(points[2] / np.float32(solid.radius), 1)
        )
        light = lights.key[:, None] * key + lights.fill[:, None] * fill
        light += lights.ambient[:, None] * sky
        colours: Floats = albedo * light
        if material.gloss:
            shine = _highlight(points, normals, lights.key_position, self._origin)
            colours += shine * (lit * np.float32(material.gloss))
        return colours


def _facing(points: Floats, normals: Floats, lamp: Floats) -> Floats:
    """Return Lambert's cosine towards a lamp, times the lamp's fall-off with distance."""
    x, y, z = (lamp[axis] - points[axis] for axis in range(3))
    square = x * x + y * y + z * z
    cosine = np.maximum(0, normals[0] * x + normals[1] * y + normals[2] * z) / np.sqrt(square)
    facing: Floats = cosine * FALLOFF / square
    return facing


def _highlight(points: Floats, normals: Floats, lamp: Floats, eye: Floats) -> Floats:
    """Return Blinn's highlight with exponent 32."""
    to_lamp, to_eye = lamp[:, None] - points, eye - points
    half = to_lamp / _length(to_lamp) + to_eye / _length(to_eye)
    cosine = np.maximum(0, (normals * half).sum(axis=0)) / _length(half)
    for _ in range(5):
        cosine = cosine * cosine
    shine: Floats = cosine
    return shine


def _length(vectors: Floats) -> Floats:
    x, y, z = vectors
    length: Floats = np.sqrt(x * x + y * y + z * z)
    return length


def _sample(material: Texture, u: Floats, v: Floats, level: Floats | np.float32) -> Floats:
    """Return linear colours (3, n) at texture coordinates u, v (n,).

    `level` is one number or one per point: the level whose texels are about as large as a pixel,
    0 being the finest.
    """
    nearest = np.clip(np.rint(level), 0, LEVELS - 1).astype(np.int64)
    width = BASE >> nearest
    column = np.floor(u * width.astype(np.float32)).astype(np.int64) & (width - 1)
    row = np.floor(v * width.astype(np.float32)).astype(np.int64) & (width - 1)
    colours: Floats = material.texels.take(STARTS[nearest] + row * width + column, axis=1)
    return colours


def scatter(values: Floats, target: Floats, indices: NDArray[np.intp]) -> None:
    """Assign ``target[:, indices] = values`` row by row, which is several times faster."""
    for source, row in zip(values, target, strict=True):
        row[indices] = source
