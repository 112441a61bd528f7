"""The feature cache: what a frozen backbone makes of each image, computed once."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store import Store
from nsi_cli.errors import DataError
from nsi_cli.files import read_json, replacing, told_when_disk_fails, write_json
from nsi_cli.progress import SILENT, Progress

Encode = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float16]]
"""Images (n, S, S, 3) uint8 to features (n, N, C) float16."""

CHUNK = 64
_INDEX = "features.json"


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
    """How many bytes the features of these splits take that are not there yet."""
    scenes = sum(store.count(split) for split in splits if not cache.has(split))
    return 2 * scenes * cache.tokens * cache.channels


def room_for(cache: FeatureCache, store: Store, splits: list[str]) -> None:
    """Raise `DataError` where the disk has too little room for what the cache lacks."""
    needed = size_of(store, splits, cache)
    with told_when_disk_fails(cache.folder):
        cache.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache.folder).free
    if needed > free:
        raise DataError(
            f"the feature cache needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free "
            f"at {cache.folder}",
            "give it another place with --feature-cache DIR, or train with --feature-cache off",
        )


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

    Raises `DataError` where the disk has too little room, before anything is written.
    """
    missing = [split for split in splits if not cache.has(split)]
    if not missing:
        return
    room_for(cache, store, missing)
    told = {"tokens": cache.tokens, "channels": cache.channels, "backbone": backbone}
    write_json(cache.folder / _INDEX, told)
    with progress.stage("features", sum(map(store.count, missing))) as advance:
        for split in missing:
            _fill_split(cache, store, split, encode, advance)


def _fill_split(
    cache: FeatureCache, store: Store, split: str, encode: Encode, advance: Callable[[int], None]
) -> None:
    """Fill one split's array; a text file beside it tells how many rows are safely down."""
    count = store.count(split)
    part, down = cache.folder / f"{split}.part", cache.folder / f"{split}.rows"
    shape = (count, cache.tokens, cache.channels)
    done = int(down.read_text()) if part.is_file() and down.is_file() else 0
    with told_when_disk_fails(part):
        rows = np.lib.format.open_memmap(
            part, mode="r+" if done else "w+", dtype=np.float16, shape=None if done else shape
        )
        advance(done)
        for start in range(done, count, CHUNK):
            index = np.arange(start, min(start + CHUNK, count))
            rows[index] = encode(store.images(split, index))
            advance(len(index))
            if (start // CHUNK) % 16 == 15:
                rows.flush()
                with replacing(down) as beside:
                    beside.write_text(str(int(index[-1]) + 1))
        rows.flush()
        del rows
        os.replace(part, cache.folder / f"{split}.npy")
        down.unlink(missing_ok=True)
