"""The summary of a store: scenes, objects, the values of every property, what was dropped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store.reader import Store
from nsi_cli.schema import Categorical, Continuous, Property

SUMMARY = "summary.json"
FIGURE = "summary.png"
"""Both lie in the store, but are no recorded part of it: they can be made again from the rest."""

QUANTILES = {
    "min": 0.0,
    "5%": 0.05,
    "25%": 0.25,
    "median": 0.5,
    "75%": 0.75,
    "95%": 0.95,
    "max": 1.0,
}
BINS = 40

Floats = npt.NDArray[np.float32]


def summarize(store: Store) -> dict[str, Any]:
    """The summary of a store as plain values.

    ``splits``: scenes, objects, dropped and hidden objects, and objects per scene (min, mean, max,
    histogram from 0 to the schema's most). ``properties``: over all splits, for a categorical one
    the count of each value; for a continuous one the `QUANTILES` and a histogram of each component;
    for both the number of objects without a value. ``skipped``: skipped scenes, grouped by reason.
    """
    labels = {split: store.primitives(split) for split in store.splits}
    most = store.schema.max_objects
    present = [rows[np.arange(most) < lengths[:, None]] for rows, lengths in labels.values()]
    objects = np.concatenate([np.zeros((0, store.schema.width), np.float32), *present])
    return {
        "splits": {
            split: _split(store.build["splits"][split], lengths, most)
            for split, (_, lengths) in labels.items()
        },
        "properties": {
            item.name: _property(item, objects[:, store.schema.columns[item.name]])
            for item in store.schema.properties
        },
        "skipped": group_skipped(store.build["skipped"]),
    }


def _split(recorded: dict[str, Any], lengths: npt.NDArray[np.int64], most: int) -> dict[str, Any]:
    counted = {name: recorded[name] for name in ("scenes", "objects", "dropped_objects")}
    # Stores built by earlier versions lack it.
    counted["hidden_objects"] = recorded.get("hidden_objects", 0)
    if not len(lengths):
        return {**counted, "objects_per_scene": None}
    per_scene = {
        "min": int(lengths.min()),
        "mean": round(float(lengths.mean()), 3),
        "max": int(lengths.max()),
        "histogram": np.bincount(lengths, minlength=most + 1).tolist(),
    }
    return {**counted, "objects_per_scene": per_scene}


def _property(item: Property, values: Floats) -> dict[str, Any]:
    if isinstance(item, Categorical):
        ids = values[:, 0].astype(np.int64)
        counts = np.bincount(ids[ids >= 0], minlength=len(item.values))
        return {
            "kind": "categorical",
            "missing": int((ids < 0).sum()),
            "counts": dict(zip(item.values, counts.tolist(), strict=True)),
        }
    known = values[~np.isnan(values).any(1)]
    return {
        "kind": "continuous",
        "missing": len(values) - len(known),
        "components": [_component(item, place, known[:, place]) for place in range(item.size)],
    }


def _component(item: Continuous, place: int, values: Floats) -> dict[str, Any] | None:
    """The distribution of one component; None if no object has a value."""
    if not len(values):
        return None
    low = min(item.lows[place], float(values.min()))
    high = max(item.highs[place], float(values.max()))
    counts, edges = np.histogram(values, BINS, (low, high))
    spread = np.quantile(values, list(QUANTILES.values()))
    return {
        **{name: round(float(value), 6) for name, value in zip(QUANTILES, spread, strict=True)},
        "histogram": {"low": edges[0].item(), "high": edges[-1].item(), "counts": counts.tolist()},
    }


def group_skipped(skipped: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """Skipped scenes, grouped by reason, most frequent first, each group with an example.

    Reasons that differ only in the scene's name, in numbers or in quoted words are grouped.
    """
    groups: dict[str, dict[str, Any]] = {}
    for item in skipped:
        reason = _without_name(item["reason"], item["scene"])
        key = re.sub(r"'[^']*'|\d+", "…", reason)
        group = groups.setdefault(key, {"reason": reason, "scenes": 0, "example": item["scene"]})
        group["scenes"] += 1
    return sorted(groups.values(), key=lambda group: -int(group["scenes"]))


def _without_name(reason: str, scene: str) -> str:
    """A reason without the scene that it begins with; ``SCENE_flat.png: …`` keeps its ending."""
    rest = reason.replace(scene, "").removeprefix("scene").strip()
    return rest.removeprefix(":").strip() or reason
