"""A split's labels and lengths: read from their files, and checked against the schema."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store.faults import CheckResult
from nsi_cli.data.store.record import array_files
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.schema.properties import MISSING_ID
from nsi_cli.support.reading import open_regular, reason_of

AT_ONCE = 4096
"""Scenes whose labels are checked together."""

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SplitLabels:
    """Some scenes of a split: their labels (n, T, W), lengths (n,), and the first one's index."""

    split: str
    labels: Floats
    lengths: Places
    ids: list[str]  # of the whole split, or none
    start: int = 0

    def name(self, row: int) -> str:
        """How a fault names a scene."""
        return scene_name(self.split, self.start + row, self.ids)

    def parts(self) -> Iterator[SplitLabels]:
        """The same in parts that are checked together."""
        for start in range(0, len(self.lengths), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            yield SplitLabels(self.split, self.labels[rows], self.lengths[rows], self.ids, start)


def scene_name(split: str, index: int, ids: list[str]) -> str:
    """How a fault names a scene: by split, index and id."""
    return f"{split} {index}" + (f" ({ids[index]})" if index < len(ids) else "")


def read_labels(folder: Path, split: str, scenes: int, schema: Schema) -> tuple[Floats, Places]:
    """A split's labels (n, T, W) and lengths (n,). Raises `OSError` that names the wrong file."""
    names = array_files(split)
    shape = (scenes, schema.max_objects, schema.width)
    labels = read_array(folder / names["labels"], shape, np.float32)
    return labels, read_array(folder / names["lengths"], (scenes,), np.int64)


def read_array(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> npt.NDArray[Any]:
    """The array of an ``npy`` file. Raises `OSError` unless it has this shape and type.

    Its header is checked before memory is allocated; objects are never unpickled.
    """
    try:
        with open_regular(path) as file:
            return _read_array(file, shape, np.dtype(kind))
    except FileNotFoundError:
        raise OSError(f"{path.name} is missing") from None
    except Exception as error:  # numpy raises many types on a damaged header
        raise OSError(f"{path.name} cannot be read: {reason_of(error)}") from error


def _read_array(file: BinaryIO, shape: tuple[int, ...], kind: np.dtype[Any]) -> npt.NDArray[Any]:
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"its format is version {version}")
    found, by_columns, dtype = read_header(file)
    if found != shape or dtype != kind or (by_columns and len(shape) > 1):
        order = " by columns" if by_columns else ""
        raise ValueError(f"it is {dtype} {found}{order}, not {kind} {shape}")
    size = math.prod(shape)
    if os.fstat(file.fileno()).st_size - file.tell() != size * kind.itemsize:
        raise ValueError("its length is not what its header says")
    return np.fromfile(file, kind, size).reshape(shape)


def check_lengths(result: CheckResult, part: SplitLabels, most: int) -> bool:
    """Whether every length is within bounds; faults are added to ``result``."""
    bad = np.flatnonzero((part.lengths < 0) | (part.lengths > most))
    result.fault_each(
        bad, lambda row: f"{part.name(row)}: {part.lengths[row]} objects, 0 to {most} fit"
    )
    return not len(bad)


def check_values(
    result: CheckResult, part: SplitLabels, schema: Schema, missing: dict[str, int]
) -> None:
    """Check that ids are in the vocabulary, numbers finite, and the padding zero.

    Adds to ``missing`` the number of objects that lack each property.
    """
    present = np.arange(part.labels.shape[1]) < part.lengths[:, None]
    padding = (part.labels != 0).any(2) & ~present
    result.fault_each(
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
            result.warn_each(np.flatnonzero(outside), partial(tell, why="outside the bounds"))
        result.fault_each(np.flatnonzero(wrong), partial(tell, why=why))
        missing[item.name] += int(absent.sum())


def first_fault(folder: Path, build: dict[str, Any], schema: Schema) -> str | None:
    """What is wrong with the labels of a store; None if nothing. Raises `OSError` for a file."""
    result = CheckResult("labels", "")
    missing = {item.name: 0 for item in schema.properties}
    for split, counts in build["splits"].items():
        labels, lengths = read_labels(folder, split, counts["scenes"], schema)
        whole = SplitLabels(split, labels, lengths, [])
        if check_lengths(result, whole, schema.max_objects):
            for part in whole.parts():
                check_values(result, part, schema, missing)
        if fault := fault_of_total(split, lengths, counts["objects"]):
            result.fault(fault)
        if result.faults:
            return result.examples[0]
    return None


def fault_of_total(split: str, lengths: Places, recorded: int) -> str | None:
    """What is wrong with the number of objects of a split; None if nothing."""
    total = lengths.sum()
    wrong = total != recorded
    return f"split '{split}' has {total} objects, {recorded} were recorded" if wrong else None


def _tell(
    part: SplitLabels, rows: Places, places: Places, values: Floats, name: str, at: int, why: str
) -> str:
    value = " ".join(f"{number:g}" for number in values[at])
    return f"{part.name(rows[at])}: object {places[at] + 1} has {name} {value}, {why}"


def _categorical(item: Categorical, ids: Floats) -> tuple[Flags, Flags]:
    """Which ids (n,) are not in the vocabulary, and which mean a missing value."""
    known = (ids >= 0) & (ids < len(item.values)) & (ids == np.floor(ids))
    missing = ids == MISSING_ID
    return ~(known | missing), missing


def _continuous(item: Continuous, values: Floats) -> tuple[Flags, Flags, Flags]:
    """Which values (n, size) are not finite, are missing, or are outside the bounds.

    A missing value is NaN in every component. Values outside the bounds are allowed.
    """
    missing = np.asarray(np.isnan(values).all(1))
    finite = np.asarray(np.isfinite(values).all(1))
    low, high = np.array(item.lows, np.float32), np.array(item.highs, np.float32)
    outside = finite & ((values < low) | (values > high)).any(1)
    return ~(finite | missing), missing, np.asarray(outside)
