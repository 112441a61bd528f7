"""Unpacking archives that nobody vouches for: only what is wanted, and nothing outside."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nsi_cli.data.tar_bytes import DamagedError, HostileError, TarBytes
from nsi_cli.errors import DataError
from nsi_cli.files import readable
from nsi_cli.plugins.archive import Archive
from nsi_cli.progress import Advance

LONGEST_PART, LONGEST_NAME = 200, 1000
"""Bytes of a member's name between two slashes, and in all."""

TELL_EVERY = 500_000
"""Bytes of an archive between two words of progress."""

_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


@dataclass
class Extracted:
    """What came of an archive's files."""

    written: int = 0
    there_already: int = 0
    left_out: int = 0

    @property
    def wanted(self) -> int:
        """How many of them are in the raw folder now."""
        return self.written + self.there_already


def extract(
    path: Path,
    archive: Archive,
    raw: Path,
    *,
    all_files: bool = False,
    advance: Advance = lambda count, told="": None,
) -> Extracted:
    """Write the members of ``archive``, which lies at ``path``, that are wanted under ``raw``.

    The archive is read once, from its beginning to its end; compression is told from the content.
    A member is written beside its place and moved there; one that is there with the right size is
    passed over, so that an interrupted extraction goes on. ``advance`` is told how many more
    bytes of the archive are done.

    Refused with `HostileError`: absolute names and ``..``, links, devices, pipes, sparse files,
    two members of one name, over-long names, more bytes than `tar_bytes.MOST_TIMES` times the
    archive's own, more members than one for each KB of it. An archive that is cut short or
    garbled is a `DamagedError`; one without a wanted member is a `DataError`.
    """
    done, seen = Extracted(), set[PurePosixPath]()
    with TarBytes(path) as source:
        at = 0
        for member in _members(source):
            place = _place(member, archive, path, all_files)
            if place is None:
                done.left_out += member.isreg()
            elif (folded := PurePosixPath(str(place).casefold())) in seen:
                raise HostileError(path, f"it holds {member.name!r} twice")
            else:
                seen.add(folded)
                if _is_there(raw / place, member.size):
                    done.there_already += 1
                else:
                    _write(source, member, raw / place)
                    done.written += 1
            if source.packed_at - at > TELL_EVERY:
                advance(source.packed_at - at, f"{done.wanted:,} files")
                at = source.packed_at
        source.drain()
        advance(source.packed - at, f"{done.wanted:,} files")
    if not done.wanted:
        raise DataError(
            f"the archive {path} has none of the files of {archive.folder or archive.name}",
            "is it another one under this name? Remove it, or name another --mirror",
        )
    return done


def _members(source: TarBytes) -> Iterator[tarfile.TarInfo]:
    """The members one by one, none of them kept."""
    most = source.packed // 1000 + 10_000
    file: Any = source
    try:
        with tarfile.open(fileobj=file, mode="r:") as opened:
            tar: Any = opened  # whose list of members is no part of what typeshed tells
            for _ in range(most):
                member = tar.next()
                if member is None:
                    break
                yield member
                tar.members.clear()
                tar.pax_headers = {}
            else:
                raise HostileError(source.path, f"more than {most:,} members")
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        why = f"it is no tar archive ({error})" if not source.tell() > 512 else str(error)
        raise DamagedError(source.path, why) from error
    if not source.ends_in_zeros:
        raise DamagedError(source.path, "it is cut short")


def _place(
    member: tarfile.TarInfo, archive: Archive, path: Path, all_files: bool
) -> PurePosixPath | None:
    """Where a member goes; None for a folder, and for what is not wanted."""
    name = member.name
    parts = name.split("/")
    if (
        len(os.fsencode(name)) > LONGEST_NAME
        or max(map(len, map(os.fsencode, parts))) > LONGEST_PART
    ):
        raise HostileError(path, f"the over-long name {name[:60]!r}…")
    if name.startswith(("/", "\\")) or parts[0].endswith(":"):
        raise HostileError(path, f"the absolute name {name!r}")
    if ".." in parts or "\\" in name or "\0" in name:
        raise HostileError(path, f"the name {name!r} leads out of its folder")
    if member.size < 0:
        raise HostileError(path, f"{name!r} has a negative size")
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        kind = "a sparse file" if member.issparse() else _KINDS.get(member.type, "of unknown kind")
        raise HostileError(path, f"{name!r} is {kind}")
    return archive.place(name, all_files=all_files)


def _is_there(place: Path, size: int) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError):
        return place.lstat().st_size == size and place.is_file() and not place.is_symlink()
    return False


def _write(source: TarBytes, member: tarfile.TarInfo, place: Path) -> None:
    """Write the member whose data come next."""
    if member.size > source.limit - source.tell():
        raise HostileError(
            source.path,
            f"{member.name!r} is said to have {readable(member.size)}, the whole archive has "
            f"{readable(source.packed)}: a bomb?",
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.part")
    try:
        with beside.open("wb") as file:
            left = member.size
            while left:
                data = source.read_data(left)
                if not data:
                    raise DamagedError(source.path, f"it is cut short in {member.name!r}")
                left -= file.write(data)
        os.replace(beside, place)
    finally:
        beside.unlink(missing_ok=True)
