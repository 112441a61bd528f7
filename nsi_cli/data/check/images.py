"""Checks of the images and masks of a store."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nsi_cli.data.check.labels import Ids, Lengths, scene_name
from nsi_cli.data.check.result import CheckResult
from nsi_cli.data.store.hdf5 import (
    dataset_names,
    fault_of,
    id_shapes,
    image_shapes,
    open_images,
)
from nsi_cli.data.store.reader import IMAGES, Store
from nsi_cli.data.store.rows import Index
from nsi_cli.schema.scene import mask_faults
from nsi_cli.support.progress import Progress

AT_ONCE = 64
"""Images that are read at once."""


def check_shapes(result: CheckResult, store: Store) -> bool:
    """Check the types and shapes in ``images.h5``; return whether they are valid."""
    counts = {split: store.count(split) for split in store.splits}
    shapes = image_shapes(counts, store.image_size, masked=store.has_masks) | id_shapes(counts)
    with open_images(store.path / IMAGES) as file:
        faults = [fault for name, shape in shapes.items() if (fault := fault_of(file, name, shape))]
        for fault in faults:
            result.fault(f"{IMAGES}: {fault}")
        for name in dataset_names(file):
            if name.rpartition("/")[2] not in store.splits:
                result.fault(f"{IMAGES} has a split '{name}' that was not recorded")
    return not faults


def check_images(result: CheckResult, store: Store, ids: Ids, progress: Progress) -> None:
    """Check that every image can be read; warn of images of one colour."""
    total = sum(map(store.count, store.splits))
    result.looked_at = f"{total:,} images of {store.image_size} × {store.image_size}"
    with progress.stage("check", total) as advance:
        for split in store.splits:
            for index in _blocks(store.count(split)):
                pixels = store.images(split, index).reshape(len(index), -1, 3)
                for scene in index[(pixels == pixels[:, :1]).all((1, 2))]:
                    result.warn(f"{scene_name(split, scene, ids)}: the image is all of one colour")
                advance(len(index))


def check_masks(result: CheckResult, store: Store, ids: Ids, lengths: Lengths) -> None:
    """Check that the values of each mask are the numbers of its scene's objects."""
    result.looked_at = f"{sum(map(store.count, store.splits)):,} masks"
    for split, counts in lengths.items():
        for index in _blocks(len(counts)):
            masks = store.masks(split, index)
            assert masks is not None
            for scene, mask in zip(index, masks, strict=True):
                for fault in mask_faults(mask, int(counts[scene])):
                    result.fault(f"{scene_name(split, scene, ids)}: {fault}")


def _blocks(count: int) -> Iterator[Index]:
    """The indices of all scenes of a split, a few at a time."""
    for start in range(0, count, AT_ONCE):
        yield np.arange(start, min(start + AT_ONCE, count))
