"""Filling a feature cache: all processes and threads share its blocks; a kill loses few of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.filesize import decimal

from nsi_cli.data.features.cache import FLAG, FeatureCache
from nsi_cli.data.features.marks import Marks
from nsi_cli.data.store.reader import Store
from nsi_cli.support.files import disk_errors_explained, held, write_json
from nsi_cli.support.progress import SILENT, Advance, Progress
from nsi_cli.support.reading import open_regular

Features = npt.NDArray[np.floating[Any]]
Images = npt.NDArray[np.uint8]

Encode = Callable[[Images], Features]
"""Images (n, S, S, 3) uint8 to features (n, N, C), of the cache's dtype."""

_LOOK_EVERY = 0.1
"""Seconds between looks at the blocks that other processes compute."""


def fill(
    cache: FeatureCache,
    store: Store,
    splits: list[str],
    encode: Encode,
    *,
    at_once: int,
    workers: int = 1,
    part: tuple[int, int] = (0, 1),
    progress: Progress = SILENT,
) -> None:
    """Compute the missing features of these splits, resuming an interrupted filling.

    The scenes are divided into blocks of ``at_once``. Each of ``workers`` threads reads a block,
    calls ``encode`` and writes the features. Other processes that fill the same cache take other
    blocks; ``part`` is this process's rank and their number, and determines where it begins.
    Returns when all blocks are complete. Raises `DataError` if the disk is full or cannot be
    written.
    """
    missing = [split for split in splits if not cache.has(split, store.count(split))]
    if not missing:
        return
    with disk_errors_explained(cache.folder, FLAG):
        cache.folder.mkdir(parents=True, exist_ok=True)
    with _alone(cache):
        write_json(cache.record_path, cache.record)
    scenes = sum(map(store.count, missing))
    progress.note(f"features: {decimal(cache.bytes_of(scenes))} in {cache.folder}")
    with progress.stage("features", scenes) as advance:
        for split in missing:
            with disk_errors_explained(cache.part(split), FLAG):
                blocks = _blocks(store.count(split), at_once, part)
                _fill_split(cache, store, split, encode, blocks, workers, advance)


def _blocks(count: int, at_once: int, part: tuple[int, int]) -> list[range]:
    """All blocks of scenes, beginning with this process's part of them."""
    blocks = [range(start, min(start + at_once, count)) for start in range(0, count, at_once)]
    rank, processes = part
    first = len(blocks) * rank // processes
    return blocks[first:] + blocks[:first]


def _fill_split(
    cache: FeatureCache, store: Store, split: str, encode: Encode, blocks: list[range],
    workers: int, advance: Advance,
) -> None:  # fmt: skip
    """Complete the partial file of a split, and move it to its path."""
    partial = _open_partial(cache, store, split)
    if partial is None:  # another process has moved it
        return
    shown = 0

    def show() -> bool:
        nonlocal shown
        done = int(partial.marks.done().sum())
        advance(done - shown)
        shown = done
        return done == store.count(split)

    with partial, ThreadPoolExecutor(workers) as pool:
        while not show():
            done, computed = partial.marks.done(), False
            pending = [block for block in blocks if not done[block.start : block.stop].all()]
            for own in pool.map(lambda block: partial.complete(block, encode), pending):
                show()
                computed |= own
            if not computed:  # other processes compute the rest
                time.sleep(_LOOK_EVERY)
        with _alone(cache):
            partial.move()


@contextmanager
def _alone(cache: FeatureCache) -> Iterator[None]:
    """Hold the lock of a cache's folder, for a moment."""
    with held(cache.folder / ".lock", waiting=lambda: None):
        yield


@dataclass(frozen=True)
class _Partial:
    """The partial file of a split's features, open in this process.

    It is not a memory map: writing to one on a full disk kills the process.
    """

    cache: FeatureCache
    store: Store
    split: str
    file: int
    marks: Marks

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        os.close(self.file)
        self.marks.close()

    def complete(self, block: range, encode: Encode) -> bool:
        """Compute and write the features of a block; false if another process does or has."""
        if not self.marks.claim(block):
            return False
        try:
            if self.marks.done()[block.start : block.stop].all():
                return False
            images = self.store.images(self.split, np.arange(block.start, block.stop))
            features = np.ascontiguousarray(encode(images), self.cache.dtype)
            if features.shape != (len(block), self.cache.tokens, self.cache.channels):
                raise ValueError(f"features of shape {features.shape} do not fit {self.cache}")
            self.cache.rows(self.store.count(self.split)).write(self.file, block.start, features)
            os.fsync(self.file)  # another machine may read them once they are marked
            self.marks.complete(block)
            return True
        finally:
            self.marks.release(block)

    def move(self) -> None:
        """Move the complete file to its path, unless another process has."""
        if not self.cache.has(self.split, self.store.count(self.split)):
            os.replace(self.cache.part(self.split), self.cache.path(self.split))
        self.cache.marks(self.split).unlink(missing_ok=True)


def _open_partial(cache: FeatureCache, store: Store, split: str) -> _Partial | None:
    """Open a split's partial file; None if its features are complete.

    A file with another header is replaced.
    """
    path, header = cache.part(split), cache.header(store.count(split))
    with _alone(cache):
        if cache.has(split, store.count(split)):
            return None
        marks = Marks(cache.marks(split), store.count(split))
        try:
            with open_regular(path) as old:
                valid = old.read(len(header)) == header
        except OSError:
            valid = False
        if not valid:
            path.unlink(missing_ok=True)  # it may be a named pipe
            marks.clear()
            path.write_bytes(header)
        return _Partial(cache, store, split, os.open(path, os.O_RDWR), marks)
