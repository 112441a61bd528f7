"""Unpacking untrusted archives: only the members that a build reads, and nothing outside."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import platform
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from rich.filesize import decimal

from nsi_cli.plugins.archive import Archive
from nsi_cli.support.errors import DataError, one_line
from nsi_cli.support.progress import Advance
from nsi_cli.support.reading import open_regular

MAX_RATIO, MIN_LIMIT = 20, 64_000_000
"""An archive of images hardly shrinks when compressed: it may unpack to so many times its size,
or to so many bytes if it is small. More is a bomb."""
MAX_HEADERS = 1_000_000
"""Bytes of headers before a member, which `tarfile` holds in memory."""

_CHUNK = 1 << 16
_DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_DAMAGES = (
    tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError,
    RecursionError,
)  # fmt: skip


class DamagedError(DataError):
    """An archive that is truncated or has wrong bytes."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"the archive {path} is damaged: {one_line(why)}", "remove it and download it again"
        )


class HostileError(DataError):
    """An archive that holds what no dataset needs."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"the archive {path} is refused: {one_line(why)}",
            "do not trust it: remove it and download it from its original source",
        )


def check_python() -> None:
    """Raise `DataError` where this Python lacks the filters of `tarfile`."""
    if not hasattr(tarfile, "data_filter"):
        raise DataError(
            f"Python {platform.python_version()} cannot unpack untrusted archives safely",
            "use Python 3.11.4 or later, or unpack them yourself and name the folder with --raw",
        )


def extract(
    path: Path,
    archive: Archive,
    raw: Path,
    advance: Advance = lambda count, text="": None,
) -> int:
    """Write the wanted members of the archive at ``path`` under ``raw``; returns their number.

    The archive is read once, as a stream, and its end is checked; compression is recognised by
    content. Each file is written beside its destination and moved there, replacing what is there.
    ``advance`` receives how many more bytes of the archive were read.

    Raises `HostileError` for what `tarfile`'s data filter refuses (devices, pipes, links and names
    that lead outside), absolute names, and too many bytes or members; `DamagedError` for an
    archive that is truncated, has wrong bytes, or continues after its end; `DataError` where it
    has no wanted member.
    """
    count = read = 0
    folder = raw / archive.folder
    with open_regular(path) as file:
        source, tar = _Source(path, file), None
        try:
            tar = tarfile.open(  # noqa: SIM115 (a stream has nothing to close)
                fileobj=source, mode="r|", bufsize=_CHUNK, copybufsize=_CHUNK
            )  # type: ignore[call-overload]
            for member in _members(tar, source):
                if target := _target(member, archive, folder, path):
                    _write(tar, member, folder, target)
                    count += 1
                advance(file.tell() - read, f"{count:,} files")
                read = file.tell()
            _check_end(tar, source)
        except tarfile.FilterError as error:
            raise HostileError(path, str(error)) from error
        except _DAMAGES as error:
            why = str(error) if tar else f"not a tar archive ({error})"
            raise DamagedError(path, why) from error
        except OSError as error:
            if error.errno is not None:  # the disk's own
                raise
            raise DamagedError(path, str(error)) from error
        advance(source.size - read, f"{count:,} files")
    if not count:
        raise DataError(
            f"the archive {path} has none of the files of {archive.folder or archive.name}",
            "check that it is the right one: remove it, or name another --mirror",
        )
    return count


class _Source:
    """The uncompressed bytes of an archive, for `tarfile` to read as a stream."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        magic = file.read(8)
        file.seek(0)
        openers = [kind for start, kind in _DECOMPRESSORS.items() if magic.startswith(start)]
        self._stream = openers[0](file) if openers else file
        self.path, self.size = path, path.stat().st_size
        self.total_limit = max(MAX_RATIO * self.size, MIN_LIMIT)
        self.limit = MAX_HEADERS
        self.position = 0
        self.chunk = b""
        """The bytes read last, which end at ``position``."""

    def read(self, count: int) -> bytes:
        """Read up to ``count`` bytes. Raises `HostileError` beyond the limit."""
        self.chunk = self._stream.read(count)
        self.position += len(self.chunk)
        if self.position > self.limit:
            if self.limit < self.total_limit:
                raise HostileError(self.path, f"headers of more than {decimal(MAX_HEADERS)}")
            raise self.bomb()
        return self.chunk

    def bomb(self) -> HostileError:
        """The error for an archive that unpacks to too many bytes."""
        return HostileError(
            self.path,
            f"its {decimal(self.size)} unpack to more than {decimal(self.total_limit)}: a bomb?",
        )


def _members(tar: tarfile.TarFile, source: _Source) -> Iterator[tarfile.TarInfo]:
    """The members one by one; none is kept in memory."""
    most = source.size // 1000 + 10_000
    for _ in range(most):
        source.limit = min(source.total_limit, tar.offset + MAX_HEADERS)
        member = tar.next()
        source.limit = source.total_limit
        if member is None:
            return
        if tar.offset > source.total_limit:  # where its content ends
            raise source.bomb()
        yield member
        tar.members.clear()  # type: ignore[attr-defined]
        tar.pax_headers.clear()  # type: ignore[attr-defined]
    raise HostileError(source.path, f"more than {most:,} members")


def _target(
    member: tarfile.TarInfo, archive: Archive, folder: Path, path: Path
) -> PurePosixPath | None:
    """Where a member goes, relative to the archive's folder; None if it is not wanted."""
    try:
        if member.name.startswith("/"):
            raise tarfile.AbsolutePathError(member)
        tarfile.data_filter(member, str(folder))
    except (tarfile.FilterError, OSError, ValueError) as error:
        raise HostileError(path, str(error)) from error
    place = None if member.isdir() else archive.place(member.name)
    if place is None:
        return None
    if not member.isreg() or member.issparse():
        raise HostileError(path, f"{member.name!r} is not a regular file")
    return place.relative_to(archive.folder)


def _write(
    tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, target: PurePosixPath
) -> None:
    temporary = target.with_name(".unpacking")
    renamed = member.replace(name=str(temporary), deep=False)
    try:
        tar.extract(renamed, folder, set_attrs=False, filter="data")
        os.replace(folder / temporary, folder / target)
    finally:
        (folder / temporary).unlink(missing_ok=True)


def _check_end(tar: tarfile.TarFile, source: _Source) -> None:
    """Check that zeros, and nothing else, follow the last member; `tarfile` accepts anything.

    Reading to the end also checks the checksum of compressed data.
    """
    rest = source.chunk[tar.offset - (source.position - len(source.chunk)) :]
    if len(rest) < tarfile.BLOCKSIZE or any(rest[: tarfile.BLOCKSIZE]):
        raise tarfile.ReadError("it is truncated")
    while rest:
        if rest.strip(b"\0"):
            raise tarfile.ReadError("other data follows its end")
        rest = source.read(_CHUNK)
