"""The temporary folder in which a store is built until it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nsi_cli.data.store.reader import is_store
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

_HINT = "choose another path with --out"


def check_out(out: Path, raw: Path, *, force: bool) -> None:
    """Raise `DataError` if a store cannot be built at ``out``; remove what killed builds left.

    A store there is replaced only with ``force``; other files, or raw data, never.
    """
    target = Path(os.path.realpath(out))
    if target.parent.is_dir():
        with disk_errors_explained(out, "--out"):
            sweep(target)
    _remove_unless_held(_temporary(target), out)
    if is_store(out):
        if not force:
            raise DataError(f"{out} is a store already", "replace it with --force")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists and is not a store", _HINT)
    if raw.resolve().is_relative_to(target):
        raise DataError(f"the raw data {raw} lies in {out}, which the store would replace", _HINT)


@contextmanager
def build_folder(out: Path) -> Iterator[Path]:
    """An empty folder beside ``out`` that is moved there if the body succeeds, else removed.

    Raises `DataError` if another process builds ``out``, or if the disk cannot be written.
    """
    target = replaceable(out)
    temporary = _temporary(target)
    with disk_errors_explained(out, "--out"), parents_of(target):
        try:
            temporary.mkdir(exist_ok=True)
            with _held(temporary, out):
                store = temporary / "store"
                remove(store)
                store.mkdir()
                yield store
                _flush(store)
                put_folder(store, target)
        finally:
            _remove_unless_held(temporary, out)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.building")


def _remove_unless_held(temporary: Path, out: Path) -> None:
    if temporary.is_dir():
        with suppress(DataError), _held(temporary, out):
            remove(temporary)


@contextmanager
def _held(temporary: Path, out: Path) -> Iterator[None]:
    """Lock the temporary folder. Raises `DataError` if another process holds it."""

    def refuse() -> None:
        raise DataError(f"another process is building {out}", f"wait for it, or {_HINT}")

    with held(temporary / ".lock", waiting=refuse):
        yield


def _flush(folder: Path) -> None:
    """Flush every file to the disk, which may fail only now."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
