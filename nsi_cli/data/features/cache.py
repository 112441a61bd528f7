"""The feature cache: the features of a store's images under a frozen backbone, on disk."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store.reader import Store
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import check_room, read_json
from nsi_cli.support.reading import open_regular, reason_of

FLAG = "--feature-cache DIR"
FLOAT16: np.dtype[Any] = np.dtype(np.float16)

_INDEX = "features.json"


@dataclass(frozen=True)
class FeatureCache:
    """Features of whole splits, an ``npy`` file of an array (n, N, C) for each."""

    folder: Path
    tokens: int
    channels: int
    backbone: str  # its fingerprint
    dtype: np.dtype[Any] = FLOAT16

    def read(self, split: str, index: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The features (n, N, C) of the scenes at ``index``, in that order.

        Whole scenes are read in file order; a memory map would read the disk a few pages at a
        time. Raises `DataError` if the file is damaged.
        """
        rows = np.empty((len(index), self.tokens, self.channels), self.dtype)
        try:
            with open_regular(self.path(split)) as file:
                start = _rows_start(file)
                for place in np.argsort(index, kind="stable"):
                    row = rows[place]
                    file.seek(start + int(index[place]) * row.nbytes)
                    if file.readinto(memoryview(row).cast("B")) != row.nbytes:
                        raise ValueError("it ends too early")
        except (OSError, ValueError) as error:
            raise self.damaged(split, reason_of(error)) from error
        return rows

    def damaged(self, split: str, reason: str) -> DataError:
        """The error that the split's features cannot be used."""
        return DataError(
            f"feature cache {self.path(split)} is damaged: {reason}",
            f"remove {self.folder}; it is computed again",
        )

    def path(self, split: str) -> Path:
        """The file of the split's features once they are complete."""
        return self.folder / f"{split}.npy"

    def has(self, split: str, scenes: int) -> bool:
        """Whether the features of all ``scenes`` of the split are complete.

        Raises `DataError` if something else is at their path.
        """
        header = self.header(scenes)
        try:
            with open_regular(self.path(split)) as file:
                size = os.fstat(file.fileno()).st_size
                if file.read(len(header)) != header or size != len(header) + self.bytes_of(scenes):
                    raise ValueError(f"its size or header is not that of {scenes:,} scenes")
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError) as error:
            raise self.damaged(split, reason_of(error)) from error
        return True

    def bytes_of(self, scenes: int) -> int:
        """The bytes of the features of so many scenes."""
        return self.dtype.itemsize * scenes * self.tokens * self.channels

    def header(self, scenes: int) -> bytes:
        """The header of the file of so many scenes."""
        buffer = BytesIO()
        shape = (scenes, self.tokens, self.channels)
        form = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(buffer, form)
        return buffer.getvalue()

    @property
    def index(self) -> Path:
        """The file that identifies the cache."""
        return self.folder / _INDEX

    @property
    def record(self) -> dict[str, Any]:
        """The content of that file."""
        return {"tokens": self.tokens, "channels": self.channels, "backbone": self.backbone}


def _rows_start(file: BinaryIO) -> int:
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    return file.tell()


def cache_for(
    store: Store,
    backbone: str,
    tokens: int,
    channels: int,
    root: Path | None = None,
    *,
    dtype: np.dtype[Any] = FLOAT16,
) -> FeatureCache:
    """The cache of a store's images under a backbone; its folder's name is the hash of both.

    ``backbone`` is the backbone's fingerprint: its name, weights, image size, precision and the
    ``dtype`` of its features. The images' hash tells how they were cropped and resized. The cache
    is in the store unless ``root`` is given. Raises `DataError` if another one is there.
    """
    key = hashlib.sha256(f"{store.fingerprint} {backbone}".encode()).hexdigest()[:16]
    cache = FeatureCache((root or store.path / "features") / key, tokens, channels, backbone, dtype)
    if os.path.lexists(cache.index):
        hint = f"remove {cache.folder}; it is computed again"
        if read_json(cache.index, "feature cache", hint) != cache.record:
            raise DataError(f"feature cache {cache.folder} belongs to another backbone", hint)
    return cache


def size_of(store: Store, splits: list[str], cache: FeatureCache) -> int:
    """The bytes of the features of these splits that are not on the disk yet."""
    lacking = [split for split in splits if not cache.has(split, store.count(split))]
    parts = [cache.folder / f"{split}.part" for split in lacking]
    there = sum(part.stat().st_size for part in parts if part.is_file())
    return max(0, cache.bytes_of(sum(map(store.count, lacking))) - there)


def room_for(cache: FeatureCache, store: Store, splits: list[str]) -> None:
    """Raise `DataError` if the disk has too little room for the missing features."""
    hint = f"give it another place with {FLAG}, or train with --feature-cache off"
    check_room(cache.folder, size_of(store, splits, cache), "the feature cache", hint)
