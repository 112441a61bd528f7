"""Building a store from a schema builder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import PIL

import nsi_cli
from nsi_cli.data.build.folder import build_folder, check_out
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.build.plan import Plan, make_plan
from nsi_cli.data.build.scenes import SkippedScene, load_scene, write_scenes
from nsi_cli.data.store.images import create_images
from nsi_cli.data.store.reader import IMAGES, Store
from nsi_cli.data.store.rows import Rows
from nsi_cli.data.store.writer import StoredScene, complete_store
from nsi_cli.plugins.contract import SchemaBuilder
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import check_free_space
from nsi_cli.support.progress import SILENT, Progress

REASONS = 5
"""The most reasons that the error of a failed build lists."""
TRIED = 1000
"""Scenes that are loaded before too many unreadable ones fail a build; small data is read whole."""
COPIED = 1 << 23
"""Bytes of rows that are copied at once."""

Scenes = Mapping[str, Sequence[StoredScene]]
Locations = Mapping[str, Rows]


def build_store(
    builder: SchemaBuilder,
    task: str,
    out: Path,
    options: BuildOptions,
    progress: Progress = SILENT,
    finish: Callable[[Store], object] = lambda store: None,
) -> Path:
    """Build the store of ``task`` at ``out`` from what ``builder`` reads, and return its path.

    Scenes that cannot be read are skipped, and listed in ``build.json`` with the reason; too many
    fail the build. A store at ``out`` is replaced when the new one is complete; other files are
    never replaced. With a vocabulary, its schema replaces the builder's own. ``finish`` is called
    with the complete store before it is moved to ``out``, and may add files. Raises `DataError`.
    """
    check_out(out, builder.raw, force=True)
    plan = make_plan(builder, task, options)
    for note in plan.notes:
        progress.note(note)
    with _killed_workers_explained(), build_folder(out) as folder:
        finish(_write_store(plan, folder, progress))
    return out


@contextmanager
def _killed_workers_explained() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process was killed",
            "if memory was short, use fewer: --workers 1",
        ) from error


def _write_store(plan: Plan, folder: Path, progress: Progress) -> Store:
    """Write the store of a plan into an empty folder."""
    size = plan.options.image_size
    hint = "free some space, or choose another path with --out"
    check_free_space(
        folder, plan.total * size * size * 3, f"a store of {plan.total:,} scenes", hint
    )
    masked = _has_masks(plan)
    scenes, skipped = _write_images(plan, folder, masked, progress)
    return complete_store(
        folder,
        plan.schema,
        scenes,
        task=plan.task,
        image_size=size,
        masked=masked,
        scene_label=plan.scene_label,
        record=_record(plan, skipped),
    )


def _has_masks(plan: Plan) -> bool:
    """Whether scenes have masks, as the first one that can be read does."""
    skipped = []
    for split, sources in plan.sources.items():
        for source in sources:
            scene = load_scene(plan.builder, plan.options.image_size, split, source)
            if not isinstance(scene, SkippedScene):
                return scene.mask is not None
            skipped.append(scene)
            _check_skipped(plan, skipped, len(skipped))
    return False


def _write_images(
    plan: Plan, folder: Path, masked: bool, progress: Progress
) -> tuple[Scenes, list[SkippedScene]]:
    """Write ``images.h5``; return the stored scenes of each split, and the skipped ones."""
    images, size = folder / "rows.h5", plan.options.image_size
    rows = create_images(images, plan.counts, size, masked=masked)
    scenes: dict[str, list[StoredScene]] = {split: [] for split in plan.sources}
    skipped: list[SkippedScene] = []
    tried = 0
    with progress.stage("build", plan.total) as advance:
        for split, results in write_scenes(plan, images, rows):
            for result in results:
                if isinstance(result, SkippedScene):
                    skipped.append(result)
                else:
                    scenes[split].append(result)
            tried += len(results)
            _check_skipped(plan, skipped, tried)
            advance(len(results))
    _check_splits(scenes, skipped)
    if skipped:
        counts = {split: len(stored) for split, stored in scenes.items()}
        targets = create_images(folder / IMAGES, counts, size, masked=masked)
        _copy_rows(images, rows, folder / IMAGES, targets, scenes)
        images.unlink()
    else:
        os.replace(images, folder / IMAGES)
    return scenes, skipped


def _copy_rows(
    source: Path, rows: Locations, target: Path, targets: Locations, scenes: Scenes
) -> None:
    """Copy the rows of the stored scenes to a file without those of skipped ones."""
    with source.open("rb") as read, target.open("r+b") as written:
        for name, into in targets.items():
            numbers = np.array([scene.number for scene in scenes[name.removeprefix("masks/")]])
            step = max(1, COPIED // into.row_bytes)
            for start in range(0, len(numbers), step):
                block = rows[name].read(read.fileno(), numbers[start : start + step])
                into.write(written.fileno(), start, block)


def _check_skipped(plan: Plan, skipped: list[SkippedScene], tried: int) -> None:
    """Raise `DataError` if more scenes are unreadable than the options allow.

    ``tried`` is the number of scenes that were loaded, or could not be.
    """
    most, count, total = plan.options.max_skipped, len(skipped), plan.total
    if count / total <= most or tried < min(TRIED, total):
        return
    reasons = "; ".join(item.reason for item in skipped[:REASONS]) + "; …" * (count > REASONS)
    hint = skipped[0].hint or "repair or remove those scenes"
    share = -(-1000 * count // total) / 1000  # rounded up
    least, more = ("", "") if tried == total else ("at least ", " or more")
    raise DataError(
        f"{least}{count} of {total} scenes cannot be read, and at most {most:.1%} may be skipped: "
        + reasons,
        f"{hint}; to skip them, build with --max-skipped {share:g}{more}",
    )


def _check_splits(scenes: Scenes, skipped: list[SkippedScene]) -> None:
    """Raise `DataError` if a split is empty."""
    for split, stored in scenes.items():
        if not stored:
            first = next(item for item in skipped if item.split == split)
            raise DataError(
                f"no scene of split '{split}' can be read: {first.reason}",
                first.hint or "repair those scenes",
            )


def _record(plan: Plan, skipped: list[SkippedScene]) -> dict[str, Any]:
    """What ``build.json`` records of the build."""
    options = {**plan.options.recorded, "image_size": plan.options.image_size}
    if plan.options.limit is not None:
        options["limit"] = plan.options.limit
    return {
        "options": options,
        "versions": {
            "nsi-cli": nsi_cli.__version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
            "h5py": h5py.__version__,
        },
        "skipped": [
            {"split": item.split, "scene": item.scene, "reason": item.reason} for item in skipped
        ],
        **({"notes": list(plan.notes)} if plan.notes else {}),
        **plan.translate.record(),
    }
