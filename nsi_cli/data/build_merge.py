"""Joining the shards of a build into one store, the same as if it had been built in one go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nsi_cli.data.build_parts import Shard, shards_folder
from nsi_cli.data.store import IMAGES, Store, is_store, open_store
from nsi_cli.data.store_images import copy_rows, create_images, rows_of
from nsi_cli.data.store_writer import Labels, Meanwhile, StoreInfo, complete_store, write_labels
from nsi_cli.errors import DataError
from nsi_cli.files import check_room, remove, replacing_folder
from nsi_cli.progress import SILENT, Progress


def missing_shards(out: Path, of: int) -> list[Shard]:
    """The shards of a build in ``of`` parts that are not whole yet."""
    shards = [Shard(index, of) for index in range(1, of + 1)]
    return [shard for shard in shards if not is_store(shard.place(out))]


def merge_shards(
    out: Path,
    *,
    keep: bool = False,
    progress: Progress = SILENT,
    meanwhile: Meanwhile | None = None,
) -> Path:
    """Join the shards that lie beside ``out`` into a store there, and return its path.

    The shards are removed once the store is whole, unless they are to ``keep``. ``meanwhile`` is
    called as by `build_store`. Raises `DataError` where a shard is missing, there twice, or of
    another build.
    """
    shards = _shards(out)
    _check_skipped(shards)
    first, counts = shards[0], _counts(shards)
    needed = sum((shard.path / IMAGES).stat().st_size for shard in shards)
    check_room(
        out, needed, f"the store {out}", "free some space; the shards stay until it is whole"
    )
    with replacing_folder(out) as folder:
        size, masked = first.image_size, first.has_masks
        create_images(folder / IMAGES, counts, size, masked=masked)
        ends = {name: rows.place for name, rows in rows_of(folder / IMAGES).items()}
        with (
            progress.stage("merge", len(shards), unit="shards") as advance,
            (folder / IMAGES).open("r+b") as target,
        ):
            for shard in shards:
                ends = _copy(shard, target.fileno(), ends)
                advance(1)
        info = StoreInfo(first.task, first.schema, size, masked)
        splits = write_labels(folder, {split: _labels(shards, split) for split in counts})
        complete_store(folder, info, splits, _record(shards), meanwhile)
    if not keep:
        remove(shards_folder(out))
    return out


def _shards(out: Path) -> list[Store]:
    """The shards in order: all of one build, each once."""
    folder = shards_folder(out)
    found = [path for path in sorted(folder.glob("*")) if path.is_dir()] if folder.is_dir() else []
    found = [path for path in found if not path.name.startswith(".")]
    hint = f"build them with --shard i/n --out {out}"
    if not found:
        raise DataError(f"there are no shards of {out} in {folder}", hint)
    stores = [open_store(path) for path in found]
    strangers = [store.path for store in stores if "shard" not in store.build]
    if strangers:
        raise DataError(f"{_names(strangers)} in {folder}: a whole store, no shard", "move it away")
    return _in_order(stores, folder, hint)


def _in_order(stores: Sequence[Store], folder: Path, hint: str) -> list[Store]:
    builds: dict[tuple[str, int], list[Store]] = {}
    for store in stores:
        builds.setdefault((store.build["shard"]["build"], store.build["shard"]["of"]), []).append(
            store
        )
    if len(builds) > 1:
        *others, most = sorted(builds.values(), key=len)
        strange = [store.path for group in others for store in group]
        raise DataError(
            f"shards of different builds in {folder}: {_names(strange)} do not go with "
            f"{_names([store.path for store in most])}",
            "remove those that are wrong, or build all with the same options",
        )
    by_index: dict[int, list[Store]] = {}
    for store in stores:
        by_index.setdefault(store.build["shard"]["index"], []).append(store)
    for index, same in by_index.items():
        if len(same) > 1:
            paths = [store.path for store in same]
            raise DataError(f"shard {index} is in {folder} twice: {_names(paths)}", "keep one")
    of = stores[0].build["shard"]["of"]
    missing = [index for index in range(1, of + 1) if index not in by_index]
    if missing:
        names = ", ".join(str(Shard(index, of)) for index in missing)
        raise DataError(
            f"shards are missing in {folder}: {names}", hint.replace("i/n", f"{missing[0]}/{of}")
        )
    return [by_index[index][0] for index in sorted(by_index)]


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _counts(shards: Sequence[Store]) -> dict[str, int]:
    """How many scenes each split has, together. Raises `DataError` where one has none."""
    counts = {split: sum(shard.count(split) for shard in shards) for split in shards[0].splits}
    for split, count in counts.items():
        if not count:
            lost = [item for item in _skipped(shards) if item["split"] == split]
            raise DataError(
                f"no scene of split '{split}' can be read: {lost[0]['reason']}",
                "mend those scenes, and build the shards again",
            )
    return counts


def _check_skipped(shards: Sequence[Store]) -> None:
    """All together must not lack more scenes than a build in one go may."""
    skipped = _skipped(shards)
    total = len(skipped) + sum(shard.count(split) for shard in shards for split in shard.splits)
    most = max(shard.build["shard"]["max_skipped"] for shard in shards)
    if len(skipped) > most * total:
        raise DataError(
            f"{len(skipped)} of {total} scenes cannot be read, more than {most:.1%}: "
            f"{skipped[0]['reason']}",
            "mend those scenes and build their shards again; --max-skipped allows more of them",
        )


def _skipped(shards: Sequence[Store]) -> list[dict[str, Any]]:
    """What was left out, in the order of the scenes."""
    return [
        item
        for split in shards[0].splits
        for shard in shards
        for item in shard.build["skipped"]
        if item["split"] == split
    ]


def _copy(shard: Store, target: int, ends: dict[str, int]) -> dict[str, int]:
    """Copy a shard's rows behind those that are there; return where the next ones go."""
    with (shard.path / IMAGES).open("rb") as source:
        for name, rows in rows_of(shard.path / IMAGES).items():
            copy_rows(source.fileno(), rows, np.arange(rows.count), target, ends[name])
            ends[name] += rows.count * rows.bytes
    return ends


def _labels(shards: Sequence[Store], split: str) -> Labels:
    counts = [shard.build["splits"][split] for shard in shards]
    lost: Counter[tuple[str, str]] = Counter()
    for told in counts:
        for name, values in told.get("lost_values", {}).items():
            lost.update({(name, value): count for value, count in values.items()})
    parts = [shard.primitives(split) for shard in shards]
    return Labels(
        [name for shard in shards for name in shard.ids(split)],
        np.concatenate([labels for labels, _ in parts]),
        np.concatenate([lengths for _, lengths in parts]),
        sum(told["dropped_objects"] for told in counts),
        sum(told.get("hidden_objects", 0) for told in counts),
        lost,
    )


def _record(shards: Sequence[Store]) -> dict[str, Any]:
    first = shards[0].build
    return {
        "options": first["options"],
        "versions": first["versions"],
        "skipped": _skipped(shards),
        **({"notes": first["notes"]} if "notes" in first else {}),
        **({"vocabulary": first["vocabulary"]} if "vocabulary" in first else {}),
    }
