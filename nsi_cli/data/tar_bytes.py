"""The bytes of a tar archive, read forwards, whatever compresses it, and never too many."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import zlib
from pathlib import Path
from typing import IO, Any

from nsi_cli.errors import DataError
from nsi_cli.files import readable

MOST_TIMES = 20
"""A pictures' archive hardly shrinks when compressed; one that unpacks to this many times its
size is a bomb. Archives that come to less than `LEAST_LIMIT` are let through, however small."""
LEAST_LIMIT = 64_000_000
MOST_HEADER = 1_000_000
"""Bytes of headers before a member: names, and little else."""

_CHUNK = 1 << 18
_BEGINNINGS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


class DamagedError(DataError):
    """An archive that is cut short or garbled."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"the archive {path} is damaged: {why}", "remove it, and download it again"
        )


class HostileError(DataError):
    """An archive that holds what no dataset needs to."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"the archive {path} is refused: {why}",
            "do not trust it; remove it, and download it from its own source",
        )


class TarBytes:
    """A file for `tarfile` to read headers from, and for its user to read members from.

    Compression is told from the content. Seeking goes forwards only: through the file where it
    is not compressed, else by reading. Raises `HostileError` once more bytes came than an archive
    of its size may hold, or than headers need, and `DamagedError` where they cannot be
    decompressed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.packed = path.stat().st_size
        self.limit = max(MOST_TIMES * self.packed, LEAST_LIMIT)
        self.ends_in_zeros = False
        self._file = path.open("rb")
        self.compression = _compression(self._file)
        self._stream, self._broken = _decompressed(path, self._file, self.compression)
        self._at = self._headers = 0

    def __enter__(self) -> TarBytes:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._file.close()

    @property
    def packed_at(self) -> int:
        """How much of the file itself was read."""
        return min(self._file.tell(), self.packed)

    def tell(self) -> int:
        """How much was read of what it unpacks to."""
        return self._at

    def read(self, count: int) -> bytes:
        """Bytes of headers, for `tarfile`; it asks for as many as a header says."""
        self._headers += count
        if self._headers > MOST_HEADER:
            raise HostileError(self.path, f"headers of more than {readable(MOST_HEADER)}")
        data = self._read(count)
        self.ends_in_zeros = bool(data) and not any(data)
        return data

    def read_data(self, count: int) -> bytes:
        """Up to a chunk of the member that the last headers spoke of."""
        self._headers = 0
        return self._read(min(count, _CHUNK))

    def seek(self, place: int) -> None:
        """Go forwards to a place."""
        self._headers = 0
        if place < self._at:
            raise HostileError(self.path, "its headers lead backwards")
        if not self.compression:
            self._at = self._stream.seek(place)
            return
        while self._at < place and self._read(min(place - self._at, _CHUNK)):
            pass

    def drain(self) -> None:
        """Read to the end, where compressed data have a checksum."""
        while self.compression and self._read(_CHUNK):
            pass

    def _read(self, count: int) -> bytes:
        if count < 0:
            raise HostileError(self.path, "a negative size")
        try:
            data: bytes = self._stream.read(count)
        except self._broken as error:
            if isinstance(error, OSError) and error.errno is not None:  # the disk's own
                raise
            raise DamagedError(self.path, str(error)) from error
        self._at += len(data)
        if self._at > self.limit:
            raise HostileError(
                self.path,
                f"it unpacks to more than {readable(self.limit)}, though it has but "
                f"{readable(self.packed)}: a bomb?",
            )
        return data


def _compression(file: IO[bytes]) -> str:
    """What the first bytes tell; empty where they tell nothing."""
    first = file.read(8)
    file.seek(0)
    return next((name for magic, name in _BEGINNINGS.items() if first.startswith(magic)), "")


def _decompressed(
    path: Path, file: IO[bytes], compression: str
) -> tuple[Any, tuple[type[Exception], ...]]:
    """A file that decompresses, and what it raises where it cannot."""
    broken = (EOFError, OSError, ValueError)
    if compression == "gzip":
        return gzip.GzipFile(fileobj=file), (*broken, zlib.error)
    if compression == "bzip2":
        return bz2.BZ2File(file), broken
    if compression == "xz":
        return lzma.LZMAFile(file), (*broken, lzma.LZMAError)
    if not compression:
        return file, broken
    try:
        zstd = importlib.import_module("compression.zstd")
    except ImportError:
        raise DataError(
            f"the archive {path} is compressed with zstd, which this Python cannot read",
            "use Python 3.14 or later",
        ) from None
    return zstd.ZstdFile(file), (*broken, zstd.ZstdError)
