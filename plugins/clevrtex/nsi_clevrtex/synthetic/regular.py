"""Patterns of man-made surfaces: masonry, tiles, floors, fabrics, metal. Each is a `Layer`."""

from __future__ import annotations

import numpy as np

from nsi_clevrtex.synthetic.fields import (
    Field,
    Generator,
    Layer,
    cell_values,
    edge_distance,
    grid,
    noise,
    smoothstep,
)


def plain(rng: Generator) -> Layer:
    """One colour."""
    flat = np.zeros(grid()[0].shape, np.float32)
    return Layer(flat, flat, flat)


def bricks(
    rng: Generator, *, rows: float, columns: float, shift: float = 0.5, gap: float = 0.06,
    grain: float = 0.4, holes: float = 0, facets: float = 0,
) -> Layer:  # fmt: skip
    """Courses of bricks, tiles or panels; `gap` is the joint's fraction of a course.

    Accent: the joints. `holes` adds a bolt to each corner, `facets` crystals.
    """
    u, v = grid()
    y = v * rows
    x = u * columns + shift * np.floor(y)
    aspect = rows / columns
    edge = np.minimum(edge_distance(y), edge_distance(x) * aspect)
    body = smoothstep(gap * 0.6, gap * 1.4, edge)
    tone = 0.55 * cell_values(rng, np.floor(y), np.floor(x), int(rows), int(columns))
    tone = tone + 0.4 * grain * (noise(rng, 24, roughness=0.8) - 0.5) + 0.22
    if facets:
        tone = tone * 0.5 + 0.5 * np.round(noise(rng, 14) * 4) / 4
    if holes:
        bolt = np.hypot(edge_distance(y) - 0.16, edge_distance(x) * aspect - 0.16)
        body = body * smoothstep(0.03, 0.06, bolt)
    return Layer(tone, body, 1.0 - body)


def checks(rng: Generator, *, rows: float, gap: float) -> Layer:
    """Square tiles in two alternating tones. Accent: the joints."""
    u, v = grid()
    body = smoothstep(
        gap * 0.6, gap * 1.4, np.minimum(edge_distance(u * rows), edge_distance(v * rows))
    )
    tone = (np.floor(u * rows) + np.floor(v * rows)) % 2 + 0.15 * (noise(rng, 12) - 0.5)
    return Layer(tone, body, 1.0 - body)


def planks(
    rng: Generator, *, rows: float, columns: float, shift: float = 0.5,
    grain: float = 0.55, knots: float = 0,
) -> Layer:  # fmt: skip
    """Boards along u with wood grain. Accent: the gaps, and the knots."""
    u, v = grid()
    y = v * rows
    random_shift = rng.integers(0, 8, int(rows)) / 8
    stagger = np.arange(int(rows)) * shift if columns > 1 else random_shift
    x = u * columns + stagger[np.floor(y).astype(int)]
    edge = np.minimum(edge_distance(y), edge_distance(x) * rows / columns)
    body = smoothstep(0.02, 0.06, edge)
    tone = 0.25 + 0.5 * cell_values(rng, np.floor(y), np.floor(x), int(rows), int(columns))
    tone = tone + grain * (noise(rng, 16, stretch=(10, 1), roughness=0.6) - 0.5) * 1.4
    accent = 1.0 - body
    for across, course in rng.random((int(knots), 2)):
        at = (np.floor(course * rows) + 0.5) / rows
        radius = np.hypot(_wrapped(u - across), 1.6 * _wrapped(v - at))
        accent = np.maximum(accent, 0.9 * (1.0 - smoothstep(0.02, 0.045, radius)))
    return Layer(tone, body, accent)


def _wrapped(x: Field) -> Field:
    return x - np.round(x)


def chevron(rng: Generator, *, bands: float, teeth: float, steps: float = 0) -> Layer:
    """Zigzag bands of `steps` alternating tones, or of random tones. Accent: the joints."""
    u, v = grid()
    y = v * bands + np.abs(u * teeth - np.floor(u * teeth) - 0.5) * 2.0
    band = np.floor(y)
    if steps:
        tone = (band % steps) / (steps - 1) + 0.1 * (noise(rng, 20) - 0.5)
    else:
        tone = cell_values(rng, band, u * 0, int(bands), 1) + 0.8 * (
            noise(rng, 40, roughness=0.3) - 0.5
        )
    joint = smoothstep(0.04, 0.12, edge_distance(y))
    return Layer(tone, joint, 0.5 * (1.0 - joint))


def scales(rng: Generator, *, rows: float, gap: float) -> Layer:
    """Overlapping round scales, row over row: roof tiles, arched cobbles. Accent: the shade."""
    u, v = grid()
    columns = rows * 0.75 // 1
    tone, height = np.zeros_like(u), np.zeros_like(u)
    row = np.floor(v * rows)
    for step in (0, 1):  # this row's scales, then the tips of the row above over them
        x = u * columns + 0.5 * ((row - step) % 2)
        down = (v * rows - row + step) / 1.5
        across = 2.0 * (x - np.floor(x) - 0.5)
        inside = 1.0 - np.maximum(
            np.abs(across), np.hypot(across, 1.6 * np.maximum(0.0, down - 0.35))
        )
        shade = cell_values(rng, row - step, np.floor(x), int(rows), int(columns))
        covered = inside > 0
        tone = np.where(covered, 0.2 + 0.6 * shade, tone)
        height = np.where(covered, smoothstep(0.0, gap, inside) * (0.75 + 0.25 * down), height)
    return Layer(tone + 0.3 * (noise(rng, 26) - 0.5), height, 1.0 - smoothstep(0.1, 0.6, height))


