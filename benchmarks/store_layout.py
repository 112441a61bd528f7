"""Time reading random batches of 128 from images and masks with different HDF5 layouts.

Run it with ``python benchmarks/store_layout.py``. Each layout stores the same synthetic images and
masks at 224 × 224. Rows are read with HDF5's point selection, with HDF5 row by row, and (if they
are contiguous) without HDF5 by their file offset, as the store reads them. Prints a table: bytes
per row, and milliseconds per batch from a warm page cache.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from nsi_clevrtex.builder import ClevrtexBuilder
from tools.raw_scenes import RENDERED, make_raw

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.store.reader import open_store
from nsi_cli.data.store.rows import Rows

BATCH, ROWS, ROUNDS = 128, 3000, 7
WAYS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunks of 1": {"chunks": 1},
    "chunks of 8": {"chunks": 8},
    "chunks of 1, lzf": {"chunks": 1, "compression": "lzf"},
    "chunks of 1, gzip 1": {"chunks": 1, "compression": "gzip", "compression_opts": 1},
    "chunks of 8, lzf": {"chunks": 8, "compression": "lzf"},
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = make_raw(Path(folder), RENDERED)
        builder = ClevrtexBuilder(raw, split_by="test")
        store = open_store(
            build_store(builder, "clevrtex", Path(folder) / "store", BuildOptions(workers=2))
        )
        pictures = {
            "images": store.images("test", range(RENDERED)),
            "masks": store.masks("test", range(RENDERED)),
        }
        print(f"{'':8}{'layout':20}{'bytes':>12}{'points':>12}{'row by row':>12}{'by offset':>12}")
        for what, data in pictures.items():
            for way, options in WAYS.items():
                told = measure(Path(folder) / "rows.h5", np.asarray(data), dict(options))
                print(f"{what:8}{way:20}" + "".join(f"{item:>12}" for item in told), flush=True)


def measure(path: Path, data: np.ndarray, options: dict[str, Any]) -> list[str]:
    shape = data.shape[1:]
    if "chunks" in options:
        options["chunks"] = (options["chunks"], *shape)
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("rows", (ROWS, *shape), np.uint8, **options)
        for start in range(0, ROWS, RENDERED):
            rows[start : start + RENDERED] = data
    told = [f"{path.stat().st_size / ROWS:,.0f}"]
    with h5py.File(path) as file, path.open("rb") as plain:
        rows = file["rows"]
        told += [
            timed(lambda index: rows[np.sort(index)]),
            timed(lambda index: singly(rows, index)),
        ]
        if "chunks" in options:
            return [*told, "–"]
        where = Rows(rows.id.get_offset(), ROWS, shape)
        return [*told, timed(lambda index: where.read(plain.fileno(), index))]


def singly(rows: h5py.Dataset, index: np.ndarray) -> np.ndarray:
    found = np.empty((len(index), *rows.shape[1:]), np.uint8)
    for number in np.argsort(index):
        rows.read_direct(found, np.s_[index[number]], np.s_[number])
    return found


def timed(read: Callable[[np.ndarray], np.ndarray]) -> str:
    rng, times = np.random.default_rng(0), []
    for _ in range(ROUNDS):
        index = rng.choice(ROWS, BATCH, replace=False)
        began = time.perf_counter()
        read(index)
        times.append(time.perf_counter() - began)
    return f"{1000 * statistics.median(times):.1f}"


if __name__ == "__main__":
    main()
