"""Types of the task parts that need torch; only type checkers import this module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor, nn

from nsi_cli.data.loading.batch import Batch
from nsi_cli.data.loading.loader import LoaderOptions
from nsi_cli.data.store.reader import Store
from nsi_cli.models.config import ModelConfig
from nsi_cli.schema import Schema


class SchemaEncoder(Protocol):
    """A module that maps primitives to embeddings."""

    def __call__(self, primitives: Tensor, present: Tensor) -> Tensor:
        """Map primitives (B, T, W) and their presence (B, T) bool to embeddings (B, T, E)."""


class MakeSchemaEncoder(Protocol):
    """Makes a schema encoder for a schema and a model configuration."""

    def __call__(self, schema: Schema, config: ModelConfig) -> nn.Module:
        """Return a module with the interface of `SchemaEncoder`."""


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
