"""``images.h5``: every image and mask is an uncompressed row at a known offset of the file.

A contiguous HDF5 dataset is one run of bytes. So rows are written and read without HDF5, by many
processes at once and in any order, and random batches are read many times faster
(``docs/files.md`` has the numbers).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from nsi_cli.data.store.deferred_error_file import DeferredErrorFile
from nsi_cli.data.store.hdf5 import (
    IDS,
    dataset_at,
    dataset_names,
    describe,
    fault_of,
    id_shapes,
    image_shapes,
    is_contiguous,
    open_images,
)

Bytes = npt.NDArray[np.uint8]

COPIED = 1 << 23
"""Bytes that are copied at once."""


@dataclass(frozen=True)
class Rows:
    """The location of a dataset's rows: ``place`` is the offset of the first, in bytes."""

    place: int
    count: int
    shape: tuple[int, ...]  # of one row

    @property
    def bytes(self) -> int:
        """The bytes of one row."""
        return math.prod(self.shape)

    @property
    def end(self) -> int:
        """The offset behind the last row."""
        return self.place + self.count * self.bytes


def create_images(path: Path, counts: Mapping[str, int], size: int, *, masked: bool) -> None:
    """Create the file for ``counts`` scenes per split, sparse.

    Raises `OSError` if the disk is full.
    """

    def fill(file: h5py.File) -> None:
        for name, shape in image_shapes(counts, size, masked=masked).items():
            file.create_dataset(name, shape, np.uint8, dcpl=_in_one_piece())

    _write(path, "w", fill)


def _in_one_piece() -> Any:
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_layout(h5py.h5d.CONTIGUOUS)
    made.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    made.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return made


def add_ids(path: Path, ids: Mapping[str, Sequence[str]]) -> None:
    """Add the scenes' ids under ``ids/``. Raises `OSError` if the disk is full."""

    def fill(file: h5py.File) -> None:
        for split, items in ids.items():
            file.create_dataset(f"{IDS}/{split}", data=list(items), dtype=h5py.string_dtype())

    _write(path, "r+", fill)


def read_ids(path: Path, split: str) -> list[str]:
    """The ids of a split's scenes. Raises `OSError` if the file cannot be read."""
    with open_images(path) as file:
        return [str(item) for item in dataset_at(file, f"{IDS}/{split}").asstr()[()]]


def _write(path: Path, mode: str, fill: Callable[[h5py.File], None]) -> None:
    """Write through HDF5 in a separate thread.

    KeyboardInterrupt, which Python raises in the main thread, would interrupt HDF5's writing.
    """
    with ThreadPoolExecutor(1) as aside:
        aside.submit(_write_here, path, mode, fill).result()


def _write_here(path: Path, mode: str, fill: Callable[[h5py.File], None]) -> None:
    disk = DeferredErrorFile(path, new=mode == "w")
    try:
        file = h5py.File(disk, mode)
        try:
            fill(file)
        finally:
            with suppress(OSError, RuntimeError):  # the first error is raised already
                file.close()
        disk.close(whole=True)
    finally:
        disk.close(whole=False)


def rows_of(path: Path) -> dict[str, Rows]:
    """The location of the images and masks of each split, by the name of their dataset.

    Raises `OSError` if the file cannot be read, or a dataset is not contiguous.
    """
    with open_images(path) as file:
        return {name: _rows(file, name) for name in dataset_names(file)}


def checked_rows(
    path: Path, counts: Mapping[str, int], size: int, *, masked: bool
) -> dict[str, Rows]:
    """The same of a store with ``counts`` scenes a split, whose headers are checked.

    Raises `OSError` if a dataset is missing, is a link, is of another type or shape, overlaps
    another or lies beyond the end of the file. No image is read.
    """
    shapes = image_shapes(counts, size, masked=masked)
    with open_images(path) as file:
        for name, shape in (shapes | id_shapes(counts)).items():
            if fault := fault_of(file, name, shape):
                raise OSError(fault)
        found = {name: _rows(file, name) for name in shapes}
    ordered = sorted((rows.place, rows.end, name) for name, rows in found.items() if rows.count)
    for (_, end, one), (place, _, other) in pairwise(ordered):
        if place < end:
            raise OSError(f"{describe(one)} and {describe(other)} overlap")
    if ordered and ordered[-1][1] > path.stat().st_size:
        raise OSError(f"{describe(ordered[-1][2])} end beyond the file")
    return found


def _rows(file: h5py.File, name: str) -> Rows:
    dataset = dataset_at(file, name)
    count, *shape = dataset.shape
    if dataset.dtype != np.uint8 or (count and not is_contiguous(dataset)):
        raise OSError(f"dataset '{name}' is not in one piece of bytes")
    return Rows(dataset.id.get_offset() if count else 0, count, tuple(shape))


def write_at(file: int, place: int, data: Any) -> None:
    """Write all bytes of ``data`` at an offset of an open file."""
    left = memoryview(data).cast("B")
    while len(left):
        done = os.pwrite(file, left, place)
        left, place = left[done:], place + done


def copy_rows(source: int, rows: Rows, chosen: npt.NDArray[np.int64], target: int,
              place: int) -> None:  # fmt: skip
    """Copy the rows of ascending numbers ``chosen`` from one open file to an offset of another."""
    for first, last in runs(chosen):
        start, end = rows.place + first * rows.bytes, rows.place + last * rows.bytes
        while start < end:
            data = os.pread(source, min(COPIED, end - start), start)
            if not data:
                raise OSError("the file of images ends too early")
            write_at(target, place, data)
            start, place = start + len(data), place + len(data)


def read_rows(file: int, rows: Rows, index: npt.NDArray[np.int64]) -> Bytes:
    """The rows at ``index`` (n,), in any order and with repeats: n × the rows' shape.

    The file is read in order, neighbours together. Raises `IndexError` for a number outside the
    rows, and `OSError` if the file cannot be read.
    """
    if len(index) and (index.min() < 0 or index.max() >= rows.count):
        raise IndexError(f"scenes are numbered 0 to {rows.count - 1}")
    found = np.empty((len(index), *rows.shape), np.uint8)
    order = np.argsort(index, kind="stable")
    if np.array_equal(order, np.arange(len(index))):
        _read_sorted(file, rows, index, found)
        return found
    for number in order:
        _read_into(file, rows, int(index[number]), found[number])
    return found


def _read_sorted(file: int, rows: Rows, index: npt.NDArray[np.int64], found: Bytes) -> None:
    start = 0
    for first, last in runs(index):
        _read_into(file, rows, first, found[start : start + last - first])
        start += last - first


def _read_into(file: int, rows: Rows, first: int, found: Bytes) -> None:
    data: Any = found
    left, place = memoryview(data).cast("B"), rows.place + first * rows.bytes
    while len(left):
        done = os.preadv(file, [left], place)
        if not done:
            raise OSError("the file of images ends too early")
        left, place = left[done:], place + done


def runs(numbers: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Sorted numbers as runs of neighbours, as half-open ranges."""
    if not len(numbers):
        return []
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    firsts = numbers[np.concatenate([[0], breaks + 1])]
    lasts = numbers[np.concatenate([breaks, [len(numbers) - 1]])]
    return list(zip(firsts.tolist(), (lasts + 1).tolist(), strict=True))
