"""The temporary folder in which a store is built until it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nsi_cli.support.errors import DataError
from nsi_cli.support.files import (
    disk_errors_explained,
    held,
    parents_of,
    put_folder,
    remove,
    replaceable,
    sweep,
)

_LOCK = ".lock"


@contextmanager
def build_folder(out: Path) -> Iterator[Path]:
    """An empty folder beside ``out`` that is moved there if the body succeeds, else removed.

    What a killed build left is removed first. Raises `DataError` if another process builds
    ``out``, or if the disk cannot be written.
    """
    target = replaceable(out)
    beside = _beside(target)
    with disk_errors_explained(out), parents_of(target):
        sweep(target)
        try:
            beside.mkdir(exist_ok=True)
            with held(beside / _LOCK, waiting=lambda: _refuse(out)):
                store = beside / "store"
                remove(store)
                store.mkdir()
                yield store
                _flush(store)
                put_folder(store, target)
        finally:
            _remove_unless_held(beside, out)


def remove_leftovers(out: Path) -> None:
    """Remove what killed builds of ``out`` left beside it, unless another process builds it."""
    target = Path(os.path.realpath(out))
    if target.parent.is_dir():
        sweep(target)
    _remove_unless_held(_beside(target), out)


def _remove_unless_held(beside: Path, out: Path) -> None:
    if beside.is_dir():
        with suppress(DataError), held(beside / _LOCK, waiting=lambda: _refuse(out)):
            remove(beside)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.building")


def _refuse(out: Path) -> None:
    raise DataError(
        f"another process is building {out}", "wait for it, or choose another path with --out"
    )


def _flush(folder: Path) -> None:
    """Flush every file to the disk, which may fail only now."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
