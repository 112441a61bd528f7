"""Checks of a store's labels: counts, lengths, ids, numbers and padding."""

from __future__ import annotations

from nsi_cli.data.store.faults import CheckResult
from nsi_cli.data.store.labels import (
    Flags,
    Floats,
    Places,
    SplitLabels,
    check_lengths,
    check_values,
    fault_of_total,
    read_labels,
    scene_name,
)
from nsi_cli.data.store.reader import Store

__all__ = ["Flags", "Ids", "Lengths", "Places", "check_labels", "scene_name"]

Lengths = dict[str, Places]
Ids = dict[str, list[str]]


def check_labels(result: CheckResult, counts: CheckResult, store: Store, ids: Ids) -> Lengths:
    """Check every split's labels against schema and record; return the lengths of valid splits."""
    counts.begun = True
    missing = {item.name: 0 for item in store.schema.properties}
    sound: Lengths = {}
    scenes, objects = 0, 0
    for split in store.splits:
        arrays = _arrays(counts, store, split)
        if arrays is None:
            continue
        whole = SplitLabels(split, *arrays, ids.get(split, []))
        if not check_lengths(result, whole, store.schema.max_objects):
            continue
        sound[split], total = whole.lengths, int(whole.lengths.sum())
        scenes, objects = scenes + len(whole.lengths), objects + total
        recorded = store.build["splits"][split]["objects"]
        if fault := fault_of_total(split, whole.lengths, recorded):
            counts.fault(fault)
        for part in whole.parts():
            check_values(result, part, store.schema, missing)
    result.looked_at = f"{objects:,} objects" + "".join(
        f", {count:,} without {name}" for name, count in missing.items() if count
    )
    counts.looked_at = f"{scenes:,} scenes, {objects:,} objects"
    return sound


def _arrays(counts: CheckResult, store: Store, split: str) -> tuple[Floats, Places] | None:
    try:
        return read_labels(store.path, split, store.count(split), store.schema)
    except OSError as error:
        counts.fault(str(error))
        return None
