"""Building blocks of the textures: tileable scalar fields on a square grid.

Every field is an array of floats (SIZE, SIZE) that tiles seamlessly. Rows run along v, columns
along u, both in [0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

SIZE = 256

Field = NDArray[np.floating[Any]]
Generator = np.random.Generator


@dataclass(frozen=True)
class Layer:
    """The result of a pattern: three fields in about [0, 1].

    `tone` selects the colour from the palette, `height` defines the baked bumps, and `accent` is
    the fraction of the accent colour (mortar, cracks, veins, ...).
    """

    tone: Field
    height: Field
    accent: Field


def grid() -> tuple[Field, Field]:
    """Return the coordinates (u, v) of the texel centres."""
    line = ((np.arange(SIZE) + 0.5) / SIZE).astype(np.float32)
    return np.broadcast_to(line, (SIZE, SIZE)), np.broadcast_to(line[:, None], (SIZE, SIZE))


def smoothstep(low: float, high: float, x: Field) -> Field:
    """Return 0 below `low`, 1 above `high`, and a smooth transition between them."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    step: Field = t * t * (3.0 - 2.0 * t)
    return step


def noise(
    rng: Generator,
    frequency: float,
    *,
    roughness: float = 1.5,
    stretch: tuple[float, float] = (1, 1),
) -> Field:
    """Return fractal noise around 0.5 whose largest blobs repeat `frequency` times per tile.

    It is filtered in the frequency domain, so it tiles. `roughness` is the fall-off of the finer
    octaves (smaller is rougher); `stretch` lengthens the blobs along (u, v).
    """
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE)))
    across = np.fft.rfftfreq(SIZE, 1 / SIZE)[None, :] * stretch[0]
    along = np.fft.fftfreq(SIZE, 1 / SIZE)[:, None] * stretch[1]
    ratio = np.hypot(across, along) / frequency
    field = np.fft.irfft2(spectrum * (ratio**2 / (1.0 + ratio ** (3.0 + roughness))), (SIZE, SIZE))
    clipped: Field = np.clip(0.5 + 0.2 * field / field.std(), 0.0, 1.0).astype(np.float32)
    return clipped


def cell_values(rng: Generator, row: Field, column: Field, rows: int, columns: int) -> Field:
    """Return the random number in [0, 1) of each lattice cell (`row`, `column`)."""
    table = rng.random((rows, columns)).astype(np.float32)
    picked: Field = table[row.astype(np.int64) % rows, column.astype(np.int64) % columns]
    return picked


def edge_distance(x: Field) -> Field:
    """Return the distance from x to the nearest integer, in [0, 0.5]."""
    fraction = x - np.floor(x)
    distance: Field = np.minimum(fraction, 1.0 - fraction)
    return distance


def voronoi(rng: Generator, count: int) -> tuple[Field, Field]:
    """Return cells around evenly spread seeds: (distance to the edge, value of the cell).

    The distance is in tile widths; the value is a random number in [0, 1), one per cell.
    """
    seeds = rng.random((count, 2))
    for _ in range(3):  # repulsion steps spread the seeds, which clump otherwise
        tiled = _tile_around(seeds)
        push = seeds - tiled[_two_nearest(tiled, seeds)[1][:, 1]]
        length = np.linalg.norm(push, axis=1, keepdims=True) + 1e-9
        seeds = (seeds + push / length * np.maximum(0.0, 0.35 / np.sqrt(count) - length / 2)) % 1.0
    u, v = grid()
    texels = np.stack([u, v], -1).reshape(-1, 2).astype(np.float64)
    distance, which = _two_nearest(_tile_around(seeds), texels)
    values = rng.random(count)[which[:, 0] % count]
    edge = (distance[:, 1] - distance[:, 0]) / 2
    return edge.reshape(SIZE, SIZE), values.reshape(SIZE, SIZE)


def _two_nearest(
    seeds: NDArray[np.float64], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the distances and indices (n, 2) of the two seeds closest to each point (n, 2)."""
    distance, which = cKDTree(seeds).query(points, k=2)
    return np.asarray(distance), np.asarray(which)


def _tile_around(seeds: NDArray[np.float64]) -> NDArray[np.float64]:
    shifts = [(i, j) for i in (0, -1, 1) for j in (0, -1, 1)]
    return np.concatenate([seeds + np.array(shift) for shift in shifts])


def stamps(
    rng: Generator, count: int, size: float, *, slender: float = 1.0, upright: bool = False
) -> tuple[Field, Field]:
    """Return random, overlapping ellipses: (dome, value).

    `dome` is 1 at an ellipse's centre and falls to 0 at its rim; `value` is one random number per
    ellipse. `size` is the long half axis in tile widths, `slender` the ratio of the axes;
    `upright` keeps the long axes near v.
    """
    dome = np.zeros((SIZE, SIZE), np.float32)
    value = np.zeros((SIZE, SIZE), np.float32)
    for x, y, grow, turn, shade in rng.random((count, 5)):
        long = size * (0.6 + 0.8 * grow) * SIZE
        reach = int(long) + 1
        dx, dy = np.meshgrid(*(np.arange(-reach, reach + 1, dtype=np.float32),) * 2)
        angle = np.pi * (0.5 + 0.3 * (turn - 0.5) if upright else turn)
        a = (dx * np.cos(angle) + dy * np.sin(angle)) / long
        b = (dy * np.cos(angle) - dx * np.sin(angle)) * slender / long
        height = np.maximum(0.0, 1.0 - a * a - b * b)
        rows = (np.arange(-reach, reach + 1) + int(y * SIZE)) % SIZE
        columns = (np.arange(-reach, reach + 1) + int(x * SIZE)) % SIZE
        window, inside = np.ix_(rows, columns), height > 0
        dome[window] = np.where(inside, height, dome[window])
        value[window] = np.where(inside, np.float32(shade), value[window])
    return dome, value
