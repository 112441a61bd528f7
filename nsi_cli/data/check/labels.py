"""Checks of a store's ids and labels."""

from __future__ import annotations

import numpy as np

from nsi_cli.data.check.result import CheckResult
from nsi_cli.data.store.labels import (
    Floats,
    count_fault,
    is_missing,
    label_faults,
    objects_of,
    read_labels,
    scene_label_faults,
    value_text,
)
from nsi_cli.data.store.reader import Store
from nsi_cli.data.store.rows import Index
from nsi_cli.schema import Continuous, Schema

Ids = dict[str, list[str]]
"""The ids of the scenes of each split, in order."""
Lengths = dict[str, Index]
"""The number of objects of each scene, by split."""


def scene_name(split: str, index: int, ids: Ids) -> str:
    """A scene in the text of a fault: split, index and, if it is known, id."""
    known = ids.get(split, [])
    return f"{split} {index}" + (f" ({known[index]})" if index < len(known) else "")


def check_ids(result: CheckResult, store: Store) -> Ids:
    """Check that no two scenes of the store share an id; return the ids."""
    ids = {split: store.ids(split) for split in store.splits}
    scenes: dict[str, list[str]] = {}
    for split, names in ids.items():
        for index, name in enumerate(names):
            scenes.setdefault(name, []).append(f"{split} {index}")
    for scene in scenes.pop("", []):
        result.fault(f"{scene} has no id")
    for name, found in scenes.items():
        if len(found) > 1:
            result.fault(f"{name} is there {len(found)} times: {', '.join(found[:3])}")
    result.looked_at = f"{sum(map(len, ids.values())):,} ids"
    return ids


def check_labels(result: CheckResult, counts: CheckResult, store: Store, ids: Ids) -> Lengths:
    """Check every split's labels against schema and record; return the lengths of valid splits."""
    counts.begun = True
    most, missing = store.schema.max_objects, {item.name: 0 for item in store.schema.properties}
    valid: Lengths = {}
    for split in store.splits:
        try:
            labels, lengths = read_labels(store.path, split, store.count(split), store.schema)
        except OSError as error:
            counts.fault(str(error))
            continue
        for scene, text in label_faults(labels, lengths, store.schema):
            result.fault(f"{scene_name(split, scene, ids)}: {text}")
        if ((lengths < 0) | (lengths > most)).any():
            continue
        valid[split] = lengths
        if fault := count_fault(split, lengths, store.build["splits"][split]["objects"]):
            counts.fault(fault)
        for scene, text in _values_outside(labels, lengths, store.schema, missing):
            result.warn(f"{scene_name(split, scene, ids)}: {text}")
    objects = f"{sum(int(lengths.sum()) for lengths in valid.values()):,} objects"
    result.looked_at = objects + "".join(
        f", {count:,} without {name}" for name, count in missing.items() if count
    )
    counts.looked_at = f"{sum(map(len, valid.values())):,} scenes, {objects}"
    return valid


def check_scene_labels(result: CheckResult, store: Store, ids: Ids) -> None:
    """Check that the id of each scene's label is that of a value, or missing."""
    if store.scene_label is None:
        return
    for split in store.splits:
        labels = store.scene_labels(split)
        assert labels is not None
        for scene, text in scene_label_faults(labels, store.scene_label):
            result.fault(f"{scene_name(split, scene, ids)}: {text}")
    scenes = sum(map(store.count, store.splits))
    result.looked_at += f", {scenes:,} scene labels"


def _values_outside(
    labels: Floats, lengths: Index, schema: Schema, missing: dict[str, int]
) -> list[tuple[int, str]]:
    """The scene and text of each value outside its bounds; adds to the counts of ``missing``."""
    scenes, rows, objects = objects_of(labels, lengths)
    found = []
    for item in schema.properties:
        values = objects[:, schema.columns[item.name]]
        missing[item.name] += int(is_missing(item, values).sum())
        if isinstance(item, Continuous):
            low, high = np.array(item.lows, np.float32), np.array(item.highs, np.float32)
            outside = np.isfinite(values).all(1) & ((values < low) | (values > high)).any(1)
            for at in np.flatnonzero(outside):
                text = f"{value_text(item, rows[at], values[at])}, outside the bounds"
                found.append((int(scenes[at]), text))
    return found
