"""A file for HDF5 whose write errors are raised after HDF5 has closed it.

HDF5 cannot close a file whose writes fail: the file stays open, and the process crashes at exit.
"""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path
from typing import Any


class DeferredErrorFile(FileIO):
    """An unbuffered binary file for ``h5py.File`` whose writes never raise.

    The first error of the operating system is kept, and later writes are dropped. ``mode`` is
    ``w``, for a new file, or ``r+``.
    """

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(path, "w+" if mode == "w" else mode)
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the `OSError` of the first write that failed or did not reach the disk."""
        if self._error is not None:
            raise self._error
        os.fsync(self.fileno())  # a quota or a file server may refuse only now

    def write(self, data: Any) -> int:
        """Write all of ``data`` at the current position."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while self._error is None and len(left):
                left = left[super().write(left) :]
        except OSError as error:
            self._error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0
