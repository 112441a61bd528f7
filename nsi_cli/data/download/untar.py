"""Unpacking untrusted tar archives, read once as a stream."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from rich.filesize import decimal

from nsi_cli.data.download.archive_errors import DamagedError, HostileError, bomb_error, size_limit
from nsi_cli.plugins.archive import Archive
from nsi_cli.support.progress import Advance
from nsi_cli.support.reading import open_regular

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


def extract_tar(path: Path, archive: Archive, folder: Path, advance: Advance) -> int:
    """Write the wanted members of a tar archive into ``folder``; return their number.

    Its compression is detected from its content, and its end is checked.

    Raises `HostileError` for members that `tarfile`'s data filter refuses (devices, pipes, links
    and paths outside the folder), absolute paths, and too many bytes or members; `DamagedError`
    for an archive that is truncated, corrupt, or followed by other data.
    """
    count = read = 0
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
            why = str(error) if tar else f"not a tar or zip archive ({error})"
            raise DamagedError(path, why) from error
        except OSError as error:
            if error.errno is not None:  # an error of the disk, not of the archive
                raise
            raise DamagedError(path, str(error)) from error
        advance(source.size - read, f"{count:,} files")
    return count


class _Source:
    """The uncompressed bytes of an archive, for `tarfile` to read as a stream."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        magic = file.read(8)
        file.seek(0)
        openers = [kind for start, kind in _DECOMPRESSORS.items() if magic.startswith(start)]
        self._stream = openers[0](file) if openers else file
        self.path, self.size = path, path.stat().st_size
        self.total_limit = size_limit(self.size)
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
            raise bomb_error(self.path, self.size)
        return self.chunk


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
            raise bomb_error(source.path, source.size)
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
