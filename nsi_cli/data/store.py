"""The store: a built dataset on disk, and how it is read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from nsi_cli.errors import DataError
from nsi_cli.files import read_json
from nsi_cli.schema import Schema

BUILD = "build.json"
SCHEMA = "schema.json"
IMAGES = "images.h5"
FORMAT = 1

Index = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass
class Store:
    """A built dataset: images, masks, primitives and ids by split; made with `open_store`.

    Picklable: the HDF5 file is opened on first use in each process, since its handle survives
    neither a fork nor pickling.
    """

    path: Path
    schema: Schema
    build: dict[str, Any]
    _handle: h5py.File | None = field(default=None, repr=False, compare=False)
    _process: int = field(default=-1, repr=False, compare=False)

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
        return [item.decode() for item in self._file["ids"][split][()]]

    def images(self, split: str, index: npt.ArrayLike) -> Bytes:
        """The images (n, S, S, 3) uint8 of the scenes at ``index`` (n,), in that order."""
        self.count(split)
        return _rows(self._file[split], np.asarray(index))

    def masks(self, split: str, index: npt.ArrayLike) -> Bytes | None:
        """The masks (n, S, S) uint8 of the scenes at ``index``; None where there are none."""
        self.count(split)
        return _rows(self._file["masks"][split], np.asarray(index)) if self.has_masks else None

    def primitives(self, split: str) -> tuple[npt.NDArray[np.float32], Index]:
        """The split's primitives (n, T, width), zero-padded, and their counts (n,)."""
        self.count(split)
        labels = np.load(self.path / f"{split}_labels.npy", allow_pickle=False)
        lengths = np.load(self.path / f"{split}_lengths.npy", allow_pickle=False)
        return labels, lengths

    @property
    def _file(self) -> h5py.File:
        if self._handle is None or self._process != os.getpid():
            try:
                # Nobody writes to a store, so no lock is needed; some file systems have none.
                self._handle = h5py.File(self.path / IMAGES, "r", locking=False)
            except OSError as error:
                told = " ".join(str(error).split())
                raise DataError(
                    f"store {self.path}: {IMAGES} cannot be read: {told}", "build the store again"
                ) from error
            self._process = os.getpid()
        return self._handle

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None, "_process": -1}


def _rows(dataset: h5py.Dataset, index: Index) -> Bytes:
    """Rows of a dataset in any order and with repeats, through one sorted read."""
    places, back = np.unique(index.astype(np.int64, copy=False), return_inverse=True)
    if len(places) and places[-1] - places[0] + 1 == len(places):
        rows = dataset[places[0] : places[-1] + 1]
    else:
        rows = dataset[places]
    return np.asarray(rows)[back]


def open_store(path: Path) -> Store:
    """Open a store. Raises `DataError` where there is no whole one."""
    hint = f"build it: nsi build-data TASK --out {path}"
    if not (path / BUILD).is_file():
        raise DataError(f"no store at {path}", hint)
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
