"""The summary of a store: scenes, objects, the values of every property, what was dropped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from nsi_cli.data.store.labels import Floats, objects_of
from nsi_cli.data.store.reader import Store
from nsi_cli.data.store.rows import Index
from nsi_cli.schema import Categorical, Property

SUMMARY = "summary.json"
FIGURE = "summary.png"
"""Files in a store that ``build.json`` does not record, since they can be computed again."""

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


def summarize(store: Store) -> dict[str, Any]:
    """The summary of a store as plain values.

    ``splits``: scenes, objects, dropped and hidden objects, and objects per scene (min, mean, max,
    histogram from 0 to the schema's most). ``properties``: over all splits, for a categorical one
    the count of each value; for a continuous one the `QUANTILES` and a histogram of each component;
    for both the number of objects without a value. ``skipped``: skipped scenes, grouped by reason.
    ``scene_label``, only of a store with scene labels: their name, and by split the count of each
    value and the number of scenes without one.
    """
    labels = {split: store.primitives(split) for split in store.splits}
    most = store.schema.max_objects
    objects = np.concatenate([objects_of(*arrays)[2] for arrays in labels.values()])
    summary = {
        "splits": {
            split: _summarize_split(store.build["splits"][split], lengths, most)
            for split, (_, lengths) in labels.items()
        },
        "properties": {
            item.name: _summarize_property(item, objects[:, store.schema.columns[item.name]])
            for item in store.schema.properties
        },
        "skipped": group_skipped(store.build["skipped"]),
    }
    if store.scene_label is not None:
        splits = {split: _count_scene_labels(store, split) for split in store.splits}
        summary["scene_label"] = {"name": store.scene_label.name, "splits": splits}
    return summary


def _summarize_split(recorded: dict[str, Any], lengths: Index, most: int) -> dict[str, Any]:
    counts = {name: recorded[name] for name in ("scenes", "objects", "dropped_objects")}
    counts["hidden_objects"] = recorded.get("hidden_objects", 0)  # older stores lack it
    if not len(lengths):
        return {**counts, "objects_per_scene": None}
    per_scene = {
        "min": int(lengths.min()),
        "mean": round(float(lengths.mean()), 3),
        "max": int(lengths.max()),
        "histogram": np.bincount(lengths, minlength=most + 1).tolist(),
    }
    return {**counts, "objects_per_scene": per_scene}


def _summarize_property(item: Property, values: Floats) -> dict[str, Any]:
    if isinstance(item, Categorical):
        return {"kind": "categorical", **_count(values[:, 0].astype(np.int64), item)}
    known = values[~np.isnan(values).any(1)]
    return {
        "kind": "continuous",
        "missing": len(values) - len(known),
        "components": [
            _summarize_component(low, high, known[:, component])
            for component, (low, high) in enumerate(zip(item.lows, item.highs, strict=True))
        ],
    }


def _count_scene_labels(store: Store, split: str) -> dict[str, Any]:
    ids = store.scene_labels(split)
    assert ids is not None
    assert store.scene_label is not None
    return _count(ids, store.scene_label)


def _count(ids: Index, item: Categorical) -> dict[str, Any]:
    """The number of times that each value occurs, and that none does."""
    counts = np.bincount(ids[ids >= 0], minlength=len(item.values))
    return {
        "missing": int((ids < 0).sum()),
        "counts": dict(zip(item.values, counts.tolist(), strict=True)),
    }


def _summarize_component(low: float, high: float, values: Floats) -> dict[str, Any] | None:
    """The distribution of one component; None if no object has a value."""
    if not len(values):
        return None
    bounds = min(low, float(values.min())), max(high, float(values.max()))
    counts, edges = np.histogram(values, BINS, bounds)
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
    """A reason without the name of its scene; ``SCENE_flat.png: …`` becomes ``_flat.png: …``."""
    rest = reason.replace(scene, "").removeprefix("scene").strip()
    return rest.removeprefix(":").strip() or reason
