"""Checks of what a store's HDF5 file holds: ids, images and masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from nsi_cli.data.check.labels import Flags, Ids, Lengths, Places, scene_name
from nsi_cli.data.store.faults import CheckResult
from nsi_cli.data.store.hdf5 import (
    dataset_names,
    fault_of,
    id_shapes,
    image_shapes,
    open_images,
)
from nsi_cli.data.store.reader import IMAGES, Store
from nsi_cli.support.progress import Progress

AT_ONCE = 64
"""Scenes whose pictures are looked at at once."""


@dataclass(frozen=True)
class _Block:
    """The images or masks (n, S, S, …) of some scenes of a split."""

    pictures: npt.NDArray[np.uint8]
    start: int
    split: str
    ids: list[str]

    def name(self, row: int) -> str:
        return scene_name(self.split, self.start + row, self.ids)


def check_ids(result: CheckResult, store: Store) -> Ids:
    """Check that no two scenes of the store share an id; return the ids by split."""
    ids: Ids = {}
    for split in store.splits:
        ids[split] = store.ids(split)
    places: dict[str, list[str]] = {}
    for split, names in ids.items():
        for place, name in enumerate(names):
            places.setdefault(name, []).append(f"{split} {place}")
    for where in places.pop("", []):
        result.fault(f"{where} has no id")
    for name, found in places.items():
        if len(found) > 1:
            result.fault(f"{name} is there {len(found)} times: {', '.join(found[:3])}")
    result.looked_at = f"{sum(map(len, ids.values())):,} ids"
    return ids


def check_pictures(
    images: CheckResult,
    masks: CheckResult,
    counts: CheckResult,
    store: Store,
    ids: Ids,
    lengths: Lengths,
    progress: Progress,
) -> None:
    """Check that every image can be read, and that masks hold their objects' numbers only.

    A build drops objects without a pixel, so both sets must be equal.
    """
    masks.begun = store.has_masks
    total = sum(map(store.count, store.splits))
    images.looked_at = f"{total:,} images of {store.image_size} × {store.image_size}"
    masks.looked_at = f"{total:,} masks" if store.has_masks else "the store has none"
    with (
        open_images(store.path / IMAGES) as file,
        progress.stage("check", total) as advance,
    ):
        sound = _check_shapes(counts, file, store)
        for split in store.splits:
            names = ids.get(split, [])
            if split in sound:
                for block in _blocks(images, file[split], split, names):
                    images.warn_each(
                        np.flatnonzero(_plain(block.pictures)),
                        _told(block, "the image is all of one colour"),
                    )
                    advance(len(block.pictures))
            if f"masks/{split}" in sound and split in lengths:
                for block in _blocks(masks, file["masks"][split], split, names):
                    _check_masks(masks, block, lengths[split])


def _check_shapes(counts: CheckResult, file: h5py.File, store: Store) -> set[str]:
    """The datasets whose type and number of scenes are what was recorded."""
    sizes = {split: store.count(split) for split in store.splits}
    shapes = image_shapes(sizes, store.image_size, masked=store.has_masks) | id_shapes(sizes)
    faults = {name: fault_of(file, name, shape) for name, shape in shapes.items()}
    for fault in filter(None, faults.values()):
        counts.fault(f"{IMAGES}: {fault}")
    for name in dataset_names(file):
        if name.rpartition("/")[2] not in store.splits:
            counts.fault(f"{IMAGES} has a split '{name}' that was not recorded")
    return {name for name, fault in faults.items() if fault is None}


def _blocks(result: CheckResult, dataset: Any, split: str, ids: list[str]) -> Iterator[_Block]:
    """A dataset block by block; a block that cannot be read is read scene by scene."""
    for start in range(0, len(dataset), AT_ONCE):
        try:
            yield _Block(dataset[start : start + AT_ONCE], start, split, ids)
        except (OSError, RuntimeError):
            for place in range(start, min(start + AT_ONCE, len(dataset))):
                try:
                    block = _Block(dataset[place : place + 1], place, split, ids)
                except (OSError, RuntimeError) as error:
                    reason = " ".join(str(error).split())
                    result.fault(f"{scene_name(split, place, ids)}: cannot be read: {reason}")
                else:
                    yield block


def _plain(images: npt.NDArray[np.uint8]) -> Flags:
    """Which images (n, S, S, 3) have one colour all over."""
    pixels = images.reshape(len(images), -1, 3)
    return np.asarray((pixels == pixels[:, :1]).all((1, 2)))


def _check_masks(result: CheckResult, block: _Block, lengths: Places) -> None:
    """Each number from 1 to a scene's length is in its mask, and no larger one."""
    masks = block.pictures.reshape(len(block.pictures), -1)
    there = np.zeros((len(masks), 256), bool)  # which values each mask has
    there[np.arange(len(masks))[:, None], masks] = True
    values, most = np.arange(256), lengths[block.start : block.start + len(masks), None]
    extra = np.argwhere(there & (values > most))
    absent = np.argwhere(~there & (values >= 1) & (values <= most))
    result.fault_each(
        range(len(extra)),
        lambda at: (
            f"{block.name(extra[at, 0])}: the mask has a value {extra[at, 1]}, the scene "
            f"{most[extra[at, 0], 0]} objects"
        ),
    )
    result.fault_each(
        range(len(absent)),
        lambda at: f"{block.name(absent[at, 0])}: object {absent[at, 1]} has no pixel in the mask",
    )


def _told(block: _Block, what: str) -> Callable[[int], str]:
    return lambda row: f"{block.name(row)}: {what}"
