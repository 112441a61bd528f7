"""Atomic writing: a temporary file or folder is written and then renamed to its path."""

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

from rich.filesize import decimal

from nsi_cli.support.errors import DataError
from nsi_cli.support.reading import JSON_LIMIT, open_regular, read_regular, reason_of


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` if the body succeeds, else is removed."""
    with disk_errors_explained(path), parents_of(path):
        sweep(path)
        temporary = _temporary_path(path, "part")
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            remove(temporary)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces ``path`` if the body succeeds, else is removed.

    If ``path`` is a link, the folder that it points to is replaced. Raises `DataError` before the
    body runs if the folder cannot be replaced.
    """
    target = replaceable(path)
    with disk_errors_explained(path), parents_of(target):
        sweep(target)
        temporary = _temporary_path(target, "part")
        try:
            temporary.mkdir()
            yield temporary
            put_folder(temporary, target)
        finally:
            remove(temporary)


def put_folder(temporary: Path, target: Path) -> None:
    """Replace the folder ``target`` by the complete folder ``temporary``."""
    old = _temporary_path(target, "old")
    try:
        if target.exists():
            os.replace(target, old)
        os.replace(temporary, target)
    finally:
        if old.exists() and not target.exists():
            os.replace(old, target)
        remove(old)


def replaceable(path: Path) -> Path:
    """Return the folder at ``path``, with links followed.

    Raises `DataError` if it cannot be replaced.
    """
    target = Path(os.path.realpath(path))
    current = Path.cwd()
    if target in (current, *current.parents):
        why = "the current folder is in it"
    elif target.is_mount():
        why = "a disk is mounted there"
    elif target.exists() and not target.is_dir():
        why = "it is a file"
    else:
        return target
    raise DataError(
        f"the folder {target} cannot be replaced: {why}",
        f"choose another path, such as {target / 'NAME'}",
    )


@contextmanager
def parents_of(path: Path) -> Iterator[None]:
    """Create the folders above ``path``; remove those created if the body fails."""
    created = [folder for folder in path.parents if not folder.exists()]
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
        yield
    except BaseException:
        for folder in created:
            with suppress(OSError):
                folder.rmdir()
        raise


# Temporary names contain the host and process id, so that the next writer can remove the files of
# killed processes.
_HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())


def _temporary_path(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.{kind}")


def sweep(path: Path) -> None:
    """Remove the temporary files of ``path`` that killed processes left.

    If a process was killed between its two renames, the old folder is restored.
    """
    pattern = re.compile(rf"\.{re.escape(path.name)}\.{_HOST}\.(\d+)\.(part|old)")
    for temporary in sorted(path.parent.iterdir()):
        match = pattern.fullmatch(temporary.name)
        if match is None or _runs(int(match[1])):
            continue
        if match[2] == "old" and not path.exists():
            os.replace(temporary, path)
        else:
            remove(temporary)


def _runs(process: int) -> bool:
    """Whether the writer of a temporary file still runs; one with our own id has ended."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs, but belongs to another user
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder with its contents; errors are ignored."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def held(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Lock a file while the body runs; ``waiting`` is called if another process holds the lock.

    Nothing is locked on a network file system without locks.
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
def disk_errors_explained(path: Path, flag: str = "") -> Iterator[None]:
    """Turn an `OSError` of writing under ``path`` into a `DataError`.

    ``flag`` is the one that sets the path, if the command has one.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL or any(text in str(error) for text in _FULL_TEXTS)
        reason = "the disk is full" if full else " ".join((error.strerror or str(error)).split())
        remedy = "free some space" if full else "check the path and its permissions"
        elsewhere = "choose another path" + (f" with {flag}" if flag else "")
        raise DataError(f"cannot write {path}: {reason}", f"{remedy}, or {elsewhere}") from error


def check_free_space(path: Path, needed: int, what: str, hint: str) -> None:
    """Raise `DataError` if the disk of ``path`` has fewer than ``needed`` bytes free."""
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DataError(
            f"the disk is full: {what} needs {decimal(needed)}, "
            f"but {decimal(free)} are free at {existing}",
            hint,
        )


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically."""
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def read_json(path: Path, what: str, hint: str) -> Any:
    """Read JSON. Raises `DataError` with ``hint``; ``what`` describes the file."""
    try:
        return json.loads(read_regular(path, JSON_LIMIT).decode())
    except FileNotFoundError:
        raise DataError(f"no {what} at {path}", hint) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{what} {path} cannot be read: {reason_of(error)}", hint) from None


_HASH_STEP = 1 << 23
"""The number of bytes hashed per step; large, because each step waits for other threads."""


def sha256(path: Path, advance: Callable[[int], object] = lambda count: None) -> str:
    """Return a file's SHA-256 in hexadecimal; ``advance`` is called with the bytes of each step."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        buffer = bytearray(min(_HASH_STEP, max(1, os.fstat(file.fileno()).st_size)))
        while read := file.readinto(buffer):
            digest.update(memoryview(buffer)[:read])
            advance(read)
    return digest.hexdigest()
