"""Checks of a store's labels: counts, lengths, ids, numbers and padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.check_verdict import Verdict
from nsi_cli.data.store import Store
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.schema.properties import MISSING_ID

AT_ONCE = 4096
"""Scenes whose labels are looked at at once."""

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Lengths = dict[str, Places]
Ids = dict[str, list[str]]


@dataclass(frozen=True)
class _Part:
    """Some scenes of a split: their labels (n, T, W), lengths (n,), and where they begin."""

    split: str
    start: int
    labels: Floats
    lengths: Places
    ids: list[str]  # of the whole split

    def name(self, row: int) -> str:
        return scene_name(self.split, self.start + row, self.ids)


def scene_name(split: str, place: int, ids: list[str]) -> str:
    """How a fault names a scene: by split, place and id."""
    return f"{split} {place}" + (f" ({ids[place]})" if place < len(ids) else "")


def check_labels(verdict: Verdict, counts: Verdict, store: Store, ids: Ids) -> Lengths:
    """Every split's labels fit the schema and the recorded counts; the lengths of those that do."""
    counts.begun = True
    missing = {item.name: 0 for item in store.schema.properties}
    sound: Lengths = {}
    scenes, objects, most = 0, 0, store.schema.max_objects
    for split in store.splits:
        arrays = _arrays(counts, store, split)
        if arrays is None:
            continue
        labels, lengths = arrays
        bad = np.flatnonzero((lengths < 0) | (lengths > most))
        verdict.fault_each(bad, partial(_tell_length, split, ids.get(split, []), lengths, most))
        if len(bad):
            continue
        sound[split] = lengths
        scenes, objects = scenes + len(lengths), objects + int(lengths.sum())
        if lengths.sum() != store.build["splits"][split]["objects"]:
            recorded = store.build["splits"][split]["objects"]
            counts.fault(f"split '{split}' has {lengths.sum()} objects, {recorded} were recorded")
        for part in _parts(split, labels, lengths, ids.get(split, [])):
            _check_part(verdict, part, store.schema, missing)
    verdict.looked_at = f"{objects:,} objects" + "".join(
        f", {count:,} without {name}" for name, count in missing.items() if count
    )
    counts.looked_at = f"{scenes:,} scenes, {objects:,} objects"
    return sound


def _tell_length(split: str, ids: list[str], lengths: Places, most: int, place: int) -> str:
    return f"{scene_name(split, place, ids)}: {lengths[place]} objects, 0 to {most} fit"


def _arrays(counts: Verdict, store: Store, split: str) -> tuple[Floats, Places] | None:
    scenes, schema = store.count(split), store.schema
    wanted = {
        "labels": ((scenes, schema.max_objects, schema.width), np.float32),
        "lengths": ((scenes,), np.int64),
    }
    found: list[Any] = []
    for what, (shape, kind) in wanted.items():
        name = f"{split}_{what}.npy"
        try:
            array = np.load(store.path / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            counts.fault(f"{name} cannot be read: {' '.join(str(error).split())}")
            continue
        if array.shape != shape or array.dtype != kind:
            counts.fault(
                f"{name} is {array.dtype} {array.shape}, {np.dtype(kind)} {shape} is wanted"
            )
            continue
        found.append(array)
    return (found[0], np.array(found[1])) if len(found) == len(wanted) else None


def _parts(split: str, labels: Floats, lengths: Places, ids: list[str]) -> Iterator[_Part]:
    for start in range(0, len(lengths), AT_ONCE):
        stop = start + AT_ONCE
        yield _Part(split, start, np.array(labels[start:stop]), lengths[start:stop], ids)


def _check_part(verdict: Verdict, part: _Part, schema: Schema, missing: dict[str, int]) -> None:
    present = np.arange(part.labels.shape[1]) < part.lengths[:, None]
    padding = (part.labels != 0).any(2) & ~present
    verdict.fault_each(
        np.flatnonzero(padding.any(1)),
        lambda row: f"{part.name(row)}: numbers beyond its {part.lengths[row]} objects",
    )
    rows, places = np.nonzero(present)
    objects = part.labels[rows, places]  # (objects, W)
    for item in schema.properties:
        values = objects[:, schema.columns[item.name]]
        tell = partial(_tell, part, rows, places, values, item.name)
        if isinstance(item, Categorical):
            wrong, absent = _categorical(item, values[:, 0])
            why = f"ids run from 0 to {len(item.values) - 1}"
        else:
            wrong, absent, outside = _continuous(item, values)
            why = "not finite"
            verdict.warn_each(np.flatnonzero(outside), partial(tell, why="outside the bounds"))
        verdict.fault_each(np.flatnonzero(wrong), partial(tell, why=why))
        missing[item.name] += int(absent.sum())


def _tell(
    part: _Part, rows: Places, places: Places, values: Floats, name: str, at: int, why: str
) -> str:
    value = " ".join(f"{number:g}" for number in values[at])
    return f"{part.name(rows[at])}: object {places[at] + 1} has {name} {value}, {why}"


def _categorical(item: Categorical, ids: Floats) -> tuple[Flags, Flags]:
    """Which ids (n,) are none of the vocabulary's, and which stand for a missing value."""
    known = (ids >= 0) & (ids < len(item.values)) & (ids == np.floor(ids))
    missing = ids == MISSING_ID
    return ~(known | missing), missing


def _continuous(item: Continuous, values: Floats) -> tuple[Flags, Flags, Flags]:
    """Which values (n, size) are not finite, are missing, or are outside the bounds.

    A missing value is NaN in every component. Bounds normalise, and forbid nothing.
    """
    missing = np.asarray(np.isnan(values).all(1))
    finite = np.asarray(np.isfinite(values).all(1))
    low, high = np.array(item.lows, np.float32), np.array(item.highs, np.float32)
    outside = finite & ((values < low) | (values > high)).any(1)
    return ~(finite | missing), missing, np.asarray(outside)