def rings(rng: Generator, *, count: float) -> Layer:
    """Interlocked rings on a dark ground (accent)."""
    u, v = grid()
    wire = np.zeros_like(u)
    for shift in (0.0, 0.5):
        x = u * count + shift
        y = v * count + shift
        radius = np.hypot(x - np.floor(x) - 0.5, y - np.floor(y) - 0.5)
        wire = np.maximum(wire, 1.0 - smoothstep(0.0, 0.115, np.abs(radius - 0.36)))
    return Layer(wire + 0.3 * (noise(rng, 10) - 0.5), wire, 1.0 - smoothstep(0.05, 0.4, wire))


def twill(rng: Generator, *, threads: float) -> Layer:
    """Diagonal twill of two yarns, as in denim."""
    u, v = grid()
    diagonal = edge_distance((u + v) * threads) * 2
    yarn = edge_distance(u * threads * 2) * 2
    tone = 0.75 * diagonal * (0.6 + 0.4 * yarn) + 0.9 * (noise(rng, 30, stretch=(1, 4)) - 0.4)
    return Layer(tone, diagonal, np.zeros_like(tone))


def rope(rng: Generator, *, strands: float) -> Layer:
    """Ropes side by side along v, each twisted. Accent: the grooves."""
    u, v = grid()
    x = u * strands
    across = 2.0 * np.abs(x - np.floor(x) - 0.5)
    twist = edge_distance(_twist(u, v, strands)) * 2
    body = np.sqrt(np.maximum(0.0, 1.0 - across**2)) * (0.5 + 0.5 * smoothstep(0.0, 0.6, twist))
    tone = body + 0.3 * (noise(rng, 40) - 0.5)
    return Layer(tone, body, 1.0 - smoothstep(0.1, 0.5, body))


def _twist(u: Field, v: Field, strands: float) -> Field:
    turned: Field = v * strands * 2 + 0.8 * (u * strands - np.floor(u * strands))
    return turned


def weave(rng: Generator, *, threads: float) -> Layer:
    """Flat strips over and under each other. Accent: the holes between."""
    u, v = grid()
    x, y = u * threads, v * threads
    over = (np.floor(x) + np.floor(y)) % 2
    along = np.where(over > 0, x - np.floor(x), y - np.floor(y))
    across = np.where(over > 0, y - np.floor(y), x - np.floor(x))
    bow = np.sin(np.pi * along) * smoothstep(0.02, 0.18, 0.5 - np.abs(across - 0.5))
    tone = bow * (0.7 + 0.3 * over) + 0.15 * (noise(rng, 30) - 0.5)
    return Layer(tone, bow, 1.0 - smoothstep(0.05, 0.3, bow))


def corrugated(rng: Generator, *, waves: float) -> Layer:
    """Sheet metal in waves along u, streaked with dirt (accent)."""
    u, _ = grid()
    wave = (0.5 + 0.5 * np.sin(2 * np.pi * waves * u)).astype(np.float32)
    dirt = smoothstep(0.62, 0.8, noise(rng, 6, stretch=(1, 3)))
    return Layer(wave + 0.2 * (noise(rng, 30) - 0.5), wave, 0.6 * dirt)


def lanes(rng: Generator) -> Layer:
    """Asphalt with one full and one dashed worn lane marking (accent) per tile."""
    u, v = grid()
    full = 1.0 - smoothstep(0.035, 0.045, np.abs(v - 0.25))
    dashed = (1.0 - smoothstep(0.035, 0.045, np.abs(v - 0.75))) * (edge_distance(u * 2) > 0.2)
    worn = smoothstep(0.25, 0.4, noise(rng, 20))
    grains = noise(rng, 60, roughness=0.2)
    return Layer(grains, grains * 0.3, np.maximum(full, dashed) * worn)


def treads(rng: Generator) -> Layer:
    """Two tyre tracks per tile along v, pressed into earth. Accent: the pressed lugs."""
    u, v = grid()
    track = smoothstep(0.05, 0.1, edge_distance(u * 2))
    lug = smoothstep(0.15, 0.3, edge_distance(v * 8 + 4 * np.abs(edge_distance(u * 2) - 0.28)))
    press = track * (1.0 - lug)
    soil = noise(rng, 18, roughness=0.8)
    return Layer(soil, 0.4 * soil - 0.8 * press, 0.8 * press)


def strata(rng: Generator, *, layers: float) -> Layer:
    """Broken rock in tilted ledges. Accent: the clefts under them."""
    _, v = grid()
    ledge = v * layers + 1.2 * noise(rng, 3) + 0.5 * noise(rng, 14)
    step = (ledge - np.floor(ledge)).astype(np.float32)
    tone = 0.75 * step + 0.5 * (noise(rng, 20, roughness=0.5) - 0.5)
    return Layer(tone, step, 0.8 * (1.0 - smoothstep(0.0, 0.2, step)))
