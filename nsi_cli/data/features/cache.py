"""The feature cache: the features of a store's images under a frozen backbone, on disk."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.features.marks import marked
from nsi_cli.data.store.reader import Store
from nsi_cli.data.store.rows import Index, Rows
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import check_free_space, read_json
from nsi_cli.support.reading import open_regular, reason_of

FLAG = "--feature-cache DIR"
FLOAT16: np.dtype[Any] = np.dtype(np.float16)


@dataclass(frozen=True)
class FeatureCache:
    """Features of whole splits, an ``npy`` file of an array (n, N, C) for each."""

    folder: Path
    tokens: int
    channels: int
    backbone: str  # its fingerprint
    dtype: np.dtype[Any] = FLOAT16

    def read(self, split: str, index: Index) -> npt.NDArray[Any]:
        """The features (n, N, C) of the scenes at ``index``, in that order.

        Whole scenes are read in file order; a memory map would read the disk a few pages at a
        time. Raises `DataError` if the file is damaged.
        """
        try:
            with open_regular(self.path(split)) as file:
                np.lib.format.read_magic(file)
                (count, *_), _, _ = np.lib.format.read_array_header_1_0(file)
                rows = Rows(file.tell(), count, (self.tokens, self.channels), self.dtype)
                return rows.read(file.fileno(), index)
        except (OSError, ValueError) as error:
            raise self._damaged(split, reason_of(error)) from error

    def path(self, split: str) -> Path:
        """The file of the split's features once they are complete."""
        return self.folder / f"{split}.npy"

    def part(self, split: str) -> Path:
        """The file of the split's features while they are computed."""
        return self.folder / f"{split}.npy.part"

    def marks(self, split: str) -> Path:
        """The file that marks the complete features of the partial file."""
        return self.folder / f"{split}.npy.done"

    def rows(self, scenes: int) -> Rows:
        """The location of the features in the file of ``scenes`` scenes."""
        return Rows(len(self.header(scenes)), scenes, (self.tokens, self.channels), self.dtype)

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
            raise self._damaged(split, reason_of(error)) from error
        return True

    def bytes_of(self, scenes: int) -> int:
        """The size of the features of ``scenes`` scenes."""
        return self.dtype.itemsize * scenes * self.tokens * self.channels

    def header(self, scenes: int) -> bytes:
        """The header of the file of ``scenes`` scenes."""
        buffer = BytesIO()
        shape = (scenes, self.tokens, self.channels)
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(buffer, header)
        return buffer.getvalue()

    @property
    def record_path(self) -> Path:
        """The file that identifies the backbone of the cache."""
        return self.folder / "features.json"

    @property
    def record(self) -> dict[str, Any]:
        """The content of that file."""
        return {"tokens": self.tokens, "channels": self.channels, "backbone": self.backbone}

    def _damaged(self, split: str, reason: str) -> DataError:
        return DataError(
            f"feature cache {self.path(split)} is damaged: {reason}",
            f"remove {self.folder}; it is computed again",
        )


def cache_for(
    store: Store,
    backbone: str,
    tokens: int,
    channels: int,
    root: Path | None = None,
    *,
    dtype: np.dtype[Any] = FLOAT16,
) -> FeatureCache:
    """The cache of a store's images under a backbone; its folder is named by the hash of both.

    ``backbone`` is the backbone's fingerprint: its name, weights, image size, precision and the
    ``dtype`` of its features. The hash of the images covers crops and resizes. The cache is in the
    store unless ``root`` is given. Raises `DataError` if another one is there.
    """
    key = hashlib.sha256(f"{store.fingerprint} {backbone}".encode()).hexdigest()[:16]
    cache = FeatureCache((root or store.path / "features") / key, tokens, channels, backbone, dtype)
    if os.path.lexists(cache.record_path):
        hint = f"remove {cache.folder}; it is computed again"
        if read_json(cache.record_path, "feature cache", hint) != cache.record:
            raise DataError(f"feature cache {cache.folder} belongs to another backbone", hint)
    return cache


def check_cache_space(cache: FeatureCache, store: Store, splits: list[str]) -> None:
    """Raise `DataError` if the disk has too little room for the missing features."""
    missing = [split for split in splits if not cache.has(split, store.count(split))]
    scenes = sum(store.count(split) - _written(cache, store, split) for split in missing)
    hint = f"choose another folder with {FLAG}, or train with --feature-cache off"
    check_free_space(cache.folder, cache.bytes_of(scenes), "the feature cache", hint)


def _written(cache: FeatureCache, store: Store, split: str) -> int:
    """The scenes of a split whose features are complete in the partial file."""
    written = marked(cache.marks(split), store.count(split))
    return written if cache.part(split).is_file() else 0
