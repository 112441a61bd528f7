"""Filling a feature cache: each image is encoded once, and an interruption is resumed."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.features.cache import FLAG, FeatureCache, room_for
from nsi_cli.data.store.reader import Store
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import disk_errors_explained, held, readable, replacing, write_json
from nsi_cli.support.progress import SILENT, Advance, Progress
from nsi_cli.support.reading import read_regular

Features = npt.NDArray[np.floating[Any]]
Images = npt.NDArray[np.uint8]

Encode = Callable[[Images], Features]
"""Images (n, S, S, 3) uint8 to features (n, N, C), of the cache's dtype."""

SAVED_EVERY = 10.0
"""Seconds of work that a killed process may lose."""


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
    `DataError` if the disk has too little room, before anything is written.
    """
    if all(cache.has(split, store.count(split)) for split in splits):
        return
    room_for(cache, store, splits)
    with disk_errors_explained(cache.folder, FLAG):
        cache.folder.mkdir(parents=True, exist_ok=True)
    with held(
        cache.folder / ".lock",
        waiting=lambda: progress.note("another process computes these features; waiting for it"),
    ):
        write_json(cache.index, cache.record)
        missing = [split for split in splits if not cache.has(split, store.count(split))]
        if not missing:  # that other process has computed them all
            return
        scenes = sum(map(store.count, missing))
        progress.note(f"features: {readable(cache.bytes_of(scenes))} in {cache.folder}")
        with progress.stage("features", scenes) as advance:
            for split in missing:
                _fill_split(cache, store, split, encode, at_once, advance)


def _fill_split(
    cache: FeatureCache, store: Store, split: str, encode: Encode, at_once: int, advance: Advance
) -> None:
    count = store.count(split)
    with (
        disk_errors_explained(cache.folder / f"{split}.part", FLAG),
        _Rows(cache, split, count) as rows,
    ):
        advance(rows.done)
        for images in _read_ahead(store, split, rows.done, count, at_once):
            features = np.ascontiguousarray(encode(images), cache.dtype)
            if features.shape != (len(images), cache.tokens, cache.channels):
                raise ValueError(f"features of shape {features.shape} do not fit {cache}")
            rows.write(features)
            advance(len(images))


def _read_ahead(store: Store, split: str, start: int, count: int, at_once: int) -> Iterator[Images]:
    """The images of a split from ``start``; the next are read while these are processed."""

    def read(place: int) -> Images:
        return store.images(split, np.arange(place, min(place + at_once, count)))

    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read, start)
        for place in range(start, count, at_once):
            images = coming.result()
            if place + at_once < count:
                coming = reader.submit(read, place + at_once)
            yield images


class _Rows:
    """Writes the rows of a split while the next ones are computed.

    They go into a temporary file; a text file counts the rows that are flushed to the disk. A plain
    file is used, since a full disk ends a process that writes through a memory map.
    """

    def __init__(self, cache: FeatureCache, split: str, count: int) -> None:
        self._cache, self._count, self._whole = cache, count, cache.path(split)
        self._part, self._down = (cache.folder / f"{split}.{end}" for end in ("part", "rows"))
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[int] | None = None
        self._saved = time.monotonic()
        self.done = self._rows_down()

    def __enter__(self) -> _Rows:
        header = self._cache.header(self._count)
        if not self.done:
            self._part.unlink(missing_ok=True)  # a named pipe would make the next line wait
        self._file = self._part.open("r+b" if self.done else "xb")
        if not self.done:
            try:
                self._reserve(len(header) + self._cache.bytes_of(self._count))
            except OSError:
                self._file.close()
                self._part.unlink()  # there is too little room
                raise
            self._file.write(header)
        self._file.seek(len(header) + self._cache.bytes_of(self.done))
        return self

    def write(self, features: Features) -> None:
        """Add rows. Raises `OSError` if earlier rows were not written."""
        self._settle()
        if time.monotonic() - self._saved > SAVED_EVERY:
            self._save()
        self._writing = self._writer.submit(self._file.write, features.data.cast("B"))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file, self._writer:
            if kind is not None:
                with suppress(OSError, DataError):  # on a full disk this fails as well
                    self._settle()
                    self._save()
                return
            self._settle()
            self._flush()
        os.replace(self._part, self._whole)
        self._down.unlink(missing_ok=True)

    def _settle(self) -> None:
        """Wait for the pending write, and count its rows."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            self.done += writing.result() // self._cache.bytes_of(1)

    def _save(self) -> None:
        self._flush()
        with replacing(self._down) as beside:
            beside.write_text(str(self.done))
        self._saved = time.monotonic()

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _rows_down(self) -> int:
        if not self._part.is_file():
            return 0
        try:
            return int(read_regular(self._down, 100))
        except (OSError, ValueError):
            return 0

    def _reserve(self, size: int) -> None:
        """Allocate the space that the file will need, if the file system can."""
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                    raise
