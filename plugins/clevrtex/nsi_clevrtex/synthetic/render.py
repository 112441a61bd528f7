"""Ray casting: the solid that each ray hits, and the colour of each pixel.

The frame, and with it the mask, is traced with one ray through each pixel's centre. Pixels on an
outline are coloured from four rays each, which smooths outlines at little cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsi_clevrtex.synthetic.camera import HEIGHT, WIDTH, Camera, Floats
from nsi_clevrtex.synthetic.scene import SceneLayout
from nsi_clevrtex.synthetic.shading import Shader, scatter
from nsi_clevrtex.synthetic.solids import Solid


@dataclass(frozen=True)
class Traced:
    """The hits of n rays with `directions` (3, n).

    `owner` (n,) is 0 for the ground, else the number of the solid, from 1. `depth` (n,) is the
    distance along the optical axis, infinite for the ground.
    """

    directions: Floats
    owner: NDArray[np.uint8]
    depth: Floats


_ROWS, _COLUMNS = np.divmod(np.arange(WIDTH * HEIGHT), WIDTH)
CENTRES: tuple[Floats, Floats] = (
    (_COLUMNS + 0.5).astype(np.float32),
    (_ROWS + 0.5).astype(np.float32),
)
"""Pixel positions x, y of the frame, row by row."""

SUBPIXELS: Floats = np.array(
    [[-0.125, -0.375], [0.375, -0.125], [-0.375, 0.125], [0.125, 0.375]], np.float32
)


def trace(camera: Camera, solids: Sequence[Solid], x: Floats, y: Floats) -> Traced:
    """Trace rays through the pixel positions x, y (n,), which must be ordered by row."""
    directions = camera.rays(x, y)
    origin = camera.origin.astype(np.float32)[:, None]
    owner = np.zeros(x.size, np.uint8)
    depth = np.full(x.size, np.inf, np.float32)
    rows = np.floor(y)
    for number, solid in enumerate(solids, start=1):
        left, right, top, bottom = solid.screen_box(camera)
        first, last = np.searchsorted(rows, (np.floor(top), np.floor(bottom) + 1))
        band = x[first:last]
        near = np.flatnonzero((band >= left) & (band <= right)) + first
        t = solid.hit(origin, directions.take(near, axis=1))
        closer = np.flatnonzero(t < depth.take(near))
        hit = near[closer]
        owner[hit] = number
        depth[hit] = t[closer]
    return Traced(directions, owner, depth)


def render(layout: SceneLayout, solids: Sequence[Solid], frame: Traced) -> NDArray[np.uint8]:
    """Return the image (HEIGHT, WIDTH, 3) of a layout whose frame has been traced."""
    edge = _on_outline(frame.owner)
    outline, inside = np.flatnonzero(edge), np.flatnonzero(~edge)
    x = (CENTRES[0][outline][:, None] + SUBPIXELS[:, 0]).ravel()
    y = (CENTRES[1][outline][:, None] + SUBPIXELS[:, 1]).ravel()
    fine = trace(layout.camera, solids, x, y)
    samples = Shader(layout, solids).shade(
        np.concatenate([frame.directions.take(inside, axis=1), fine.directions], axis=1),
        np.concatenate([frame.owner[inside], fine.owner]),
        np.concatenate([frame.depth[inside], fine.depth]),
    )
    colours = np.empty((3, WIDTH * HEIGHT), np.float32)
    scatter(samples[:, : inside.size], colours, inside)
    scatter(samples[:, inside.size :].reshape(3, -1, len(SUBPIXELS)).mean(axis=2), colours, outline)
    encoded = np.sqrt(np.clip(colours, 0.0, 1.0)) * np.float32(255.0) + np.float32(0.5)
    return np.ascontiguousarray(encoded.astype(np.uint8).T).reshape(HEIGHT, WIDTH, 3)


def _on_outline(owner: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels (n,) of the frame have a neighbour with another owner."""
    image = owner.reshape(HEIGHT, WIDTH)
    edge = np.zeros((HEIGHT, WIDTH), np.bool_)
    across, down = image[:, 1:] != image[:, :-1], image[1:] != image[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge.ravel()
