"""The folder beside a store in which it is built, and from where a killed build goes on."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from nsi_cli.data.build_journal import Journal
from nsi_cli.data.build_work import Kept
from nsi_cli.data.store import IMAGES
from nsi_cli.data.store_images import (
    Rows,
    copy_rows,
    create_images,
    other_bytes,
    rows_of,
    write_at,
)
from nsi_cli.errors import DataError
from nsi_cli.files import (
    held,
    parents_of,
    put_folder,
    remove,
    replaceable,
    sweep,
    told_when_disk_fails,
    write_json,
)
from nsi_cli.progress import Progress

SECONDS_BETWEEN_SAVES = 1.0

_PLAN, _LOCK = "plan.json", ".lock"


class BuildFolder:
    """A store that is being built.

    Workers write images and masks to `rows`, in place; the journal tells of which scenes they are
    safely down, and keeps the rest of those scenes. The plan comes last: a folder without it is
    none yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = path / "rows.h5"
        self.store = path / "store"
        self.journal = Journal(path / "journal.jsonl")
        self._told: list[tuple[str, Sequence[Kept]]] = []
        self._saved = time.monotonic()
        self._saver = ThreadPoolExecutor(1)
        self._saving: Future[None] = self._saver.submit(lambda: None)

    def begin(self, key: str, counts: Mapping[str, int], size: int, *, masked: bool) -> None:
        """Begin anew. Raises `OSError` where the disk is full.

        HDF5's own bytes are kept aside, so that whatever is later done to them can be undone.
        """
        for left in self.path.iterdir():
            if left.name != _LOCK:
                remove(left)
        create_images(self.rows, counts, size, masked=masked)
        own = [[place, base64.b64encode(data).decode()] for place, data in other_bytes(self.rows)]
        plan = {"key": key, "bytes": self.rows.stat().st_size, "hdf5": own}
        write_json(self.path / _PLAN, plan)

    def resume(self, key: str) -> bool:
        """Whether a build of that key was begun here; it is then as if only rows were written."""
        plan = self._plan()
        if plan.get("key") != key:
            return False
        try:
            if not self.rows.exists():  # it was killed after the file had found its place
                os.replace(self.store / IMAGES, self.rows)
            remove(self.store)
            with self.rows.open("r+b") as file:
                file.truncate(plan["bytes"])
                for place, data in plan["hdf5"]:
                    write_at(file.fileno(), place, base64.b64decode(data))
            self.journal.mend()
        except FileNotFoundError:
            return False
        return True

    def finish(self, counts: Mapping[str, int], size: int, *, masked: bool) -> None:
        """Put the file of images into the store's folder, without the rows of scenes left out."""
        self.store.mkdir()
        images, kept = self.store / IMAGES, self.journal.down(counts)
        if all(there.all() for there in kept.values()):
            os.replace(self.rows, images)
            return
        left = {split: int(there.sum()) for split, there in kept.items()}
        create_images(images, left, size, masked=masked)
        places = self.places()
        with self.rows.open("rb") as source, images.open("r+b") as target:
            for name, rows in rows_of(images).items():
                chosen = np.flatnonzero(kept[name.removeprefix("masks/")])
                copy_rows(source.fileno(), places[name], chosen, target.fileno(), rows.place)

    @property
    def under_way(self) -> bool:
        """Whether any scene is safely down here."""
        images = self.rows, self.store / IMAGES
        return self.journal.begun and any(path.exists() for path in images)

    def _plan(self) -> dict[str, Any]:
        try:
            plan = json.loads((self.path / _PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return plan if isinstance(plan, dict) else {}

    def places(self) -> dict[str, Rows]:
        """Where the rows of images and masks go, by the name of their dataset."""
        return rows_of(self.rows)

    def add(self, split: str, scenes: Sequence[Kept]) -> None:
        """Take note of scenes whose rows are written; now and then they are made safe.

        That is done beside the work, which need not wait for the disk.
        """
        if scenes:
            self._told.append((split, scenes))
        due = time.monotonic() - self._saved > SECONDS_BETWEEN_SAVES
        if due and self._saving.done():
            self._saving.result()
            self._saved, told, self._told = time.monotonic(), self._told, []
            self._saving = self._saver.submit(self._write, told)

    def save(self) -> None:
        """See to it that all that was noted survives whatever happens."""
        self._saving.result()
        told, self._told = self._told, []
        self._write(told)

    def _write(self, told: Sequence[tuple[str, Sequence[Kept]]]) -> None:
        if told:
            with self.rows.open("rb") as file:
                os.fsync(file.fileno())  # first the rows, then the word that they are there
            self.journal.append(told)


@contextmanager
def build_folder(out: Path, progress: Progress) -> Iterator[BuildFolder]:
    """The folder where the store of ``out`` is built; it moves there if the body ends well.

    What is done stays for the next build where the body is interrupted, the disk is full or a
    worker is killed; where anything else fails, the folder goes. Raises `DataError` where another
    process builds there.
    """
    place = replaceable(out)
    path = _path(place)
    with told_when_disk_fails(out), parents_of(place):
        sweep(place)
        path.mkdir(exist_ok=True)
        with held(path / _LOCK, waiting=lambda: _refuse(out)):
            folder = BuildFolder(path)
            try:
                yield folder
                put_folder(folder.store, place)
                remove(path)
            except BaseException as error:
                _keep_or_clear(folder, path, error, progress)
                raise


def clear_rest(out: Path) -> None:
    """Clear what is left of a build that was killed after its store had found its place."""
    path = _path(Path(os.path.realpath(out)))
    if path.is_dir() and not BuildFolder(path).under_way:
        remove(path)


def _path(place: Path) -> Path:
    return place.with_name(f".{place.name}.building")


def _refuse(out: Path) -> None:
    raise DataError(
        f"another process is building {out}", "wait for it, or choose another place with --out"
    )


def _keep_or_clear(
    folder: BuildFolder, path: Path, error: BaseException, progress: Progress
) -> None:
    by_chance = not isinstance(error, Exception) or any(
        isinstance(reason, OSError | BrokenProcessPool) for reason in (error, error.__cause__)
    )
    if by_chance:
        with suppress(OSError):
            folder.save()
    if by_chance and folder.under_way:
        progress.note(f"what is done is kept in {path}: the same command goes on from there")
    else:
        remove(path)
