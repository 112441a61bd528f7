"""Building a store: worker processes load scenes and write their images into one file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nsi_cli.data.build.folder import build_folder
from nsi_cli.data.build.labels import LabelCollector
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.build.plan import Plan, make_plan
from nsi_cli.data.build.workers import Skipped, load_all, load_one
from nsi_cli.data.store.images import copy_rows, create_images, rows_of
from nsi_cli.data.store.reader import IMAGES, is_store
from nsi_cli.data.store.writer import Meanwhile, StoreInfo, complete_store, write_labels
from nsi_cli.plugins.contract import SchemaBuilder
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import check_room
from nsi_cli.support.progress import SILENT, Progress

__all__ = ["BuildOptions", "build_store"]

REASONS = 5
"""Unreadable scenes that the error of a failed build names."""

Collectors = Mapping[str, LabelCollector]


def build_store(
    builder: SchemaBuilder,
    task: str,
    out: Path,
    options: BuildOptions,
    progress: Progress = SILENT,
    meanwhile: Meanwhile | None = None,
) -> Path:
    """Build the store of ``task`` at ``out`` from what ``builder`` reads, and return its path.

    Scenes that cannot be read are skipped and listed in ``build.json`` with the reason; too many
    fail the build. A build that fails or is killed leaves ``out`` as it was; the next one
    starts again. A store at ``out`` is replaced; anything else there, or raw data in it, is
    refused. With a vocabulary, its schema replaces the builder's own. ``meanwhile`` is called with
    the store while its files are hashed, and may add to its folder. Raises `DataError`.
    """
    refuse_to_overwrite(out, builder.raw)
    plan = make_plan(builder, task, options)
    for note in plan.notes:
        progress.note(note)
    with _killed_workers_explained(), build_folder(out) as folder:
        _write_store(plan, folder, progress, meanwhile)
    return out


@contextmanager
def _killed_workers_explained() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise DataError(
            "a process that loads scenes was ended from outside",
            "if memory was short, load with fewer: --workers 1",
        ) from error


def refuse_to_overwrite(out: Path, raw: Path) -> None:
    """Raise `DataError` if ``out`` holds anything but a store, or the raw data."""
    if out.is_dir() and any(out.iterdir()) and not is_store(out):
        raise DataError(f"{out} is not empty and not a store", "choose another path with --out")
    if raw.resolve().is_relative_to(out.resolve()):
        raise DataError(
            f"the raw data {raw} lies in {out}, which the store would replace",
            "choose another path with --out",
        )


def _write_store(plan: Plan, folder: Path, progress: Progress, meanwhile: Meanwhile | None) -> None:
    """Write the whole store of a plan into an empty folder."""
    size = plan.options.image_size
    hint = "free some space, or choose another path with --out"
    check_room(folder, plan.total * size * size * 3, f"a store of {plan.total:,} scenes", hint)
    info = StoreInfo(plan.task, plan.schema, size, _has_masks(plan))
    collectors, skipped = _write_images(plan, folder / IMAGES, info, progress)
    splits = write_labels(folder, {split: one.labels() for split, one in collectors.items()})
    del collectors  # they are large if there are many scenes
    complete_store(folder, info, splits, _record(plan, skipped), meanwhile)


def _has_masks(plan: Plan) -> bool:
    """Whether scenes have masks, as the first one that can be read does."""
    skipped = []
    for chunk in plan.chunks():
        for number, source in enumerate(chunk.sources, start=chunk.first):
            scene = load_one(plan.builder, plan.options.image_size, chunk.split, number, source)
            if not isinstance(scene, Skipped):
                return scene.mask is not None
            skipped.append(scene)
            _check_skipped(plan, skipped)
    return False


def _write_images(
    plan: Plan, images: Path, info: StoreInfo, progress: Progress
) -> tuple[Collectors, list[Skipped]]:
    """Write the file of images; return the labels and the skipped scenes, both in order."""
    rows = images.with_name("rows.h5")
    create_images(rows, plan.counts, info.image_size, masked=info.masked)
    collectors = {split: LabelCollector(count, plan.schema) for split, count in plan.counts.items()}
    skipped: list[Skipped] = []
    with progress.stage("build", plan.total) as advance:
        for split, loaded in load_all(plan, rows):
            for scene in loaded:
                if isinstance(scene, Skipped):
                    skipped.append(scene)
                else:
                    collectors[split].add(scene)
            _check_skipped(plan, skipped)
            advance(len(loaded))
    _check_splits(plan, skipped)
    if skipped:
        _copy_kept(rows, images, collectors, info)
        rows.unlink()
    else:
        os.replace(rows, images)
    return collectors, skipped


def _copy_kept(rows: Path, images: Path, collectors: Collectors, info: StoreInfo) -> None:
    """Copy the rows to a file without those of the scenes that were skipped."""
    numbers = {split: one.numbers for split, one in collectors.items()}
    counts = {split: len(kept) for split, kept in numbers.items()}
    create_images(images, counts, info.image_size, masked=info.masked)
    sources = rows_of(rows)
    with rows.open("rb") as source, images.open("r+b") as target:
        for name, into in rows_of(images).items():
            kept = numbers[name.removeprefix("masks/")]
            copy_rows(source.fileno(), sources[name], kept, target.fileno(), into.place)


def _check_skipped(plan: Plan, skipped: list[Skipped]) -> None:
    """Raise `DataError` if more scenes are unreadable than the options allow."""
    most = plan.options.max_skipped
    if len(skipped) <= most * plan.total:
        return
    reasons = "; ".join(item.reason for item in skipped[:REASONS])
    hint = skipped[0].hint or "mend or remove those scenes"
    raise DataError(
        f"{len(skipped)} of {plan.total} scenes cannot be read, more than {most:.1%}: "
        + reasons + "; …" * (len(skipped) > REASONS),
        f"{hint}; --max-skipped allows more to be left out",
    )  # fmt: skip


def _check_splits(plan: Plan, skipped: list[Skipped]) -> None:
    """Raise `DataError` if a split is empty."""
    for split, count in plan.counts.items():
        lost = [item for item in skipped if item.split == split]
        if len(lost) == count:
            raise DataError(
                f"no scene of split '{split}' can be read: {lost[0].reason}",
                lost[0].hint or "mend those scenes",
            )


def _record(plan: Plan, skipped: list[Skipped]) -> dict[str, Any]:
    """What ``build.json`` records of the build."""
    options = {**plan.options.recorded, "image_size": plan.options.image_size}
    if plan.options.limit is not None:
        options["limit"] = plan.options.limit
    return {
        "options": options,
        "versions": versions(),
        "skipped": [
            {"split": item.split, "scene": item.scene, "reason": item.reason} for item in skipped
        ],
        **({"notes": list(plan.notes)} if plan.notes else {}),
        **plan.translate.record(),
    }


def versions() -> dict[str, str]:
    """The versions of the packages that affect a store."""
    installed = {}
    for name in ("nsi-cli", "numpy", "pillow", "h5py"):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "not installed"
    return installed
