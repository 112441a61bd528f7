"""Training curves, as lines of an SVG picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT = 300, 90
"""The size of a curve's picture, in its own units."""

MOST_POINTS = 300

_TITLES = {
    "contrastive": "contrastive loss",
    "reconstruction": "reconstruction loss",
    "R@1": "R@1 within a batch",
}
_KINDS = {"train": "training", "val": "validation"}


@dataclass(frozen=True)
class Line:
    """One line of a curve."""

    kind: str  # train or val
    title: str
    points: str  # of an SVG polyline
    last: float


@dataclass(frozen=True)
class Curve:
    """A measure over the steps of a training."""

    title: str
    low: float
    high: float
    steps: int
    lines: tuple[Line, ...]


def training_curves(metrics: Path) -> list[Curve]:
    """The curves of ``metrics.jsonl``; none if there is no file or none of its lines is whole."""
    rows = _rows(metrics)
    found = (_curve(rows, name, title) for name, title in _TITLES.items())
    return [curve for curve in found if curve is not None]


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # the last line of a training that runs
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def _curve(rows: Sequence[dict[str, Any]], name: str, title: str) -> Curve | None:
    series = {
        kind: [
            (row["step"], float(row[name]))
            for row in rows
            if row.get("kind") == kind and np.isfinite(row.get(name, np.nan))
        ]
        for kind in _KINDS
    }
    values = [value for points in series.values() for _, value in points]
    if len(values) < 2:
        return None
    low = min(0.0, *values)
    # The first steps of a loss can be many times higher than all later ones.
    high = 1.0 if name == "R@1" else max(float(np.quantile(values, 0.98)), low + 1e-9)
    steps = max(step for points in series.values() for step, _ in points)
    lines = tuple(
        Line(kind, _KINDS[kind], _polyline(points, low, high, steps), points[-1][1])
        for kind, points in series.items()
        if points
    )
    return Curve(title, low, high, steps, lines)


def _polyline(points: Sequence[tuple[int, float]], low: float, high: float, steps: int) -> str:
    """The points of an SVG polyline; of many points, means of consecutive ones."""
    limits = np.unique(np.linspace(0, len(points), min(len(points), MOST_POINTS) + 1).astype(int))
    means = [np.mean(points[start:stop], axis=0) for start, stop in pairwise(limits.tolist())]
    return " ".join(
        f"{WIDTH * step / max(1, steps):.1f},"
        f"{HEIGHT * (1 - min(1.0, (value - low) / (high - low))):.1f}"
        for step, value in means
    )
