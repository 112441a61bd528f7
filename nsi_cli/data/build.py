"""Building a store: raw scenes are loaded by worker processes and streamed to disk in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from nsi_cli.data.scene import Scene, resized
from nsi_cli.data.store import BUILD
from nsi_cli.data.store_writer import StoreWriter
from nsi_cli.errors import DataError, NsiError
from nsi_cli.files import replacing_folder
from nsi_cli.plugins.contract import SchemaBuilder, Source
from nsi_cli.progress import SILENT, Progress

CHUNK = 32
"""Scenes that a worker loads before it hands them over."""


@dataclass(frozen=True)
class Skipped:
    """A scene left out of a store, and why."""

    split: str
    scene: str
    reason: str


Loaded = Scene | Skipped
Work = tuple[str, Sequence[Source]]


@dataclass(frozen=True)
class BuildOptions:
    """How a store is built, whatever its task."""

    image_size: int = 224
    workers: int = 0
    max_skipped: float = 0.001
    told: Mapping[str, Any] = field(default_factory=dict)


def build_store(
    builder: SchemaBuilder,
    task: str,
    out: Path,
    *,
    image_size: int,
    workers: int = 0,
    max_skipped: float = 0.001,
    told: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Build the store of ``task`` at ``out`` from what ``builder`` reads, and return its path.

    Scenes that cannot be read are skipped and listed in ``build.json`` with the reason; more
    than a share of ``max_skipped`` of them fails the build. ``told`` are the options to record.
    Nothing is at ``out`` before the store is whole, and what was there stays if the build fails.
    Raises `DataError`.
    """
    options = BuildOptions(image_size, workers, max_skipped, told or {})
    schema, splits = builder.schema(), builder.splits()
    total = sum(map(len, splits.values()))
    if not total:
        raise DataError("there are no scenes to build from", "check the raw folder and the splits")
    with replacing_folder(out) as folder, StoreWriter(folder, schema, image_size) as writer:
        for split in splits:
            writer.add_split(split)
        skipped: list[Skipped] = []
        with progress.stage("build", total) as advance:
            for split, loaded in load_all(builder, splits, options):
                scenes = [item for item in loaded if isinstance(item, Scene)]
                skipped += [item for item in loaded if isinstance(item, Skipped)]
                _check_skipped(skipped, total, max_skipped)
                if scenes:
                    writer.add(split, scenes)
                advance(len(loaded))
        writer.finish(task, _record(options, skipped))
    return out


def _record(options: BuildOptions, skipped: list[Skipped]) -> dict[str, Any]:
    return {
        "options": {**options.told, "image_size": options.image_size},
        "versions": _versions(),
        "skipped": [vars(item) for item in skipped],
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in ("nsi-cli", "numpy", "pillow", "h5py"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _check_skipped(skipped: list[Skipped], total: int, most: float) -> None:
    if len(skipped) <= most * total:
        return
    listed = "; ".join(f"{item.reason}" for item in skipped[:5])
    raise DataError(
        f"{len(skipped)} of {total} scenes cannot be read, more than {most:.1%}: {listed}",
        "mend or remove those scenes, or allow more with --max-skipped",
    )


def load_all(
    builder: SchemaBuilder, splits: Mapping[str, Sequence[Source]], options: BuildOptions
) -> Iterator[tuple[str, list[Loaded]]]:
    """The scenes of all splits at the store's size, chunk by chunk, in order.

    At most three chunks a worker are under way, so memory does not grow with their number.
    """
    work = (
        (split, sources[start : start + CHUNK])
        for split, sources in splits.items()
        for start in range(0, len(sources), CHUNK)
    )
    if not options.workers:
        for split, sources in work:
            yield split, _load_chunk(builder, split, sources, options.image_size)
        return
    # Spawned, not forked: a forked child of a process with running threads may hang.
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        waiting: deque[tuple[str, Future[list[Loaded]]]] = deque()
        try:
            for split, sources in work:
                job = pool.submit(_load_chunk, builder, split, sources, options.image_size)
                waiting.append((split, job))
                if len(waiting) >= 3 * options.workers:
                    first, done = waiting.popleft()
                    yield first, done.result()
            yield from ((split, done.result()) for split, done in waiting)
        finally:
            for _, job in waiting:
                job.cancel()


def _load_chunk(
    builder: SchemaBuilder, split: str, sources: Sequence[Source], size: int
) -> list[Loaded]:
    return [_load_one(builder, split, source, size) for source in sources]


def _load_one(builder: SchemaBuilder, split: str, source: Source, size: int) -> Loaded:
    try:
        return resized(builder.load(source), size)
    except NsiError as error:
        return Skipped(split, str(source), error.message)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        return Skipped(split, str(source), f"{source}: {type(error).__name__}: {error}")


def is_store(path: Path) -> bool:
    """Whether a whole store is at ``path``."""
    return (path / BUILD).is_file()
