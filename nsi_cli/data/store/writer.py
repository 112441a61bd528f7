"""Writing the rest of a store beside its images: labels, ids, schema and ``build.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store.images import add_ids
from nsi_cli.data.store.reader import BUILD, IMAGES, SCHEMA, Store
from nsi_cli.data.store.record import FORMAT, SCENE_LABEL, array_files, scene_labels_file
from nsi_cli.schema import Categorical, Schema
from nsi_cli.support.files import sha256, write_json

EXAMPLES = 5
"""The most scenes of a split with dropped objects that ``build.json`` names."""


@dataclass(frozen=True, slots=True)
class StoredScene:
    """What a store holds of a scene beside its image and mask; the counts are those of `Scene`."""

    number: int  # its row in the file of images
    id: str
    primitives: npt.NDArray[np.float32]  # (objects, W)
    dropped: int
    hidden: int
    lost: tuple[tuple[str, str], ...]
    label: int  # the id of its label; −1 without one


def complete_store(
    folder: Path,
    schema: Schema,
    scenes: Mapping[str, Sequence[StoredScene]],
    *,
    task: str,
    image_size: int,
    masked: bool,
    scene_label: Categorical | None,
    record: Mapping[str, Any],
) -> Store:
    """Complete the store in a folder that holds the images of the ``scenes`` of each split.

    ``build.json``, with ``record`` in it, is written last. Raises `OSError` if the disk is full.
    """
    add_ids(
        folder / IMAGES, {split: [item.id for item in items] for split, items in scenes.items()}
    )
    for split, items in scenes.items():
        _write_labels(folder, split, items, schema)
        if scene_label is not None:
            ids = np.array([item.label for item in items], np.int64)
            _write_array(folder / scene_labels_file(split), ids)
    if scene_label is not None:
        names = {"name": scene_label.name, "values": list(scene_label.values)}
        write_json(folder / SCENE_LABEL, names)
    write_json(folder / SCHEMA, schema.to_json())
    for name, data in label_files(schema).items():
        write_json(folder / name, data)
    build: dict[str, Any] = {
        "format": FORMAT,
        "task": task,
        "image_size": image_size,
        "masks": masked,
        "schema": schema.fingerprint,
        "splits": {split: _counts(items) for split, items in scenes.items()},
        **record,
        "files": {
            file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)}
            for file in sorted(folder.iterdir())
        },
    }
    write_json(folder / BUILD, build)
    return Store(folder, schema, build, scene_label)


def _write_labels(folder: Path, split: str, scenes: Sequence[StoredScene], schema: Schema) -> None:
    labels = np.zeros((len(scenes), schema.max_objects, schema.width), np.float32)
    for row, scene in zip(labels, scenes, strict=True):
        row[: len(scene.primitives)] = scene.primitives
    lengths = np.array([len(scene.primitives) for scene in scenes], np.int64)
    names = array_files(split)
    _write_array(folder / names["labels"], labels)
    _write_array(folder / names["lengths"], lengths)


def _write_array(path: Path, array: npt.NDArray[Any]) -> None:
    buffer = BytesIO()  # numpy's own file writing does not report a full disk
    np.save(buffer, array, allow_pickle=False)
    path.write_bytes(buffer.getbuffer())


def _counts(scenes: Sequence[StoredScene]) -> dict[str, Any]:
    """What ``build.json`` records of a split."""
    counts: dict[str, Any] = {
        "scenes": len(scenes),
        "objects": sum(len(scene.primitives) for scene in scenes),
        "dropped_objects": sum(scene.dropped for scene in scenes),
        "hidden_objects": sum(scene.hidden for scene in scenes),
    }
    dropped = [scene.id for scene in scenes if scene.dropped]
    if dropped:
        counts["dropped_in"] = dropped[:EXAMPLES]
    lost: dict[str, dict[str, int]] = {}
    for (name, value), count in sorted(Counter(x for scene in scenes for x in scene.lost).items()):
        lost.setdefault(name, {})[value] = count
    return {**counts, "lost_values": lost} if lost else counts


def label_files(schema: Schema) -> dict[str, Any]:
    """The contents of the three published label files: values, their ids, and ids to values."""
    space = {
        item.name: list(item.values)
        if isinstance(item, Categorical)
        else {"size": item.size, "low": list(item.lows), "high": list(item.highs)}
        for item in schema.properties
    }
    ids = {item.name: {v: i for i, v in enumerate(item.values)} for item in schema.categorical}
    values = {name: {str(i): v for v, i in by_value.items()} for name, by_value in ids.items()}
    return {
        "program_space.json": space,
        "program2label.json": ids,
        "label2program.json": values,
    }
