"""Arrays of equal rows at a known offset of a file, read and written without a library.

No position is kept in the open file, so processes and threads can share it. POSIX only.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]

UINT8: np.dtype[Any] = np.dtype(np.uint8)


@dataclass(frozen=True)
class Rows:
    """The location of an array in a file; ``offset`` is that of its first row, in bytes."""

    offset: int
    count: int
    shape: tuple[int, ...]  # of one row
    dtype: np.dtype[Any] = UINT8

    @property
    def row_bytes(self) -> int:
        """The size of one row."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def end(self) -> int:
        """The offset after the last row."""
        return self.offset + self.count * self.row_bytes

    def read(self, file: int, index: Index) -> npt.NDArray[Any]:
        """The rows at ``index`` (n,), in any order and with repeats: n × ``shape``.

        The file is read in order, neighbours together. Raises `IndexError` for an index outside
        the rows, and `OSError` if the file cannot be read.
        """
        if len(index) and (index.min() < 0 or index.max() >= self.count):
            raise IndexError(f"scenes are numbered 0 to {self.count - 1}")
        found = np.empty((len(index), *self.shape), self.dtype)
        order = np.argsort(index, kind="stable")
        begins = np.ones(len(index), bool)  # a run of neighbours
        begins[1:] = (np.diff(index[order]) != 1) | (np.diff(order) != 1)
        starts = np.flatnonzero(begins)
        targets, counts = order[starts], np.diff(starts, append=len(index))
        for target, count in zip(targets.tolist(), counts.tolist(), strict=True):
            self._read_into(found[target : target + count], file, int(index[target]))
        return found

    def _read_into(self, found: npt.NDArray[Any], file: int, first: int) -> None:
        left, offset = found.data.cast("B"), self.offset + first * self.row_bytes
        while len(left):
            count = os.preadv(file, [left], offset)
            if not count:
                raise OSError("the file ends too early")
            left, offset = left[count:], offset + count

    def write(self, file: int, first: int, rows: npt.NDArray[Any]) -> None:
        """Write ``rows`` to the file, from the row ``first``. Raises `OSError`."""
        left = np.ascontiguousarray(rows).data.cast("B")
        offset = self.offset + first * self.row_bytes
        while len(left):
            count = os.pwrite(file, left, offset)
            left, offset = left[count:], offset + count
