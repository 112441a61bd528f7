"""Patterns of natural and worn surfaces: stone, soil, plants, rust. Each is a `Layer`."""

from __future__ import annotations

import numpy as np

from nsi_clevrtex.synthetic.fields import (
    Field,
    Generator,
    Layer,
    edge_distance,
    grid,
    noise,
    smoothstep,
    stamps,
    voronoi,
)


def cells(rng: Generator, *, count: float, gap: float, grain: float = 0.5) -> Layer:
    """Stones, mud plates or leather pores. Accent: the cracks between, `gap` cell widths wide."""
    edge, value = voronoi(rng, int(count))
    edge = edge * np.float32(np.sqrt(count)) + 0.25 * gap * (noise(rng, 30) - 0.5) * 4
    body = smoothstep(0.0, gap, edge)
    tone = 0.2 + 0.6 * value + 0.7 * grain * (noise(rng, 30, roughness=0.6) - 0.5)
    return Layer(tone, smoothstep(0.0, 3 * gap, edge), 1.0 - body)


def clumps(rng: Generator, *, frequency: float) -> Layer:
    """Soft lumps: moss, fleece, plaster, rust."""
    lump = noise(rng, frequency, roughness=1.0)
    return Layer(lump, lump, np.zeros_like(lump))


def grain(rng: Generator, *, frequency: float, stretch: float) -> Layer:
    """Streaks along u: wood grain, brushed metal."""
    streak = noise(rng, frequency, stretch=(stretch, 1), roughness=0.5)
    return Layer(streak + 0.3 * (streak - 0.5), streak, np.zeros_like(streak))


def veins(rng: Generator, *, frequency: float, width: float) -> Layer:
    """Wandering veins (accent) of changing strength in a cloudy body: marble, roots."""
    ridge = np.abs(noise(rng, frequency, roughness=1.0) - 0.5)
    fine = np.abs(noise(rng, 2 * frequency, roughness=0.8) - 0.5)
    strength = smoothstep(0.3, 0.6, noise(rng, frequency))
    vein = (1.0 - smoothstep(0.0, width, ridge)) * (0.45 + 0.55 * strength)
    vein = np.maximum(vein, 0.5 * (1.0 - smoothstep(0.0, width / 2, fine)) * strength)
    return Layer(noise(rng, 2 * frequency), vein, vein)


def patches(rng: Generator, *, frequency: float, share: float) -> Layer:
    """Flaking blotches (accent) that cover about a fraction `share` of the area."""
    blob = noise(rng, frequency, roughness=0.6)
    level = float(np.quantile(blob, 1.0 - share))
    spot = smoothstep(level - 0.02, level + 0.03, blob)
    speck = noise(rng, 40, roughness=0.3)
    return Layer(
        0.7 * noise(rng, 10) + 0.4 * speck, 0.5 * spot + 0.5 * speck, spot * (0.55 + 0.6 * speck)
    )


def chips(rng: Generator, *, count: float, size: float, slender: float) -> Layer:
    """Stones or leaves (accent) strewn on soil."""
    dome, value = stamps(rng, int(count), size, slender=slender)
    cover = smoothstep(0.0, 0.15, dome)
    soil = noise(rng, 22, roughness=0.6)
    return Layer(soil, 0.3 * soil + np.sqrt(dome), cover * (0.55 + 0.45 * value))


def blades(rng: Generator, *, count: float, size: float, slender: float) -> Layer:
    """Blades of grass or shreds of bark that cover the ground (accent)."""
    dome, value = stamps(rng, int(count), size, slender=slender, upright=slender > 4)
    shade = 1.0 - smoothstep(0.0, 0.5, dome)
    return Layer(value * (0.4 + 0.6 * dome), np.sqrt(dome), shade)


def pits(rng: Generator, *, count: float, size: float) -> Layer:
    """Round dents or stains (accent) in a smooth body."""
    dome, value = stamps(rng, int(count), size, slender=1.15)
    body = noise(rng, 8)
    return Layer(body, 0.3 * body - dome, smoothstep(0.0, 0.6, dome) * (0.4 + 0.6 * value))


def droplets(rng: Generator, *, count: float, size: float) -> Layer:
    """Drops of water: domes with a light rim (accent)."""
    dome, _ = stamps(rng, int(count), size)
    rim = smoothstep(0.0, 0.1, dome) * (1.0 - smoothstep(0.1, 0.45, dome))
    return Layer(0.2 + 0.3 * noise(rng, 5) + 0.4 * dome, np.sqrt(dome), 0.8 * rim)


def terrazzo(rng: Generator, *, count: float, size: float) -> Layer:
    """Chips of several stones, each with its own tone, in a light binder (tone 0)."""
    dome, value = stamps(rng, int(count), size, slender=1.5)
    kind = (1.0 + np.floor(value * 3)) / 3
    tone = smoothstep(0.0, 0.12, dome) * kind.astype(np.float32)
    return Layer(tone, np.zeros_like(tone), np.zeros_like(tone))


def strokes(rng: Generator, *, count: float) -> Layer:
    """Broad, overlapping trowel strokes."""
    dome, value = stamps(rng, int(count), 0.16, slender=3.5)
    return Layer(
        0.7 * value + 0.5 * (noise(rng, 20) - 0.5) + 0.1,
        0.5 * np.sqrt(dome) + 0.5 * value,
        dome * 0,
    )


def swirls(rng: Generator) -> Layer:
    """A painted night sky: contour bands around whirls, with stars (accent)."""
    bands = noise(rng, 3) * 7
    tone = edge_distance(bands.astype(np.float32)) * 2
    dome, _ = stamps(rng, 16, 0.055)
    halo = smoothstep(0.0, 0.3, dome)
    moon = _ring(0.3, 0.35)
    return Layer(tone, tone, np.maximum(halo, moon))


def _ring(x: float, y: float) -> Field:
    u, v = grid()
    return 1.0 - smoothstep(0.01, 0.025, np.abs(np.hypot(u - x, v - y) - 0.11))
