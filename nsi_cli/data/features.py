"""The feature cache: what a frozen backbone makes of each image, computed once."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store import Store
from nsi_cli.errors import DataError
from nsi_cli.files import check_room, held, read_json, replacing, told_when_disk_fails, write_json
from nsi_cli.progress import SILENT, Advance, Progress

Encode = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float16]]
"""Images (n, S, S, 3) uint8 to features (n, N, C) float16."""

CHUNK = 64
"""Images that are encoded at once."""

SAVED_EVERY = 16
"""Chunks after which an interrupted filling need not start from before."""

_INDEX = "features.json"
_FLAG = "--feature-cache DIR"


@dataclass
class FeatureCache:
    """Features of whole splits in float16, one memory-mapped array (n, N, C) a split."""

    folder: Path
    tokens: int
    channels: int
    _maps: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def read(self, split: str, index: npt.NDArray[np.int64]) -> npt.NDArray[np.float16]:
        """The features (n, N, C) float16 of the scenes at ``index``."""
        if split not in self._maps:
            path = self.folder / f"{split}.npy"
            self._maps[split] = np.load(path, mmap_mode="r", allow_pickle=False)
        return np.asarray(self._maps[split][index])

    def has(self, split: str) -> bool:
        """Whether the split's features are complete."""
        return (self.folder / f"{split}.npy").is_file()

    def bytes_of(self, scenes: int) -> int:
        """How many bytes the features of so many scenes take."""
        return 2 * scenes * self.tokens * self.channels

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}}


def cache_for(
    store: Store, backbone: str, tokens: int, channels: int, root: Path | None = None
) -> FeatureCache:
    """The cache of a store's images under a backbone; its folder's name is the hash of both.

    ``backbone`` is the backbone's fingerprint. The cache lies within the store unless ``root``
    says otherwise.
    """
    key = hashlib.sha256(f"{store.fingerprint} {backbone}".encode()).hexdigest()[:16]
    folder = (root or store.path / "features") / key
    told = {"tokens": tokens, "channels": channels, "backbone": backbone}
    if (folder / _INDEX).is_file():
        hint = f"remove {folder}; it is computed again"
        if read_json(folder / _INDEX, "feature cache", hint) != told:
            raise DataError(f"feature cache {folder} belongs to another backbone", hint)
    return FeatureCache(folder, tokens, channels)


def size_of(store: Store, splits: list[str], cache: FeatureCache) -> int:
    """How many bytes the features of these splits take that are not on the disk yet."""
    lacking = [split for split in splits if not cache.has(split)]
    parts = [cache.folder / f"{split}.part" for split in lacking]
    there = sum(part.stat().st_size for part in parts if part.is_file())
    return max(0, cache.bytes_of(sum(map(store.count, lacking))) - there)


def room_for(cache: FeatureCache, store: Store, splits: list[str]) -> None:
    """Raise `DataError` where the disk has too little room for what the cache lacks."""
    hint = f"give it another place with {_FLAG}, or train with --feature-cache off"
    check_room(cache.folder, size_of(store, splits, cache), "the feature cache", hint)


def fill(
    cache: FeatureCache,
    store: Store,
    splits: list[str],
    encode: Encode,
    *,
    backbone: str,
    progress: Progress = SILENT,
) -> None:
    """Compute what the cache lacks of these splits, continuing where it was interrupted.

    Where another process fills the same cache, wait for it. Raises `DataError` where the disk
    has too little room, before anything is written.
    """
    if all(map(cache.has, splits)):
        return
    room_for(cache, store, splits)
    with told_when_disk_fails(cache.folder, _FLAG):
        cache.folder.mkdir(parents=True, exist_ok=True)
    with held(
        cache.folder / ".lock",
        waiting=lambda: progress.note("another process computes these features; waiting for it"),
    ):
        told = {"tokens": cache.tokens, "channels": cache.channels, "backbone": backbone}
        write_json(cache.folder / _INDEX, told)
        missing = [split for split in splits if not cache.has(split)]
        with progress.stage("features", sum(map(store.count, missing))) as advance:
            for split in missing:
                _fill_split(cache, store, split, encode, advance)


def _fill_split(
    cache: FeatureCache, store: Store, split: str, encode: Encode, advance: Advance
) -> None:
    """Fill one split's array; a text file beside it tells how many rows are safely down."""
    count = store.count(split)
    part, down = cache.folder / f"{split}.part", cache.folder / f"{split}.rows"
    header = _header((count, cache.tokens, cache.channels))
    done = _rows_down(part, down)
    with told_when_disk_fails(part, _FLAG), part.open("r+b" if done else "wb") as file:
        if not done:
            _reserve(file, part, len(header) + cache.bytes_of(count))
            file.write(header)
        file.seek(len(header) + cache.bytes_of(done))
        advance(done)
        try:
            for start in range(done, count, CHUNK):
                index = np.arange(start, min(start + CHUNK, count))
                features = np.ascontiguousarray(encode(store.images(split, index)), np.float16)
                if features.shape != (len(index), cache.tokens, cache.channels):
                    raise ValueError(f"features of shape {features.shape} do not fit {cache}")
                file.write(features.tobytes())
                done = start + len(index)
                advance(len(index))
                if (start // CHUNK) % SAVED_EVERY == SAVED_EVERY - 1:
                    _save(file, down, done)
        except BaseException:
            with suppress(OSError, DataError):  # on a full disk this fails as well
                _save(file, down, done)
            raise
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, cache.folder / f"{split}.npy")
    down.unlink(missing_ok=True)


def _header(shape: tuple[int, int, int]) -> bytes:
    """What an ``npy`` file of float16 begins with.

    The array is written as a plain file and not through a memory map, for which a full disk is
    the end of the process.
    """
    buffer = BytesIO()
    form = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, form)
    return buffer.getvalue()


def _rows_down(part: Path, down: Path) -> int:
    if not part.is_file():
        return 0
    try:
        return int(down.read_text())
    except (OSError, ValueError):
        return 0


def _reserve(file: BinaryIO, part: Path, size: int) -> None:
    """Take the space that the file will need now, and leave no file where there is too little."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):  # the file system cannot
                return
            part.unlink()
            raise


def _save(file: BinaryIO, down: Path, done: int) -> None:
    file.flush()
    os.fsync(file.fileno())
    with replacing(down) as beside:
        beside.write_text(str(done))
