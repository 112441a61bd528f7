"""Building a store: raw scenes are loaded by worker processes and streamed to disk in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nsi_cli.data.scene import Scene, resized
from nsi_cli.data.store import BUILD
from nsi_cli.data.store_writer import StoreWriter
from nsi_cli.errors import DataError, NsiError
from nsi_cli.files import check_room, replacing_folder
from nsi_cli.plugins.contract import SchemaBuilder, Source
from nsi_cli.processes import worker_pool
from nsi_cli.progress import SILENT, Progress

CHUNK = 32
"""Scenes that a worker loads before it hands them over."""

TOLD = 5
"""Unreadable scenes that the error of a failed build names."""


@dataclass(frozen=True)
class Skipped:
    """A scene left out of a store, and why."""

    split: str
    scene: str
    reason: str
    hint: str = ""


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
    A store at ``out`` is replaced; anything else there, or raw data in it, is refused.
    Raises `DataError`.
    """
    options = BuildOptions(image_size, workers, max_skipped, told or {})
    _refuse_to_overwrite(out, builder.raw)
    schema, found = builder.schema(), builder.splits()
    splits = {split: sources for split, sources in found.items() if len(sources)}
    total = sum(map(len, splits.values()))
    if not total:
        raise DataError("there are no scenes to build from", "check the raw folder and the splits")
    _check_room(out, total, image_size)
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
        _check_splits(splits, skipped)
        writer.finish(task, _record(options, skipped))
    return out


def _refuse_to_overwrite(out: Path, raw: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not is_store(out):
        raise DataError(
            f"{out} holds something that is not a store", "choose another place with --out"
        )
    if raw.resolve().is_relative_to(out.resolve()):
        raise DataError(
            f"the raw data {raw} lies in {out}, which the store would replace",
            "choose another place with --out",
        )


def _check_room(out: Path, scenes: int, size: int) -> None:
    hint = "free some space, or choose another place with --out"
    check_room(out, scenes * size * size * 3, f"a store of {scenes:,} scenes", hint)


def _record(options: BuildOptions, skipped: list[Skipped]) -> dict[str, Any]:
    return {
        "options": {**options.told, "image_size": options.image_size},
        "versions": _versions(),
        "skipped": [
            {"split": item.split, "scene": item.scene, "reason": item.reason} for item in skipped
        ],
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
    listed = "; ".join(item.reason for item in skipped[:TOLD]) + "; …" * (len(skipped) > TOLD)
    hint = skipped[0].hint or "mend or remove those scenes"
    raise DataError(
        f"{len(skipped)} of {total} scenes cannot be read, more than {most:.1%}: {listed}",
        f"{hint}; --max-skipped allows more to be left out",
    )


def _check_splits(splits: Mapping[str, Sequence[Source]], skipped: list[Skipped]) -> None:
    for split, sources in splits.items():
        lost = [item for item in skipped if item.split == split]
        if len(lost) == len(sources):
            raise DataError(
                f"no scene of split '{split}' can be read: {lost[0].reason}",
                lost[0].hint or "mend those scenes",
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
    load = partial(_load_one, builder, options.image_size)
    if not options.workers:
        for split, sources in work:
            yield split, [load(split, source) for source in sources]
        return
    with worker_pool(options.workers, _start, load) as pool:
        waiting: deque[tuple[str, Future[list[Loaded]]]] = deque()
        try:
            for split, sources in work:
                waiting.append((split, pool.submit(_load_chunk, split, sources)))
                if len(waiting) >= 3 * options.workers:
                    first, done = waiting.popleft()
                    yield first, done.result()
            yield from ((split, done.result()) for split, done in waiting)
        except BrokenProcessPool as error:
            raise DataError(
                "a process that loads scenes was ended from outside",
                "if memory was short, load with fewer: --workers 1",
            ) from error


_worker: dict[str, Callable[[str, Source], Loaded]] = {}


def _start(load: Callable[[str, Source], Loaded]) -> None:
    """Prepare a worker: the builder comes once, not with every chunk."""
    _worker["load"] = load


def _load_chunk(split: str, sources: Sequence[Source]) -> list[Loaded]:
    return [_worker["load"](split, source) for source in sources]


def _load_one(builder: SchemaBuilder, size: int, split: str, source: Source) -> Loaded:
    try:
        return resized(builder.load(source), size)
    except NsiError as error:
        reason, hint = error.message, error.hint
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, EOFError) as error:
        reason, hint = f"{type(error).__name__}: {error}", ""
    name, reason = str(source), " ".join(reason.split())
    return Skipped(split, name, reason if name in reason else f"{name}: {reason}", hint)


def is_store(path: Path) -> bool:
    """Whether a whole store is at ``path``."""
    return (path / BUILD).is_file()
