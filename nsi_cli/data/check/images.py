"""Checks of the images and masks of a store."""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np
import numpy.typing as npt

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
from nsi_cli.schema.scene import mask_faults
from nsi_cli.support.progress import Progress
from nsi_cli.support.reading import reason_of

AT_ONCE = 64
"""Images that are read at once."""


def check_shapes(result: CheckResult, store: Store) -> set[str]:
    """Check the types and shapes in ``images.h5``; return the names of valid datasets."""
    counts = {split: store.count(split) for split in store.splits}
    shapes = image_shapes(counts, store.image_size, masked=store.has_masks) | id_shapes(counts)
    with open_images(store.path / IMAGES) as file:
        faults = {name: fault_of(file, name, shape) for name, shape in shapes.items()}
        for fault in filter(None, faults.values()):
            result.fault(f"{IMAGES}: {fault}")
        for name in dataset_names(file):
            if name.rpartition("/")[2] not in store.splits:
                result.fault(f"{IMAGES} has a split '{name}' that was not recorded")
    return {name for name, fault in faults.items() if fault is None}


def check_images(
    result: CheckResult, store: Store, ids: Ids, valid: set[str], progress: Progress
) -> None:
    """Check that every image can be read; warn of images of one colour."""
    total = sum(map(store.count, store.splits))
    result.looked_at = f"{total:,} images of {store.image_size} × {store.image_size}"
    with open_images(store.path / IMAGES) as file, progress.stage("check", total) as advance:
        for split in (split for split in store.splits if split in valid):
            for start, images in _blocks(result, file[split], split, ids):
                pixels = images.reshape(len(images), -1, 3)
                for row in np.flatnonzero((pixels == pixels[:, :1]).all((1, 2))):
                    name = scene_name(split, start + int(row), ids)
                    result.warn(f"{name}: the image is all of one colour")
                advance(len(images))


def check_masks(
    result: CheckResult, store: Store, ids: Ids, lengths: Lengths, valid: set[str]
) -> None:
    """Check that the values of each mask are the numbers of its scene's objects."""
    result.looked_at = f"{sum(map(store.count, store.splits)):,} masks"
    with open_images(store.path / IMAGES) as file:
        for split in lengths:
            if f"masks/{split}" not in valid:
                continue
            for start, masks in _blocks(result, file["masks"][split], split, ids):
                for index, mask in enumerate(masks, start):
                    for fault in mask_faults(mask, int(lengths[split][index])):
                        result.fault(f"{scene_name(split, index, ids)}: {fault}")


def _blocks(
    result: CheckResult, dataset: h5py.Dataset, split: str, ids: Ids
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """The rows of a dataset in blocks, each with the index of its first.

    A block that cannot be read is read row by row; a row that cannot be is a fault.
    """
    for start in range(0, len(dataset), AT_ONCE):
        try:
            yield start, dataset[start : start + AT_ONCE]
        except (OSError, RuntimeError):
            for index in range(start, min(start + AT_ONCE, len(dataset))):
                try:
                    row = dataset[index : index + 1]
                except (OSError, RuntimeError) as error:
                    name = scene_name(split, index, ids)
                    result.fault(f"{name}: cannot be read: {reason_of(error)}")
                else:
                    yield index, row
