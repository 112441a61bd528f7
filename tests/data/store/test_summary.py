"""A summary says what a store holds, and why scenes are not in it."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from nsi_cli.data.store.reader import Store, open_store
from nsi_cli.data.store.summary import group_skipped, summarize


def test_it_counts_scenes_objects_and_values(store: Store) -> None:
    summary = summarize(store)  # scene n has n % 5 objects, balls at n / 100
    train = summary["splits"]["train"]
    assert (train["scenes"], train["objects"], train["dropped_objects"]) == (11, 20, 0)
    per_scene = train["objects_per_scene"]
    assert (per_scene["min"], per_scene["mean"], per_scene["max"]) == (0, 1.818, 4)
    assert per_scene["histogram"] == [3, 2, 2, 2, 2]
    shape, x = summary["properties"]["shape"], summary["properties"]["x"]
    assert (shape["counts"], shape["missing"]) == ({"cube": 0, "ball": 26}, 0)
    (spread,) = x["components"]
    assert (spread["min"], spread["max"]) == (0.01, 0.13)
    assert sum(spread["histogram"]["counts"]) == 26
    assert (spread["histogram"]["low"], spread["histogram"]["high"]) == (-1, 1)
    assert json.loads(json.dumps(summary)) == summary


def test_missing_values_are_counted_apart(store: Store) -> None:
    labels = np.load(store.path / "train_labels.npy")
    labels[4, :2] = [-1, np.nan]
    np.save(store.path / "train_labels.npy", labels)
    summary = summarize(open_store(store.path))["properties"]
    assert (summary["shape"]["counts"]["ball"], summary["shape"]["missing"]) == (24, 2)
    assert summary["x"]["missing"] == 2
    assert sum(summary["x"]["components"][0]["histogram"]["counts"]) == 24


def test_a_store_without_objects_has_a_summary(make_store: Callable[..., Store]) -> None:
    store = make_store(train=1)  # scene 0 has none
    assert summarize(store)["properties"]["x"]["components"] == [None]


def test_reasons_that_differ_in_names_and_numbers_alone_are_one() -> None:
    reasons = {
        "scene_1": "scene_1: 11 objects, but 1 to 10 are expected",
        "scene_2": "scene_2_flat.png cannot be read as a PNG",
        "scene_3": "scene_3: 12 objects, but 1 to 10 are expected",
        "scene_4": "scene_4: unknown material 'gold'",
        "scene_5": "scene_5: unknown material 'lead'",
        "scene_6": "scene_6: unknown material 'iron'",
    }
    groups = group_skipped([{"scene": s, "reason": r} for s, r in reasons.items()])
    assert [(group["scenes"], group["example"]) for group in groups] == [
        (3, "scene_4"), (2, "scene_1"), (1, "scene_2"),
    ]  # fmt: skip
    assert groups[1]["reason"] == "11 objects, but 1 to 10 are expected"
    assert groups[2]["reason"] == "_flat.png cannot be read as a PNG"
