"""Textures from recipes: colour, baked bumps, and mipmap levels in one flat array.

A texture depends only on its material's name. Each process creates it once, on first use.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nsi_clevrtex.synthetic import organic, regular
from nsi_clevrtex.synthetic.fields import SIZE, Field, Layer
from nsi_clevrtex.synthetic.materials import PLAIN, RECIPES, Recipe

BASE = SIZE // 2
"""Width in texels of the finest level; patterns are drawn at twice the width and halved."""

LEVELS = 6

PATTERNS: dict[str, Callable[..., Layer]] = {
    name: function
    for module in (regular, organic)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
}


@dataclass(frozen=True)
class Texture:
    """A material's texels.

    `texels` (3, total) float32 contains linear red, green and blue of all levels in sequence,
    each level row-major; level l is (BASE >> l) wide and starts at `STARTS[l]`.
    """

    texels: NDArray[np.float32]
    gloss: float


STARTS = np.cumsum([0] + [(BASE >> level) ** 2 for level in range(LEVELS)])[:-1]


def draw(recipe: Recipe, seed: int) -> NDArray[np.uint8]:
    """Draw the finest level of a recipe as an sRGB image (BASE, BASE, 3)."""
    layer = PATTERNS[recipe.pattern](np.random.default_rng(seed), **recipe.parameters)
    colour = _gradient(recipe.palette, layer.tone)
    accent = np.clip(layer.accent, 0.0, 1.0)[..., None]
    colour = colour * (1.0 - accent) + _colours((recipe.accent,))[0] * accent
    colour = colour * (1.0 + recipe.relief * _emboss(layer.height))[..., None]
    return _halve(np.clip(colour, 0.0, 255.0)).round().astype(np.uint8)


@cache
def texture(material: str) -> Texture:
    """Return the texture of a material, also of a plain one."""
    recipe = RECIPES.get(material) or PLAIN[material]
    level = (draw(recipe, zlib.crc32(material.encode())) / 255.0) ** 2
    levels = []
    for _ in range(LEVELS):
        levels.append(level.reshape(-1, 3).T)
        level = _halve(level)
    return Texture(np.concatenate(levels, axis=1).astype(np.float32), recipe.gloss)


def _colours(codes: tuple[str, ...]) -> NDArray[np.float64]:
    return np.array([tuple(bytes.fromhex(code)) for code in codes], np.float64)


def _gradient(palette: tuple[str, ...], tone: Field) -> NDArray[np.float64]:
    colours = _colours(palette)
    stops = np.linspace(0.0, 1.0, len(palette))
    channels = [np.interp(tone, stops, colours[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1)


def _emboss(height: Field) -> Field:
    """Return the change in brightness of the surface under a light from the upper left."""
    slope = (height - np.roll(height, 2, axis=0)) + (height - np.roll(height, 2, axis=1))
    return np.clip(1.6 * slope, -0.55, 0.55).astype(np.float32)


def _halve(image: NDArray[np.float64]) -> NDArray[np.float64]:
    half = image.shape[0] // 2
    mean: NDArray[np.float64] = image.reshape(half, 2, half, 2, 3).mean(axis=(1, 3))
    return mean
