"""The labels and lengths of a split: read from their files, and checked against the schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store.record import array_files, scene_labels_file
from nsi_cli.data.store.rows import Index
from nsi_cli.schema import Categorical, Property, Schema
from nsi_cli.schema.properties import MISSING_ID
from nsi_cli.support.reading import open_regular, reason_of

Floats = npt.NDArray[np.float32]


def read_labels(folder: Path, split: str, scenes: int, schema: Schema) -> tuple[Floats, Index]:
    """A split's labels (n, T, W) and lengths (n,). Raises `OSError` that names the wrong file."""
    names = array_files(split)
    shape = (scenes, schema.max_objects, schema.width)
    labels = _read_array(folder / names["labels"], shape, np.dtype(np.float32))
    return labels, _read_array(folder / names["lengths"], (scenes,), np.dtype(np.int64))


def read_scene_labels(folder: Path, split: str, scenes: int) -> Index:
    """The ids (n,) of a split's scene labels. Raises `OSError` that names the file."""
    return _read_array(folder / scene_labels_file(split), (scenes,), np.dtype(np.int64))


def _read_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The array of an ``npy`` file. Raises `OSError` unless it has this shape and type."""
    try:
        with open_regular(path) as file:
            array = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise OSError(f"{path.name} is missing") from None
    except Exception as error:  # numpy raises many types on a damaged file
        raise OSError(f"{path.name} cannot be read: {reason_of(error)}") from error
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        raise OSError(f"{path.name} is not an array of {dtype} {shape}")
    if not array.flags.c_contiguous:
        raise OSError(f"{path.name} is stored by columns, not by rows")
    return array


def objects_of(labels: Floats, lengths: Index) -> tuple[Index, Index, Floats]:
    """The scene, the row in that scene, and the primitive of each object."""
    scenes, rows = np.nonzero(np.arange(labels.shape[1]) < lengths[:, None])
    return scenes, rows, labels[scenes, rows]


def label_faults(labels: Floats, lengths: Index, schema: Schema) -> Iterator[tuple[int, str]]:
    """The faults of a split's labels: the index of the scene, and the fault.

    Lengths must be within bounds, ids in the vocabulary, numbers finite, and the padding zero. If
    a length is not, only lengths are checked.
    """
    most = schema.max_objects
    wrong = np.flatnonzero((lengths < 0) | (lengths > most)).tolist()
    for scene in wrong:
        yield scene, f"{lengths[scene]} objects, 0 to {most} fit"
    if wrong:
        return
    padding = (labels != 0).any(2) & (np.arange(most) >= lengths[:, None])
    for scene in np.flatnonzero(padding.any(1)).tolist():
        yield scene, f"numbers beyond its {lengths[scene]} objects"
    scenes, rows, objects = objects_of(labels, lengths)
    for item in schema.properties:
        values = objects[:, schema.columns[item.name]]
        for at in np.flatnonzero(~is_missing(item, values) & ~_is_valid(item, values)):
            expected = (
                f"ids run from 0 to {len(item.values) - 1}"
                if isinstance(item, Categorical)
                else "not finite"
            )
            text = value_text(item, rows[at], values[at])
            yield int(scenes[at]), f"{text}, {expected}"


def scene_label_faults(ids: Index, label: Categorical) -> Iterator[tuple[int, str]]:
    """The faults of a split's scene labels: the index of the scene, and the fault."""
    most = len(label.values) - 1
    for scene in np.flatnonzero((ids < MISSING_ID) | (ids > most)).tolist():
        yield scene, f"its {label.name} has id {ids[scene]}, ids run from 0 to {most}"


def count_fault(split: str, lengths: Index, recorded: int) -> str | None:
    """The fault of a split's number of objects; None if it is the recorded one."""
    total = lengths.sum()
    if total == recorded:
        return None
    return f"split '{split}' has {total} objects, {recorded} were recorded"


def value_text(item: Property, row: int, value: Floats) -> str:
    """The value of a property of the object in a row of its scene, for a message."""
    numbers = " ".join(f"{number:g}" for number in value)
    return f"object {row + 1} has {item.name} {numbers}"


def is_missing(item: Property, values: Floats) -> npt.NDArray[np.bool_]:
    """Which values (n, columns) of a property are missing."""
    missing = values == MISSING_ID if isinstance(item, Categorical) else np.isnan(values)
    return np.asarray(missing.all(1))


def _is_valid(item: Property, values: Floats) -> npt.NDArray[np.bool_]:
    """Which values (n, columns) of a property are ids of the vocabulary, or finite."""
    if isinstance(item, Categorical):
        valid = (values >= 0) & (values < len(item.values)) & (values == np.floor(values))
    else:
        valid = np.isfinite(values)
    return np.asarray(valid.all(1))
