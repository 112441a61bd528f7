"""The store: a built dataset on disk, and its reader."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store.images import ImageFile, open_image_file, read_ids
from nsi_cli.data.store.labels import (
    count_fault,
    label_faults,
    read_labels,
    read_scene_labels,
    scene_label_faults,
)
from nsi_cli.data.store.record import (
    BUILD,
    FORMAT,
    IMAGES,
    SCHEMA,
    read_scene_label,
    read_schema,
    record_faults,
    size_fault,
)
from nsi_cli.data.store.rows import Index
from nsi_cli.schema import Categorical, Schema
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import read_json
from nsi_cli.support.options import did_you_mean
from nsi_cli.support.reading import reason_of

__all__ = ["BUILD", "IMAGES", "SCHEMA", "Store", "is_store", "open_store"]

Bytes = npt.NDArray[np.uint8]


class UnknownSplitError(DataError):
    """The name of a split that a store does not have: a mistake in the command, not in the data."""

    exit_code = 2


@dataclass
class Store:
    """A built dataset: images, masks, primitives, labels and ids; made with `open_store`.

    Picklable, and safe to use after a fork: the file of images is opened on first use.
    """

    path: Path
    schema: Schema
    build: dict[str, Any]
    scene_label: Categorical | None = None  # the name and values of scene labels, if it has any
    _images: ImageFile | None = field(default=None, repr=False, compare=False)

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

    @property
    def fingerprint(self) -> str:
        """A hash of the images, which identifies their feature caches."""
        return str(self.build["files"][IMAGES]["sha256"])

    @property
    def contents(self) -> str:
        """A hash of all files of the store, which identifies its scenes, labels and splits."""
        hashes = sorted((name, item["sha256"]) for name, item in self.build["files"].items())
        return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()

    def count(self, split: str) -> int:
        """The number of scenes of a split. Raises `UnknownSplitError` for another name."""
        if split not in self.build["splits"]:
            raise UnknownSplitError(
                f"store {self.path} has no split '{split}'",
                f"{did_you_mean(split, self.splits)} it has: {', '.join(self.splits)}".strip(),
            )
        return int(self.build["splits"][split]["scenes"])

    def ids(self, split: str) -> list[str]:
        """The ids of a split's scenes, in order."""
        self.count(split)
        with self._damage_reported(f"{IMAGES} cannot be read: "):
            return read_ids(self.path / IMAGES, split)

    def images(self, split: str, index: npt.ArrayLike) -> Bytes:
        """The images (n, S, S, 3) uint8 of the scenes at ``index`` (n,), in that order."""
        self.count(split)
        return self._read(split, index)

    def masks(self, split: str, index: npt.ArrayLike) -> Bytes | None:
        """The masks (n, S, S) uint8 of the scenes at ``index``; None if there are none."""
        self.count(split)
        return self._read(f"masks/{split}", index) if self.has_masks else None

    def primitives(self, split: str) -> tuple[npt.NDArray[np.float32], Index]:
        """The split's primitives (n, T, width), zero-padded, and their counts (n,)."""
        with self._damage_reported():
            return read_labels(self.path, split, self.count(split), self.schema)

    def scene_labels(self, split: str) -> Index | None:
        """The ids (n,) of the scenes' labels, −1 for an unknown one; None if there are none.

        An id is the index of a value of `scene_label`.
        """
        count = self.count(split)
        if self.scene_label is None:
            return None
        with self._damage_reported():
            return read_scene_labels(self.path, split, count)

    def check(self) -> None:
        """Check the headers of the images and all labels. Raises `DataError` for the first fault.

        No image is read.
        """
        with self._damage_reported():
            self._open_images()
            for split in self.splits:
                labels, lengths = self.primitives(split)
                for scene, fault in label_faults(labels, lengths, self.schema):
                    raise OSError(f"{split} {scene}: {fault}")
                wrong = count_fault(split, lengths, self.build["splits"][split]["objects"])
                if wrong:
                    raise OSError(wrong)
                self._check_scene_labels(split)

    def _check_scene_labels(self, split: str) -> None:
        ids = self.scene_labels(split)
        if ids is not None and self.scene_label is not None:
            for scene, fault in scene_label_faults(ids, self.scene_label):
                raise OSError(f"{split} {scene}: {fault}")

    def _read(self, name: str, index: npt.ArrayLike) -> Bytes:
        with self._damage_reported(f"{IMAGES} cannot be read: "):
            return self._open_images().read(name, np.asarray(index).astype(np.int64, copy=False))

    def _open_images(self) -> ImageFile:
        if self._images is None:
            counts = {split: self.count(split) for split in self.splits}
            with self._damage_reported(f"{IMAGES} cannot be read: "):
                self._images = open_image_file(
                    self.path / IMAGES, counts, self.image_size, masked=self.has_masks
                )
        return self._images

    @contextmanager
    def _damage_reported(self, prefix: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _damaged(self.path, prefix + reason_of(error)) from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_images": None}


def is_store(path: Path) -> bool:
    """Whether there is a complete store at ``path``."""
    return (path / BUILD).is_file()


def open_store(path: Path, task: str = "TASK") -> Store:
    """Open a store. Raises `DataError` if there is no complete one.

    Everything that a command reads is checked, except the images and masks themselves: the record,
    the sizes of files, the schema, the headers of ``images.h5``, lengths and labels. ``task`` is
    named in the hint.
    """
    hint = f"build it: nsi build-data {task} --out {path}"
    if not os.path.lexists(path / BUILD):
        raise DataError(f"no store at {path}", f"{hint}; or name another with --data DIR")
    hint += " --force"
    build = read_json(path / BUILD, "store", hint)
    if not isinstance(build, dict) or build.get("format") != FORMAT:
        raise DataError(f"store {path} has another format", hint)
    if faults := record_faults(build):
        raise _damaged(path, f"{BUILD}: {faults[0]}", hint)
    hint = f"build it: nsi build-data {task} {_source(build)} --out {path} --force"
    for name, known in build["files"].items():
        if fault := size_fault(path, name, known["bytes"]):
            raise _damaged(path, fault, hint)
    schema = read_schema(path / SCHEMA, "schema", hint)
    if schema.fingerprint != build["schema"]:
        raise _damaged(path, f"{SCHEMA} is not the one it was built with", hint)
    store = Store(path, schema, build, read_scene_label(path, build, hint))
    try:
        store.check()
    except DataError as error:
        raise DataError(error.message, hint) from error
    return store


def _source(build: dict[str, Any]) -> str:
    """The flags of a recorded build that say what it was made of, and how large."""
    options = build["options"]
    flags = {name: options[name] for name in ("raw", "synthetic", "seed") if name in options}
    flags["image-size"] = build["image_size"]
    return " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in flags.items())


def _damaged(path: Path, fault: str, hint: str = "build the store again") -> DataError:
    return DataError(f"store {path} is damaged: {fault}", hint)
