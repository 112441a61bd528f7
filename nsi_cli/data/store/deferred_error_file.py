"""A file for HDF5 whose write errors are raised after HDF5 has closed it.

HDF5 cannot close a file whose writes fail: the file stays open, and the process crashes at exit.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class DeferredErrorFile:
    """A binary file object for ``h5py.File`` whose writes never raise.

    The first error of the operating system is kept, and later writes are dropped; `check` raises
    the error. A ``new`` file replaces an existing one.
    """

    def __init__(self, path: Path, *, new: bool = True) -> None:
        self._file = path.open("w+b" if new else "r+b", buffering=0)
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the `OSError` of the first write that failed, if one did."""
        if self._error is not None:
            raise self._error

    def close(self, *, whole: bool) -> None:
        """Close the file; if ``whole``, raise `OSError` unless every write reached the disk.

        Closing it again does nothing.
        """
        if self._file.closed:
            return
        with self._file:
            if whole:
                self.check()
                os.fsync(self._file.fileno())  # a quota or a file server may refuse only now

    def write(self, data: Any) -> int:
        """Write all of ``data`` at the current position."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while self._error is None and len(left):
                left = left[self._file.write(left) :]
        except OSError as error:
            self._error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def read(self, size: int = -1) -> bytes:
        """Read ``size`` bytes, or all that remain."""
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        return self._file.readinto(buffer)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        return self._file.seek(position, whence)

    def tell(self) -> int:
        """The current position."""
        return self._file.tell()

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""
