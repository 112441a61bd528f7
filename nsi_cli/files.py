"""Files that are either whole or not there: written beside their place and moved into it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nsi_cli.errors import DataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, moved over it when the body ends well, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with told_when_disk_fails(path):
            yield beside
            os.replace(beside, path)
    finally:
        _remove(beside)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder beside ``path`` that takes its place when the body ends well, else goes."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        with told_when_disk_fails(path):
            beside.mkdir(parents=True)
            yield beside
            if path.exists():
                os.replace(path, old)
            os.replace(beside, path)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        _remove(beside)
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def told_when_disk_fails(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write under ``path`` into a `DataError`."""
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL or "No space left" in str(error)
        reason = "the disk is full" if full else (error.strerror or str(error))
        hint = (
            "free some space, or choose another place with --out; nothing was left half-written"
            if full
            else "check the path and its permissions"
        )
        raise DataError(f"cannot write {path}: {reason}", hint) from error


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path, what: str, hint: str) -> Any:
    """Read JSON. Raises `DataError` that names ``what`` it should have been, with ``hint``."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"no {what} at {path}", hint) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{what} {path} cannot be read: {error}", hint) from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
