"""``images.h5``: every image and mask is an uncompressed row at a known offset of the file.

A contiguous HDF5 dataset is one run of bytes. So rows are written and read without HDF5, by many
processes at once and in any order, and random batches are read many times faster
(``docs/files.md`` has the numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np
import numpy.typing as npt

from nsi_cli.data.store.deferred_error_file import DeferredErrorFile
from nsi_cli.data.store.hdf5 import (
    IDS,
    dataset_at,
    describe,
    fault_of,
    id_shapes,
    image_shapes,
    open_images,
)
from nsi_cli.data.store.rows import Index, Rows
from nsi_cli.support.reading import open_regular


@dataclass(frozen=True)
class ImageFile:
    """``images.h5``, opened for reading; processes and threads can share it."""

    file: BinaryIO
    rows: Mapping[str, Rows]

    def read(self, name: str, index: Index) -> npt.NDArray[np.uint8]:
        """The rows of a dataset at ``index``. Raises `IndexError` and `OSError`."""
        return self.rows[name].read(self.file.fileno(), index)


def create_images(
    path: Path, counts: Mapping[str, int], size: int, *, masked: bool
) -> dict[str, Rows]:
    """Create a sparse file for the images, and masks, of ``counts`` scenes per split.

    Returns the location of the rows of each dataset. Raises `OSError` if the disk is full.
    """
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.CONTIGUOUS)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)

    rows: dict[str, Rows] = {}

    def create(file: h5py.File) -> None:
        for name, shape in image_shapes(counts, size, masked=masked).items():
            rows[name] = _rows(file.create_dataset(name, shape, np.uint8, dcpl=layout))

    _write(path, "w", create)
    return rows


def add_ids(path: Path, ids: Mapping[str, Sequence[str]]) -> None:
    """Add the scenes' ids under ``ids/``. Raises `OSError` if the disk is full."""

    def add(file: h5py.File) -> None:
        for split, items in ids.items():
            file.create_dataset(f"{IDS}/{split}", data=list(items), dtype=h5py.string_dtype())

    _write(path, "r+", add)


def read_ids(path: Path, split: str) -> list[str]:
    """The ids of a split's scenes. Raises `OSError` if the file cannot be read."""
    with open_images(path) as file:
        return [str(item) for item in dataset_at(file, f"{IDS}/{split}").asstr()[()]]


def _write(path: Path, mode: str, change: Callable[[h5py.File], None]) -> None:
    """Write through HDF5 in a separate thread.

    KeyboardInterrupt, which Python raises in the main thread, would interrupt HDF5's writing.
    """

    def write() -> None:
        with DeferredErrorFile(path, mode) as disk:
            file = h5py.File(disk, mode)
            try:
                change(file)
            finally:
                with suppress(OSError, RuntimeError):  # the first error is raised already
                    file.close()
            disk.check()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(write).result()


def open_image_file(path: Path, counts: Mapping[str, int], size: int, *, masked: bool) -> ImageFile:
    """Open the images of a store with ``counts`` scenes per split, and check the headers.

    Raises `OSError` if a dataset is missing, is a link, is of another type or shape, overlaps
    another or lies beyond the end of the file. No image is read.
    """
    shapes = image_shapes(counts, size, masked=masked)
    with open_images(path) as file:
        for name, shape in (shapes | id_shapes(counts)).items():
            if fault := fault_of(file, name, shape):
                raise OSError(fault)
        rows = {name: _rows(file[name]) for name in shapes}
    ordered = sorted((item.offset, item.end, name) for name, item in rows.items() if item.count)
    for (_, end, one), (offset, _, other) in pairwise(ordered):
        if offset < end:
            raise OSError(f"{describe(one)} and {describe(other)} overlap")
    if ordered and ordered[-1][1] > path.stat().st_size:
        raise OSError(f"{describe(ordered[-1][2])} end beyond the file")
    return ImageFile(open_regular(path), rows)


def _rows(dataset: h5py.Dataset) -> Rows:
    count, *shape = dataset.shape
    return Rows(dataset.id.get_offset() if count else 0, count, tuple(shape))
