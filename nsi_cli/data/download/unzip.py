"""Unpacking untrusted zip archives; only the members that are wanted are read."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from rich.filesize import decimal

from nsi_cli.data.download.archive_errors import DamagedError, HostileError, bomb_error, size_limit
from nsi_cli.plugins.archive import Archive
from nsi_cli.support.errors import DataError
from nsi_cli.support.progress import Advance
from nsi_cli.support.reading import open_regular

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
"""The first bytes of a zip archive; the second are those of an empty one."""

MAX_READ = 32_000_000
"""The most bytes that are read at once: `zipfile` holds the list of all members in memory.

The list of CLEVR, whose archive has 100,000 images, takes 13 MB."""

_CHUNK = 1 << 16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_DAMAGE_ERRORS = (
    zipfile.BadZipFile, EOFError, zlib.error, struct.error, ValueError, OverflowError,
    NotImplementedError, RuntimeError,
)  # fmt: skip


def extract_zip(path: Path, archive: Archive, folder: Path, advance: Advance) -> int:
    """Write the wanted members of a zip archive into ``folder``; return their number.

    All names and sizes are checked before the first file is written, and the checksum of each file
    before it replaces another. Raises `HostileError` for absolute paths, paths outside the folder,
    wanted members that are links or devices, and too many bytes; `DamagedError` for an archive
    that is truncated or corrupt; `DataError` for one that is encrypted or compressed by other
    methods than the usual ones.
    """
    count = read = 0
    size, opened = path.stat().st_size, None
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(_Source(path, file)) as opened:
                for member, target in _wanted(opened, archive, folder, path, size):
                    _write(opened, member, folder, target)
                    count, read = count + 1, read + member.compress_size
                    advance(member.compress_size, f"{count:,} files")
        except _DAMAGE_ERRORS as error:
            why = str(error) or type(error).__name__
            if opened is None:
                why = f"its list of members, at its end, is missing or damaged ({why})"
            raise DamagedError(path, why) from error
    advance(size - read, f"{count:,} files")
    return count


class _Source:
    """The bytes of an archive for `zipfile`, which reads as much as the archive tells it to."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self._file = path, file
        self.tell, self.seekable = file.tell, file.seekable

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position. Raises `BadZipFile` for one before the start."""
        if whence == os.SEEK_SET and offset < 0:
            raise zipfile.BadZipFile("a negative position")
        return self._file.seek(offset, whence)

    def read(self, count: int = -1) -> bytes:
        """Read up to ``count`` bytes, or all. Raises `HostileError` for too many."""
        data = self._file.read(min(count, MAX_READ + 1) if count >= 0 else MAX_READ + 1)
        if len(data) > MAX_READ:
            raise HostileError(self.path, f"a list of members of more than {decimal(MAX_READ)}")
        return data


def _wanted(
    opened: zipfile.ZipFile, archive: Archive, folder: Path, path: Path, size: int
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The wanted members with their paths in the folder; all members are checked."""
    wanted = [
        (member, target)
        for member in opened.infolist()
        if (target := _target(member, archive, folder, path))
    ]
    if sum(member.file_size for member, _ in wanted) > size_limit(size):
        raise bomb_error(path, size)
    return wanted


def _target(
    member: zipfile.ZipInfo, archive: Archive, folder: Path, path: Path
) -> PurePosixPath | None:
    """A member's path in the archive's folder; None if it is not wanted."""
    _check_name(member.filename, folder, path)
    placed = None if member.is_dir() else archive.place(member.filename)
    if placed is None:
        return None
    target = placed.relative_to(archive.folder)
    _check_name(str(_temporary(target)), folder, path)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise HostileError(path, f"{member.filename!r} is not a regular file")
    if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
        how = "encrypted" if member.flag_bits & _ENCRYPTED else "compressed by an unusual method"
        raise DataError(
            f"the archive {path} cannot be unpacked: {member.filename!r} is {how}",
            "unpack it yourself, and give the folder with --raw",
        )
    return target


def _check_name(name: str, folder: Path, path: Path) -> None:
    """Raise `HostileError` for a name that leads out of the folder, by `tarfile`'s rules."""
    try:
        if name.startswith("/"):
            raise tarfile.AbsolutePathError(tarfile.TarInfo(name))
        tarfile.data_filter(tarfile.TarInfo(name), str(folder))
    except (tarfile.FilterError, OSError, ValueError) as error:
        raise HostileError(path, str(error)) from error


def _temporary(target: PurePosixPath) -> PurePosixPath:
    """The path at which a file is written before it replaces an existing one."""
    return target.with_name(".unpacking")


def _write(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, target: PurePosixPath
) -> None:
    temporary = folder / _temporary(target)
    temporary.parent.mkdir(parents=True, exist_ok=True)
    temporary.unlink(missing_ok=True)
    try:
        with opened.open(member) as source, temporary.open("xb") as file:
            shutil.copyfileobj(source, file, _CHUNK)
        os.replace(temporary, folder / target)
    finally:
        temporary.unlink(missing_ok=True)
