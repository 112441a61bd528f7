"""Reading files that the user names: only regular files of a plausible size.

A named pipe blocks a reader forever, and a link to ``/dev/zero`` never ends.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

JSON_LIMIT = 64_000_000
CONFIG_LIMIT = 64_000
IMAGE_LIMIT = 256_000_000
CHECKPOINT_LIMIT = 64_000_000_000
"""The most bytes of a file of each kind, far more than real files have."""

_BLOCK = 1 << 16

_FLAGS = os.O_RDONLY
for _name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):  # those that the system has
    _FLAGS |= getattr(os, _name, 0)

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnsuitableFileError(OSError):
    """A path leads to a file that is not regular or too large."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.strerror = reason


def open_regular(path: Path | str, limit: int | None = None) -> BufferedReader:
    """Open a regular file of at most ``limit`` bytes for reading; links are followed.

    The file is checked after it is opened, so it cannot be replaced in between. Raises
    `FileNotFoundError`, `UnsuitableFileError`, or another `OSError`.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise UnsuitableFileError("it is a socket or a device, not a regular file") from None
        raise
    try:
        status = os.fstat(descriptor)
        kind = stat.S_IFMT(status.st_mode)
        if kind != stat.S_IFREG:
            raise UnsuitableFileError(f"it is {_KINDS.get(kind, 'something else')}, not a file")
        if limit is not None and status.st_size > limit:
            raise _too_large(limit)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path | str, limit: int) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes.

    Raises the same errors as `open_regular`.
    """
    with open_regular(path, limit) as file:
        stated = os.fstat(file.fileno()).st_size  # 0 for some system files
        data = file.read(stated + 1)
        while len(data) > stated and len(data) <= limit and (more := file.read(_BLOCK)):
            data += more
    if len(data) > limit:
        raise _too_large(limit)
    return data


def reason_of(error: Exception) -> str:
    """Return why a file cannot be read, on one line and without its path."""
    if isinstance(error, KeyError) and error.args:  # its text would be in quotes
        return " ".join(str(error.args[0]).split())
    return " ".join((getattr(error, "strerror", None) or str(error) or repr(error)).split())


def _too_large(limit: int) -> UnsuitableFileError:
    return UnsuitableFileError(f"it has more than {limit:,} bytes, too many for a file of its kind")
