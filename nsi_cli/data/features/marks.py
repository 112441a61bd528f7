"""Which features of a partial cache are complete, and which process computes which."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nsi_cli.support.reading import open_regular


class Marks:
    """A file with a byte for each scene, 1 if its features are complete.

    A process claims scenes by a record lock on their bytes, so scenes that a killed process
    claimed are free again. Threads of one process must not share scenes. POSIX drops a process's
    locks when it closes any descriptor of the file, so it is opened once.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._count = count
        if os.path.lexists(path) and not path.is_file():  # a named pipe, for example
            path.unlink()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def close(self) -> None:
        """Close the file, and with it give up all claims."""
        os.close(self._file)

    def done(self) -> npt.NDArray[np.bool_]:
        """Whether the features of each scene are complete, (count,)."""
        return _as_flags(os.pread(self._file, self._count, 0), self._count)

    def claim(self, scenes: range) -> bool:
        """Claim scenes for this process, unless another one has claimed some of them.

        On a system or a disk without locks every claim succeeds.
        """
        try:
            import fcntl

            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, len(scenes), scenes.start)
        except (BlockingIOError, PermissionError):  # POSIX lets a system choose either
            return False
        except (ImportError, OSError):
            return True
        return True

    def release(self, scenes: range) -> None:
        """Give up a claim."""
        try:
            import fcntl

            fcntl.lockf(self._file, fcntl.LOCK_UN, len(scenes), scenes.start)
        except (ImportError, OSError):
            pass

    def complete(self, scenes: range) -> None:
        """Mark scenes whose features are on the disk."""
        os.pwrite(self._file, b"\1" * len(scenes), scenes.start)

    def clear(self) -> None:
        """Remove all marks."""
        os.ftruncate(self._file, 0)


def marked(path: Path, count: int) -> int:
    """The number of scenes that the file at ``path`` marks; 0 if it cannot be read."""
    try:
        with open_regular(path) as file:
            return int(_as_flags(file.read(count), count).sum())
    except OSError:
        return 0


def _as_flags(content: bytes, count: int) -> npt.NDArray[np.bool_]:
    """The marks of all scenes; those after the end of the content are missing."""
    flags = np.zeros(count, bool)
    flags[: len(content)] = np.frombuffer(content, np.uint8) == 1
    return flags
