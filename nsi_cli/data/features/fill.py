"""Filling a feature cache: each image is encoded once, and an interruption is resumed."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from rich.filesize import decimal

from nsi_cli.data.features.cache import FLAG, FeatureCache
from nsi_cli.data.store.reader import Store
from nsi_cli.support.files import disk_errors_explained, held, write_json
from nsi_cli.support.progress import SILENT, Advance, Progress
from nsi_cli.support.reading import open_regular

Features = npt.NDArray[np.floating[Any]]
Images = npt.NDArray[np.uint8]

Encode = Callable[[Images], Features]
"""Images (n, S, S, 3) uint8 to features (n, N, C), of the cache's dtype."""


def fill(
    cache: FeatureCache,
    store: Store,
    splits: list[str],
    encode: Encode,
    *,
    at_once: int,
    progress: Progress = SILENT,
) -> None:
    """Compute the missing features of these splits, resuming an interrupted filling.

    ``encode`` is given ``at_once`` images at a time; meanwhile the next are read and the last
    features are written. If another process fills the same cache, wait for it. Raises
    `DataError` if the disk is full or cannot be written.
    """
    if all(cache.has(split, store.count(split)) for split in splits):
        return
    with disk_errors_explained(cache.folder, FLAG):
        cache.folder.mkdir(parents=True, exist_ok=True)
    with held(
        cache.folder / ".lock",
        waiting=lambda: progress.note("another process computes these features; waiting for it"),
    ):
        write_json(cache.record_path, cache.record)
        missing = [split for split in splits if not cache.has(split, store.count(split))]
        if not missing:  # the other process has computed them all
            return
        scenes = sum(map(store.count, missing))
        progress.note(f"features: {decimal(cache.bytes_of(scenes))} in {cache.folder}")
        with progress.stage("features", scenes) as advance:
            for split in missing:
                with disk_errors_explained(cache.part(split), FLAG):
                    _fill_split(cache, store, split, encode, at_once, advance)


def _fill_split(
    cache: FeatureCache, store: Store, split: str, encode: Encode, at_once: int, advance: Advance
) -> None:
    """Complete the partial file of a split, and move it to its path."""
    count = store.count(split)

    def read(start: int) -> Images:
        return store.images(split, np.arange(start, min(start + at_once, count)))

    file, done = _open_part(cache.part(split), cache.header(count), cache.bytes_of(1))
    advance(done)
    with file, ThreadPoolExecutor(2) as pool:
        reading, writing = pool.submit(read, done), pool.submit(file.flush)
        for start in range(done, count, at_once):
            images = reading.result()
            if start + at_once < count:
                reading = pool.submit(read, start + at_once)
            features = np.ascontiguousarray(encode(images), cache.dtype)
            if features.shape != (len(images), cache.tokens, cache.channels):
                raise ValueError(f"features of shape {features.shape} do not fit {cache}")
            writing.result()
            writing = pool.submit(_write, file, features)
            advance(len(images))
        writing.result()
        os.fsync(file.fileno())
    os.replace(cache.part(split), cache.path(split))


def _open_part(path: Path, header: bytes, row_bytes: int) -> tuple[BinaryIO, int]:
    """Open a partial file at the end of its complete rows; return it and their number.

    A file with another header is replaced. It is not a memory map: writing to one on a full
    disk kills the process.
    """
    try:
        with open_regular(path) as old:
            valid = old.read(len(header)) == header
            done = (os.fstat(old.fileno()).st_size - len(header)) // row_bytes
    except OSError:
        valid = False
    if not valid:
        done = 0
        path.unlink(missing_ok=True)  # it may be a named pipe
        path.write_bytes(header)
    file = path.open("r+b")
    file.seek(len(header) + done * row_bytes)
    file.truncate()
    return file, done


def _write(file: BinaryIO, features: Features) -> None:
    file.write(features.data.cast("B"))
    file.flush()
