"""Atomic writing: files are written beside their path and moved there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nsi_cli.support.errors import DataError
from nsi_cli.support.reading import JSON_LIMIT, open_regular, read_regular, reason_of


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, moved over it if the body succeeds, else removed."""
    with disk_errors_explained(path), parents_of(path):
        sweep(path)
        beside = _beside(path, "part")
        try:
            yield beside
            os.replace(beside, path)
        finally:
            remove(beside)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder beside ``path`` that replaces it if the body succeeds, else is removed.

    If ``path`` is a link, the folder that it points to is replaced. Raises `DataError` if
    a folder cannot be replaced, before the body runs.
    """
    place = replaceable(path)
    with disk_errors_explained(path), parents_of(place):
        sweep(place)
        beside = _beside(place, "part")
        try:
            beside.mkdir()
            yield beside
            put_folder(beside, place)
        finally:
            remove(beside)


def put_folder(beside: Path, place: Path) -> None:
    """Replace the folder ``place`` by the complete folder ``beside``."""
    old = _beside(place, "old")
    try:
        if place.exists():
            os.replace(place, old)
        os.replace(beside, place)
    finally:
        if old.exists() and not place.exists():
            os.replace(old, place)
        remove(old)


def replaceable(path: Path) -> Path:
    """The folder at ``path``, with links followed.

    Raises `DataError` if it cannot be replaced.
    """
    place = Path(os.path.realpath(path))
    current = Path.cwd()
    if place in (current, *current.parents):
        why = "the current folder is in it"
    elif place.is_mount():
        why = "a disk is mounted there"
    elif place.exists() and not place.is_dir():
        why = "it is a file"
    else:
        return place
    raise DataError(f"the folder {place} cannot be replaced: {why}", f"name {place / 'NAME'}, say")


@contextmanager
def parents_of(path: Path) -> Iterator[None]:
    """Create the folders above ``path``; remove those created if the body fails."""
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise


# Temporary files carry a host and process id; the next writer removes those of killed processes.
_HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.{kind}")


def sweep(path: Path) -> None:
    """Remove what killed processes left beside ``path``.

    A process killed between its two renames left the old folder aside: it is restored.
    """
    left = re.compile(rf"\.{re.escape(path.name)}\.{_HOST}\.(\d+)\.(part|old)")
    for beside in sorted(path.parent.iterdir()):
        match = left.fullmatch(beside.name)
        if match is None or _runs(int(match[1])):
            continue
        if match[2] == "old" and not path.exists():
            os.replace(beside, path)
        else:
            remove(beside)


def _runs(process: int) -> bool:
    """Whether another process of that id runs; our own id was that of a dead one."""
    if process == os.getpid():
        return False
    if os.name == "nt":  # where signal 0 is not a question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs, but belongs to another user
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; errors are ignored."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def held(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file; ``waiting`` is called if another process holds it.

    Some network file systems have no locks: there, nothing is held.
    """
    from filelock import FileLock, Timeout  # imported here: it takes 80 ms

    file = FileLock(lock)
    try:
        with disk_errors_explained(lock):
            try:
                file.acquire(timeout=0)
            except Timeout:
                waiting()
                file.acquire()
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
        yield
    finally:
        file.release()


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_TEXTS = tuple(os.strerror(number) for number in sorted(_FULL))


@contextmanager
def disk_errors_explained(path: Path, elsewhere: str = "--out") -> Iterator[None]:
    """Turn an `OSError` of writing under ``path`` into a `DataError`.

    ``elsewhere`` is the flag with which the user names another path.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL or any(text in str(error) for text in _FULL_TEXTS)
        reason = "the disk is full" if full else " ".join((error.strerror or str(error)).split())
        hint = (
            f"free some space, or choose another path with {elsewhere}"
            if full
            else f"check the path and its permissions, or choose another path with {elsewhere}"
        )
        raise DataError(f"cannot write {path}: {reason}", hint) from error


def check_room(path: Path, needed: int, what: str, hint: str) -> None:
    """Raise `DataError` if the disk of ``path`` has fewer than ``needed`` bytes free."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise DataError(
            f"the disk is full: {what} needs {readable(needed)}, "
            f"{readable(free)} are free at {there}",
            hint,
        )


def readable(count: float) -> str:
    """A number of bytes in a suitable unit."""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size * 0.99995:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path, what: str, hint: str) -> Any:
    """Read JSON. Raises `DataError` that names ``what`` it should have been, with ``hint``."""
    try:
        return json.loads(read_regular(path, JSON_LIMIT).decode())
    except FileNotFoundError:
        raise DataError(f"no {what} at {path}", hint) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{what} {path} cannot be read: {reason_of(error)}", hint) from None


_HASHED = 1 << 23
"""Bytes that are hashed at once: few steps, since each waits for the threads beside it."""


def sha256(path: Path, advance: Callable[[int], object] = lambda count: None) -> str:
    """The SHA-256 of a file, in hexadecimal; ``advance`` is called with the bytes of each step."""
    found = hashlib.sha256()
    with open_regular(path) as file:
        buffer = bytearray(min(_HASHED, max(1, os.fstat(file.fileno()).st_size)))
        while read := file.readinto(buffer):
            found.update(memoryview(buffer)[:read])
            advance(read)
    return found.hexdigest()
