"""The store: a built dataset on disk, and its reader."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store.images import Rows, checked_rows, read_ids, read_rows
from nsi_cli.data.store.labels import first_fault, read_labels
from nsi_cli.data.store.record import (
    BUILD,
    FORMAT,
    IMAGES,
    SCHEMA,
    read_schema,
    record_faults,
    size_fault,
)
from nsi_cli.schema import Schema
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import read_json
from nsi_cli.support.reading import open_regular, reason_of

__all__ = ["BUILD", "FORMAT", "IMAGES", "SCHEMA", "Store", "is_store", "open_store"]

Index = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Opened:
    """The file of images, and the location of its rows.

    It is read by offset, so processes and threads can share it.
    """

    file: BinaryIO
    rows: dict[str, Rows]


@dataclass
class Store:
    """A built dataset: images, masks, primitives and ids by split; made with `open_store`.

    Picklable, and safe to use after a fork: the file of images is opened on first use.
    """

    path: Path
    schema: Schema
    build: dict[str, Any]
    _opened: _Opened | None = field(default=None, repr=False, compare=False)

    @property
    def task(self) -> str:
        """The name of the task whose builder made it."""
        return str(self.build["task"])

    @property
    def image_size(self) -> int:
        """The side of the square images, in pixels."""
        return int(self.build["image_size"])

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.build["splits"])

    @property
    def has_masks(self) -> bool:
        """Whether every scene has its instance mask."""
        return bool(self.build["masks"])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the images, which identifies their feature caches."""
        return str(self.build["files"][IMAGES]["sha256"])

    def count(self, split: str) -> int:
        """The number of scenes of a split. Raises `DataError` for an unknown split."""
        if split not in self.build["splits"]:
            raise DataError(
                f"store {self.path} has no split '{split}'", f"it has: {', '.join(self.splits)}"
            )
        return int(self.build["splits"][split]["scenes"])

    def ids(self, split: str) -> list[str]:
        """The ids of a split's scenes, in order."""
        self.count(split)
        try:
            return read_ids(self.path / IMAGES, split)
        except OSError as error:
            raise self._unreadable(error) from error

    def images(self, split: str, index: npt.ArrayLike) -> Bytes:
        """The images (n, S, S, 3) uint8 of the scenes at ``index`` (n,), in that order."""
        self.count(split)
        return self._rows(split, index)

    def masks(self, split: str, index: npt.ArrayLike) -> Bytes | None:
        """The masks (n, S, S) uint8 of the scenes at ``index``; None if there are none."""
        self.count(split)
        return self._rows(f"masks/{split}", index) if self.has_masks else None

    def primitives(self, split: str) -> tuple[npt.NDArray[np.float32], Index]:
        """The split's primitives (n, T, width), zero-padded, and their counts (n,)."""
        try:
            return read_labels(self.path, split, self.count(split), self.schema)
        except OSError as error:
            raise _damaged(self.path, reason_of(error)) from error

    def fault(self) -> str | None:
        """What is wrong with images, masks, ids or labels; None if nothing.

        Of images and masks only the headers are read.
        """
        try:
            self._opened = self._opened or _open_images(self)
            return first_fault(self.path, self.build, self.schema)
        except OSError as error:
            return reason_of(error)

    def _rows(self, name: str, index: npt.ArrayLike) -> Bytes:
        opened = self._open()
        numbers = np.asarray(index).astype(np.int64, copy=False)
        try:
            return read_rows(opened.file.fileno(), opened.rows[name], numbers)
        except OSError as error:
            raise self._unreadable(error) from error

    def _open(self) -> _Opened:
        if self._opened is None:
            try:
                self._opened = _open_images(self)
            except OSError as error:
                raise _damaged(self.path, reason_of(error)) from error
        return self._opened

    def _unreadable(self, error: OSError) -> DataError:
        return _damaged(self.path, f"{IMAGES} cannot be read: {reason_of(error)}")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def is_store(path: Path) -> bool:
    """Whether there is a complete store at ``path``."""
    return (path / BUILD).is_file()


def open_store(path: Path, task: str = "TASK") -> Store:
    """Open a store. Raises `DataError` if there is no complete one.

    Everything that a command reads is checked, except the images and masks themselves: the record,
    the sizes of files, the schema, the headers of ``images.h5``, lengths and labels. ``task``,
    if it is known, is named in the hint.
    """
    hint = f"build it: nsi build-data {task} --out {path}"
    if not os.path.lexists(path / BUILD):
        raise DataError(f"no store at {path}", hint)
    hint += " --force"
    build = read_json(path / BUILD, "store", hint)
    if not isinstance(build, dict) or build.get("format") != FORMAT:
        raise DataError(f"store {path} has another format", hint)
    if faults := record_faults(build):
        raise _damaged(path, f"{BUILD}: {faults[0]}", hint)
    for name, known in build["files"].items():
        if wrong := size_fault(path, name, known["bytes"]):
            raise _damaged(path, wrong, hint)
    schema = read_schema(path / SCHEMA, "schema", hint)
    if schema.fingerprint != build["schema"]:
        raise _damaged(path, f"{SCHEMA} is not the one it was built with", hint)
    store = Store(path, schema, build)
    if fault := store.fault():
        raise _damaged(path, fault, hint)
    return store


def _open_images(store: Store) -> _Opened:
    """Open the file of images. Raises `OSError` unless its headers are as recorded."""
    path = store.path / IMAGES
    counts = {split: store.count(split) for split in store.splits}
    try:
        rows = checked_rows(path, counts, store.image_size, masked=store.has_masks)
        return _Opened(open_regular(path), rows)
    except OSError as error:
        raise OSError(f"{IMAGES} cannot be read: {reason_of(error)}") from error


def _damaged(path: Path, fault: str, hint: str = "build the store again") -> DataError:
    return DataError(f"store {path} is damaged: {fault}", hint)
