"""``build.json`` and ``schema.json``: the record of a store, and its checks."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from reprlib import repr  # short, whatever the file contains
from typing import Any

from nsi_cli.schema import Categorical, Schema
from nsi_cli.support.errors import DataError, SchemaError
from nsi_cli.support.files import read_json
from nsi_cli.support.reading import reason_of

BUILD = "build.json"
SCHEMA = "schema.json"
IMAGES = "images.h5"
SCENE_LABEL = "scene_label.json"
FORMAT = 2

_LARGEST_SIDE = 1 << 16  # of an image, in pixels; bounds the size of arrays
_KEYS = {
    "task": str,
    "image_size": int,
    "masks": bool,
    "schema": str,
    "splits": dict,
    "options": dict,
    "skipped": list,
    "files": dict,
}
_COUNTS = ("scenes", "objects", "dropped_objects")


def array_files(split: str) -> dict[str, str]:
    """The names of a split's files of labels and lengths."""
    return {content: f"{split}_{content}.npy" for content in ("labels", "lengths")}


def scene_labels_file(split: str) -> str:
    """The name of a split's file of scene labels; only stores with scene labels have it."""
    return f"{split}_scene_labels.npy"


def record_faults(build: dict[str, Any]) -> list[str]:
    """The faults of the content of ``build.json``: its keys, types, names and counts."""
    faults = []
    if build.get("format") != FORMAT:
        faults.append(f"format is {repr(build.get('format'))}, not {FORMAT}")
    for key, kind in _KEYS.items():
        if key not in build:
            faults.append(f"no '{key}'")
        elif type(build[key]) is not kind:
            faults.append(f"'{key}' is {repr(build[key])}")
    if faults:
        return faults
    if not 1 <= build["image_size"] <= _LARGEST_SIDE:
        faults.append(f"'image_size' is {build['image_size']}")
    return [*faults, *_split_faults(build["splits"]), *_file_faults(build)]


def _split_faults(splits: dict[str, Any]) -> Iterator[str]:
    if not splits:
        yield "it has no split"
    for split, counts in splits.items():
        known = counts if isinstance(counts, dict) else {}
        missing = [key for key in _COUNTS if not _is_count(known.get(key))]
        if missing:
            yield f"split '{split}' has no number of {' and '.join(missing)}"
        if not is_split_name(split):
            yield f"split {repr(split)} is not a plain name"


def _file_faults(build: dict[str, Any]) -> Iterator[str]:
    files = build["files"]
    for name, file in files.items():
        if (
            not isinstance(file, dict)
            or not _is_count(file.get("bytes"))
            or not isinstance(file.get("sha256"), str)
        ):
            yield f"file '{name}' has no size or no SHA-256"
        elif Path(name).name != name:
            yield f"file '{name}' is not a plain file name"
    arrays = [name for split in build["splits"] for name in array_files(split).values()]
    if SCENE_LABEL in files:
        arrays += map(scene_labels_file, build["splits"])
    for name in (IMAGES, SCHEMA, *arrays):
        if name not in files:
            yield f"no hash of {name} is recorded"


def is_split_name(name: str) -> bool:
    """Whether a split can have this name: an identifier other than a group of ``images.h5``."""
    return name.isidentifier() and name not in ("masks", "ids")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def size_fault(folder: Path, name: str, size: int) -> str | None:
    """The fault of a recorded file, by its existence, type and size; None if there is none."""
    try:
        status = (folder / name).stat()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        return f"{name} is missing" if missing else f"{name} cannot be read: {reason_of(error)}"
    if not stat.S_ISREG(status.st_mode):
        return f"{name} is not a regular file"
    if status.st_size != size:
        return f"{name} has {status.st_size:,} bytes, {size:,} were written"
    return None


def read_schema(path: Path, what: str, hint: str) -> Schema:
    """The schema in a JSON file. Raises `DataError` that names ``what`` it is, with ``hint``."""
    data = read_json(path, what, hint)
    try:
        return Schema.from_json(data)
    except (SchemaError, OverflowError, RecursionError) as error:
        reason = error.message if isinstance(error, SchemaError) else str(error)
        raise DataError(f"{what} {path} cannot be read: {reason}", hint) from None


def read_scene_label(folder: Path, build: dict[str, Any], hint: str) -> Categorical | None:
    """The name and values of a store's scene labels; None if it has none.

    Raises `DataError` with ``hint`` if they cannot be read.
    """
    if SCENE_LABEL not in build["files"]:
        return None
    data, path = read_json(folder / SCENE_LABEL, "scene label", hint), folder / SCENE_LABEL
    try:
        return Categorical(data["name"], data["values"])
    except (SchemaError, LookupError, TypeError) as error:
        raise DataError(f"scene label {path} cannot be read: {reason_of(error)}", hint) from None
