"""Batches of a store's split in a seeded order, read by worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from nsi_cli.data.features.cache import FeatureCache
from nsi_cli.data.loading.batch import Batch
from nsi_cli.data.store.reader import Store
from nsi_cli.support.workers import begin_worker


@dataclass(frozen=True)
class LoaderOptions:
    """The options of a loader; seed and epoch determine the order of a shuffled epoch."""

    batch_size: int = 128
    workers: int = 0
    shuffle: bool = False
    drop_last: bool = False
    seed: int = 0
    epoch: int = 0
    start: int = 0  # batches of the epoch to skip, for a resumed run
    part: tuple[int, int] = (0, 1)  # process r of n reads the r-th of n parts of every batch
    images: bool = True
    masks: bool = False
    features: FeatureCache | None = None
    pin_memory: bool = False


class Batches(Protocol):
    """The batches of one pass over a split, with a known length."""

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the batches."""

    def __len__(self) -> int:
        """Return the number of batches."""


MakeDataloader = Callable[[Store, str, LoaderOptions], Batches]
"""A task's dataloader: the batches of a split with each scene once, in order unless shuffled."""


def part_of(size: int, part: tuple[int, int]) -> range:
    """The positions of a batch of ``size`` scenes that process ``part`` = (r, n) holds.

    The n parts are consecutive, cover the batch, and differ in size by at most one scene.
    """
    rank, count = part
    return range(rank * size // count, (rank + 1) * size // count)


class BatchDataset(Dataset[Batch]):
    """A split whose items are whole batches, indexed by arrays of scene indices."""

    def __init__(self, store: Store, split: str, options: LoaderOptions) -> None:
        self._store, self._split, self._options = store, split, options
        self._primitives, self._lengths = store.primitives(split)
        self._scene_labels = store.scene_labels(split)

    def __getitem__(self, index: npt.NDArray[np.int64]) -> Batch:
        options, split = self._options, self._split
        rows = np.arange(self._primitives.shape[1])
        images = self._store.images(split, index) if options.images else None
        masks = self._store.masks(split, index) if options.masks else None
        features = options.features.read(split, index) if options.features else None
        labels = None if self._scene_labels is None else self._scene_labels[index]
        return Batch(
            index=torch.from_numpy(index),
            primitives=torch.from_numpy(self._primitives[index]),
            present=torch.from_numpy(rows < self._lengths[index][:, None]),
            images=None if images is None else torch.from_numpy(images).permute(0, 3, 1, 2),
            masks=None if masks is None else torch.from_numpy(masks),
            features=None if features is None else torch.from_numpy(features),
            scene_labels=None if labels is None else torch.from_numpy(labels),
        )


class EpochBatches(Sampler[npt.NDArray[np.int64]]):
    """The scene indices of this process's part of each batch of an epoch."""

    def __init__(self, count: int, options: LoaderOptions) -> None:
        self._count, self._options = count, options

    def __len__(self) -> int:
        options = self._options
        size = max(1, min(options.batch_size, self._count))
        batches = self._count // size if options.drop_last else -(-self._count // size)
        return max(0, batches - options.start)

    def __iter__(self) -> Iterator[npt.NDArray[np.int64]]:
        options = self._options
        order = np.arange(self._count)
        if options.shuffle:
            order = np.random.default_rng([options.seed, options.epoch]).permutation(self._count)
        size = min(options.batch_size, self._count)
        for number in range(options.start, options.start + len(self)):
            batch = order[number * size : (number + 1) * size]
            own = part_of(len(batch), options.part)
            yield batch[own.start : own.stop]


def make_dataloader(store: Store, split: str, options: LoaderOptions) -> DataLoader[Batch]:
    """The batches of a split, as `Batch` records.

    Each worker opens the store's files itself, so any start method works. Raises `DataError` for
    a split that the store lacks.
    """
    return DataLoader(
        BatchDataset(store, split, options),
        sampler=EpochBatches(store.count(split), options),
        batch_size=None,
        num_workers=options.workers,
        pin_memory=options.pin_memory,
        worker_init_fn=_begin,
    )


def _begin(number: int) -> None:
    """Prepare a worker; without this, it would wait forever to send a batch to a killed parent."""
    begin_worker()
