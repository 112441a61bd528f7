"""The store: a built dataset on disk, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store_images import Rows, read_ids, read_rows, rows_of
from nsi_cli.errors import DataError
from nsi_cli.files import read_json
from nsi_cli.schema import Schema

BUILD = "build.json"
SCHEMA = "schema.json"
IMAGES = "images.h5"
FORMAT = 2

Index = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Opened:
    """The file of images, and where its rows lie.

    It is read by place, so processes and threads may share it.
    """

    file: FileIO
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
        """A hash of the images; two stores of the same images share their feature caches."""
        return str(self.build["files"][IMAGES]["sha256"])

    def count(self, split: str) -> int:
        """How many scenes a split has. Raises `DataError` for a split that is not there."""
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

    def images(self, split: str, index: npt.ArrayLike, into: Bytes | None = None) -> Bytes:
        """The images (n, S, S, 3) uint8 of the scenes at ``index`` (n,), in that order.

        They are read ``into`` an array of their shape where one is given.
        """
        self.count(split)
        return self._rows(split, index, into)

    def masks(self, split: str, index: npt.ArrayLike) -> Bytes | None:
        """The masks (n, S, S) uint8 of the scenes at ``index``; None where there are none."""
        self.count(split)
        return self._rows(f"masks/{split}", index) if self.has_masks else None

    def primitives(self, split: str) -> tuple[npt.NDArray[np.float32], Index]:
        """The split's primitives (n, T, width), zero-padded, and their counts (n,)."""
        self.count(split)
        labels = np.load(self.path / f"{split}_labels.npy", allow_pickle=False)
        lengths = np.load(self.path / f"{split}_lengths.npy", allow_pickle=False)
        return labels, lengths

    def _rows(self, name: str, index: npt.ArrayLike, into: Bytes | None = None) -> Bytes:
        opened = self._open()
        numbers = np.asarray(index).astype(np.int64, copy=False)
        try:
            return read_rows(opened.file.fileno(), opened.rows[name], numbers, into)
        except OSError as error:
            raise self._unreadable(error) from error

    def _open(self) -> _Opened:
        if self._opened is None:
            path = self.path / IMAGES
            try:
                self._opened = _Opened(FileIO(path), rows_of(path))
            except OSError as error:
                raise self._unreadable(error) from error
        return self._opened

    def _unreadable(self, error: OSError) -> DataError:
        told = " ".join(str(error).split())
        return DataError(
            f"store {self.path}: {IMAGES} cannot be read: {told}", "build the store again"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def is_store(path: Path) -> bool:
    """Whether a whole store is at ``path``."""
    return (path / BUILD).is_file()


def open_store(path: Path, task: str = "TASK") -> Store:
    """Open a store. Raises `DataError` where there is no whole one.

    ``task``, where it is known, goes into the hint at how to build it.
    """
    hint = f"build it: nsi build-data {task} --out {path}"
    if not is_store(path):
        raise DataError(f"no store at {path}", hint)
    hint += " --force"
    build = read_json(path / BUILD, "store", hint)
    if not isinstance(build, dict) or build.get("format") != FORMAT:
        raise DataError(f"store {path} has another format", hint)
    for name, size in _sizes(path, build).items():
        file = path / name
        if not file.is_file() or file.stat().st_size != size:
            raise DataError(f"store {path} is damaged: {name} is missing or has another size", hint)
    schema = Schema.from_json(read_json(path / SCHEMA, "schema", hint))
    if schema.fingerprint != build["schema"]:
        raise DataError(f"store {path} is damaged: {SCHEMA} is not the one it was built with", hint)
    return Store(path, schema, build)


_TOLD = {"task": str, "schema": str, "image_size": int, "masks": bool, "splits": dict}


def _sizes(path: Path, build: dict[str, Any]) -> dict[str, int]:
    """The bytes that each file should have. Raises `DataError` where ``build`` lacks anything."""
    try:
        if all(isinstance(build[key], kind) for key, kind in _TOLD.items()):
            return {name: int(told["bytes"]) for name, told in build["files"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    raise DataError(
        f"store {path} is damaged: its {BUILD} is not as it was written", "build the store again"
    )
