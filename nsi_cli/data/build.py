"""Building a store: worker processes write images into place, and a killed build goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.build_folder import BuildFolder, build_folder
from nsi_cli.data.build_parts import Shard
from nsi_cli.data.build_plan import Plan, make_plan, versions
from nsi_cli.data.build_work import Job, Kept, Skipped, do_all, load_one
from nsi_cli.data.store import is_store
from nsi_cli.data.store_writer import Meanwhile, StoreInfo, complete_store, write_labels
from nsi_cli.data.vocabulary import Vocabulary, translation
from nsi_cli.errors import DataError
from nsi_cli.files import check_room
from nsi_cli.plugins.contract import SchemaBuilder
from nsi_cli.progress import SILENT, Progress

TOLD = 5
"""Unreadable scenes that the error of a failed build names."""


@dataclass(frozen=True)
class BuildOptions:
    """How a store is built, whatever its task."""

    image_size: int = 224
    workers: int = 0
    max_skipped: float = 0.001  # share of unreadable scenes above which the build fails
    limit: int | None = None  # the first scenes only, so many in all
    shard: Shard | None = None  # only this part of them
    vocabulary: Vocabulary | None = None  # of another store, in whose words this one is built
    told: Mapping[str, Any] = field(default_factory=dict)  # options to record in build.json


def build_store(
    builder: SchemaBuilder,
    task: str,
    out: Path,
    options: BuildOptions,
    progress: Progress = SILENT,
    meanwhile: Meanwhile | None = None,
) -> Path:
    """Build the store of ``task`` at ``out`` from what ``builder`` reads, and return its path.

    A shard is built at `Shard.place` instead. Scenes that cannot be read are skipped and listed
    in ``build.json`` with the reason; too many of them fail the build. Nothing is there before the
    store is whole, and what was there stays if the build fails. Where the same build was killed,
    interrupted or out of disk before, it goes on from there, to the same store. A store is
    replaced; anything else there, or raw data in it, is refused. With a vocabulary the store takes
    its schema in place of the builder's own. ``meanwhile`` is called with the store when all of it
    is there but the hash of its images, and may add to its folder. Raises `DataError`.
    """
    if options.shard is not None:
        out = options.shard.place(out)
    refuse_to_overwrite(out, builder.raw)
    translate = translation(builder.schema(), options.vocabulary)
    plan = make_plan(builder, translate, task, options.image_size, options.limit, options.shard)
    for note in plan.notes:
        progress.note(note)
    with _told_when_a_worker_is_killed(), build_folder(out, progress) as folder:
        Building(builder, task, options, plan, folder, progress, meanwhile).run()
    return out


@contextmanager
def _told_when_a_worker_is_killed() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise DataError(
            "a process that loads scenes was ended from outside",
            "if memory was short, load with fewer: --workers 1",
        ) from error


def refuse_to_overwrite(out: Path, raw: Path) -> None:
    """Raise `DataError` where ``out`` holds anything but a store, or the raw data."""
    if out.is_dir() and any(out.iterdir()) and not is_store(out):
        raise DataError(
            f"{out} holds something that is not a store", "choose another place with --out"
        )
    if raw.resolve().is_relative_to(out.resolve()):
        raise DataError(
            f"the raw data {raw} lies in {out}, which the store would replace",
            "choose another place with --out",
        )


@dataclass(frozen=True)
class Building:
    """One build, in its folder."""

    builder: SchemaBuilder
    task: str
    options: BuildOptions
    plan: Plan
    folder: BuildFolder
    progress: Progress
    meanwhile: Meanwhile | None = None

    def run(self) -> None:
        """Do what is not done yet, and make a store of all."""
        if not self.folder.resume(self.plan.key):
            self._begin()
        down = self.folder.journal.down(self.plan.counts)
        done = sum(int(there.sum()) for there in down.values())
        if done:
            self.progress.note(f"goes on with a build: {done:,} of {self.plan.total:,} scenes done")
        skipped = self._write_missing(down)
        skipped.sort(key=lambda item: (list(self.plan.counts).index(item.split), item.number))
        self._check_splits(skipped)
        self._finish(skipped)

    def _begin(self) -> None:
        size, counts = self.options.image_size, self.plan.counts
        if self.folder.under_way:
            self.progress.note(f"begins anew: {self.folder.path} is of another build")
        hint = "free some space, or choose another place with --out"
        needed = self.plan.total * size * size * 3
        check_room(self.folder.path, needed, f"a store of {self.plan.total:,} scenes", hint)
        self.folder.begin(self.plan.key, counts, size, masked=self._has_masks())

    def _has_masks(self) -> bool:
        """Whether scenes have masks, as the first one tells that can be read."""
        skipped = []
        for split, sources in self.plan.sources.items():
            for number, source in enumerate(sources):
                scene = load_one(self.builder, self.options.image_size, split, number, source)
                if not isinstance(scene, Skipped):
                    return scene.mask is not None
                skipped.append(scene)
                self._check_skipped(skipped)
        return False

    def _write_missing(self, down: Mapping[str, npt.NDArray[np.bool_]]) -> list[Skipped]:
        """Load and write what is not ``down``; return what was left out."""
        plan, folder, skipped = self.plan, self.folder, list[Skipped]()
        size = self.options.image_size
        job = Job(self.builder, plan.translate, size, folder.rows, folder.places())
        done = sum(int(there.sum()) for there in down.values())
        with self.progress.stage("build", plan.total, done=done) as advance:
            for split, loaded in do_all(job, plan.chunks(down), self.options.workers):
                folder.add(split, [item for item in loaded if isinstance(item, Kept)])
                skipped += [item for item in loaded if isinstance(item, Skipped)]
                self._check_skipped(skipped)
                advance(len(loaded))
        folder.save()
        return skipped

    def _check_skipped(self, skipped: list[Skipped]) -> None:
        total, most = sum(self.plan.whole.values()), self.options.max_skipped
        if len(skipped) <= most * total:
            return
        told = "; ".join(item.reason for item in skipped[:TOLD]) + "; …" * (len(skipped) > TOLD)
        hint = skipped[0].hint or "mend or remove those scenes"
        raise DataError(
            f"{len(skipped)} of {total} scenes cannot be read, more than {most:.1%}: {told}",
            f"{hint}; --max-skipped allows more to be left out",
        )

    def _check_splits(self, skipped: list[Skipped]) -> None:
        """Raise `DataError` where nothing is left of a split; of a shard's, something may be."""
        for split, count in self.plan.whole.items():
            lost = [item for item in skipped if item.split == split]
            if len(lost) == count:
                raise DataError(
                    f"no scene of split '{split}' can be read: {lost[0].reason}",
                    lost[0].hint or "mend those scenes",
                )

    def _finish(self, skipped: list[Skipped]) -> None:
        """Make a store of what is written."""
        folder, plan = self.folder, self.plan
        masked = any(name.startswith("masks/") for name in folder.places())
        folder.finish(plan.counts, self.options.image_size, masked=masked)
        info = StoreInfo(self.task, plan.schema, self.options.image_size, masked)
        # The labels are not kept: they are large where the scenes are many.
        splits = write_labels(folder.store, folder.journal.labels(plan.counts, plan.schema))
        complete_store(folder.store, info, splits, self._record(skipped), self.meanwhile)

    def _record(self, skipped: list[Skipped]) -> dict[str, Any]:
        options, shard = self.options, self.options.shard
        told = {**options.told, "image_size": options.image_size}
        if options.limit is not None:
            told["limit"] = options.limit
        record: dict[str, Any] = {
            "options": told,
            "versions": versions(),
            "skipped": [
                {"split": item.split, "scene": item.scene, "reason": item.reason}
                for item in skipped
            ],
            **({"notes": list(self.plan.notes)} if self.plan.notes else {}),
            **self.plan.translate.record(),
        }
        if shard is not None:
            record["shard"] = {
                "index": shard.index,
                "of": shard.of,
                "build": self.plan.key,
                "max_skipped": options.max_skipped,
            }
        return record
