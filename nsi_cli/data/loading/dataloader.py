"""The types of a task's dataloader: a function from a store, a split and options to batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from nsi_cli.data.loading.batch import Batch
from nsi_cli.data.loading.loader import LoaderOptions
from nsi_cli.data.store.reader import Store


class Batches(Protocol):
    """The batches of one pass over a split, with a known length."""

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the batches."""

    def __len__(self) -> int:
        """Return the number of batches."""


class MakeDataloader(Protocol):
    """Makes a dataloader for a split of a store."""

    def __call__(self, store: Store, split: str, options: LoaderOptions) -> Batches:
        """Return batches with each scene of the split once, in store order unless shuffled."""
