"""Unpacking untrusted archives: only wanted members, and only into the raw folder."""

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
"""An archive may unpack to `MAX_RATIO` times its size, or to `MIN_LIMIT` bytes if that is more.

Images hardly compress, so an archive that exceeds this is a decompression bomb."""
MAX_HEADERS = 1_000_000
"""The most bytes of headers before a member; `tarfile` holds them in memory."""

_CHUNK = 1 << 16
_DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_DAMAGE_ERRORS = (
    tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError,
    RecursionError,
)  # fmt: skip


class DamagedError(DataError):
    """An archive that is truncated or corrupt."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"the archive {path} is damaged: {one_line(why)}", "remove it and download it again"
        )


class HostileError(DataError):
    """An archive that could do harm, for example with links or a decompression bomb."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"the archive {path} is refused: {one_line(why)}",
            "do not trust it: remove it and download it from its original source",
        )


def check_python() -> None:
    """Raise `DataError` if this Python's `tarfile` has no extraction filters."""
    if not hasattr(tarfile, "data_filter"):
        raise DataError(
            f"Python {platform.python_version()} cannot unpack untrusted archives safely",
            "use Python 3.11.4 or later, or unpack them yourself and give the folder with --raw",
        )


def extract(
    path: Path,
    archive: Archive,
    raw: Path,
    advance: Advance = lambda count, text="": None,
) -> int:
    """Write the wanted members of the archive at ``path`` under ``raw``; return their number.

    The archive is read once, as a stream, and its end is checked. Its compression is detected from
    its content. Each file is written to a temporary file, which then replaces any file of its
    name. ``advance`` is called with the number of bytes read since the previous call.

    Raises `HostileError` for members that `tarfile`'s data filter refuses (devices, pipes, links
    and paths outside the folder), absolute paths, and too many bytes or members; `DamagedError`
    for an archive that is truncated, corrupt, or followed by other data; `DataError` if it has no
    wanted member.
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
        except _DAMAGE_ERRORS as error:
            why = str(error) if tar else f"not a tar archive ({error})"
            raise DamagedError(path, why) from error
        except OSError as error:
            if error.errno is not None:  # an error of the disk, not of the archive
                raise
            raise DamagedError(path, str(error)) from error
        advance(source.size - read, f"{count:,} files")
    if not count:
        raise DataError(
            f"the archive {path} has none of the files of {archive.folder or archive.name}",
            "it may be the wrong archive: remove it, or choose another --mirror",
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
        """The last bytes that were read; they end at ``position``."""

    def read(self, count: int) -> bytes:
        """Read up to ``count`` bytes. Raises `HostileError` if the limit is exceeded."""
        self.chunk = self._stream.read(count)
        self.position += len(self.chunk)
        if self.position > self.limit:
            if self.limit < self.total_limit:
                raise HostileError(self.path, f"headers of more than {decimal(MAX_HEADERS)}")
            raise self.bomb_error()
        return self.chunk

    def bomb_error(self) -> HostileError:
        """The error for an archive that unpacks to too many bytes."""
        return HostileError(
            self.path,
            f"a decompression bomb: its {decimal(self.size)} unpack to more than "
            f"{decimal(self.total_limit)}",
        )


def _members(tar: tarfile.TarFile, source: _Source) -> Iterator[tarfile.TarInfo]:
    """Yield the members one by one, without keeping them in memory."""
    max_members = source.size // 1000 + 10_000
    for _ in range(max_members):
        source.limit = min(source.total_limit, tar.offset + MAX_HEADERS)
        member = tar.next()
        source.limit = source.total_limit
        if member is None:
            return
        if tar.offset > source.total_limit:  # the end of its content
            raise source.bomb_error()
        yield member
        tar.members.clear()  # type: ignore[attr-defined]
        tar.pax_headers.clear()  # type: ignore[attr-defined]
    raise HostileError(source.path, f"more than {max_members:,} members")


def _target(
    member: tarfile.TarInfo, archive: Archive, folder: Path, path: Path
) -> PurePosixPath | None:
    """Return a member's path in the archive's folder; None if it is not wanted."""
    try:
        if member.name.startswith("/"):
            raise tarfile.AbsolutePathError(member)
        tarfile.data_filter(member, str(folder))
    except (tarfile.FilterError, OSError, ValueError) as error:
        raise HostileError(path, str(error)) from error
    target = None if member.isdir() else archive.place(member.name)
    if target is None:
        return None
    if not member.isreg() or member.issparse():
        raise HostileError(path, f"{member.name!r} is not a regular file")
    return target.relative_to(archive.folder)


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
    """Check that only zeros follow the last member; `tarfile` accepts anything.

    Reading to the end also checks the checksum of compressed data.
    """
    rest = source.chunk[tar.offset - (source.position - len(source.chunk)) :]
    if len(rest) < tarfile.BLOCKSIZE or any(rest[: tarfile.BLOCKSIZE]):
        raise tarfile.ReadError("it is truncated")
    while rest:
        if rest.strip(b"\0"):
            raise tarfile.ReadError("other data follows its end")
        rest = source.read(_CHUNK)
