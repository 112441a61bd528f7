"""Writing the rest of a store beside its images: labels, ids, schema and ``build.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store.images import add_ids
from nsi_cli.data.store.reader import BUILD, FORMAT, IMAGES, SCHEMA, Store
from nsi_cli.schema import Categorical, Schema
from nsi_cli.support.files import sha256, write_json


@dataclass(frozen=True)
class StoreInfo:
    """The task, schema and image size of a store."""

    task: str
    schema: Schema
    image_size: int
    masked: bool


@dataclass(frozen=True)
class Labels:
    """The labels and ids of a split's n scenes."""

    ids: list[str]
    primitives: npt.NDArray[np.float32]  # (n, T, W), zero-padded
    lengths: npt.NDArray[np.int64]  # (n,)
    dropped: int  # objects without a pixel
    hidden: int  # those of them that have none in the dataset's own masks
    lost: Mapping[tuple[str, str], int]  # values that became missing, by property and value


Splits = dict[str, dict[str, Any]]
"""For each split: scenes, objects, dropped and hidden objects, and values that became missing."""

Meanwhile = Callable[[Store], object]
"""What is done with a store, all but whole, while its images are hashed."""


def write_labels(folder: Path, labels: Mapping[str, Labels]) -> Splits:
    """Write ids, primitives and their counts into a folder that holds the file of images.

    Returns what ``build.json`` records of each split. Raises `OSError` if the disk is full.
    """
    add_ids(folder / IMAGES, {split: item.ids for split, item in labels.items()})
    for split, item in labels.items():
        _save(folder / f"{split}_labels.npy", item.primitives)
        _save(folder / f"{split}_lengths.npy", item.lengths)
    return {split: _counts(item) for split, item in labels.items()}


def complete_store(
    folder: Path,
    info: StoreInfo,
    splits: Splits,
    record: Mapping[str, Any],
    meanwhile: Meanwhile | None = None,
) -> None:
    """Complete a store in a folder that holds images and labels of the ``splits``.

    ``meanwhile`` is called while the files are hashed; what it adds to the folder is not recorded.
    ``build.json``, with ``record`` in it, is written last. Raises `OSError` if the disk is full.
    """
    write_json(folder / SCHEMA, info.schema.to_json())
    for name, data in vocabularies(info.schema).items():
        write_json(folder / name, data)
    recorded = sorted(folder.iterdir())
    build: dict[str, Any] = {
        "format": FORMAT,
        "task": info.task,
        "image_size": info.image_size,
        "masks": info.masked,
        "schema": info.schema.fingerprint,
        "splits": splits,
        **record,
    }
    with ThreadPoolExecutor(1) as beside:
        hashing = beside.submit(_files, recorded)
        if meanwhile is not None:
            meanwhile(Store(folder, info.schema, build))
        files = hashing.result()
    write_json(folder / BUILD, {**build, "files": files})


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    # Through memory: numpy's own file writing does not report a full disk.
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    path.write_bytes(buffer.getbuffer())


def _counts(labels: Labels) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "scenes": len(labels.ids),
        "objects": int(labels.lengths.sum()),
        "dropped_objects": labels.dropped,
        "hidden_objects": labels.hidden,
    }
    lost: dict[str, dict[str, int]] = {}
    for (name, value), count in sorted(labels.lost.items()):
        lost.setdefault(name, {})[value] = count
    return {**counts, "lost_values": lost} if lost else counts


def _files(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    return {file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)} for file in paths}


def vocabularies(schema: Schema) -> dict[str, Any]:
    """The contents of the three published label files: values, their ids, and ids to values."""
    space = {
        item.name: list(item.values)
        if isinstance(item, Categorical)
        else {"size": item.size, "low": list(item.lows), "high": list(item.highs)}
        for item in schema.properties
    }
    ids = {item.name: {v: i for i, v in enumerate(item.values)} for item in schema.categorical}
    back = {name: {str(i): v for v, i in values.items()} for name, values in ids.items()}
    return {
        "program_space.json": space,
        "program2label.json": ids,
        "label2program.json": back,
    }
