"""The types of the two parts of a task that need torch; imported by type checkers only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor, nn

from nsi_cli.data.batch import Batch
from nsi_cli.data.loader import LoaderOptions
from nsi_cli.data.store import Store
from nsi_cli.models.config import ModelConfig
from nsi_cli.schema import Schema


class SchemaEncoder(Protocol):
    """A module from primitives to embeddings."""

    def __call__(self, primitives: Tensor, present: Tensor) -> Tensor:
        """Primitives (B, T, W) and which are there (B, T) bool, to embeddings (B, T, E)."""


class MakeSchemaEncoder(Protocol):
    """Makes a schema encoder for a schema and the sizes of the model."""

    def __call__(self, schema: Schema, config: ModelConfig) -> nn.Module:
        """A module as `SchemaEncoder` describes."""


class Batches(Protocol):
    """The batches of one pass over a split; their number is known beforehand."""

    def __iter__(self) -> Iterator[Batch]:
        """One batch after the other."""

    def __len__(self) -> int:
        """How many batches the pass has."""


class MakeDataloader(Protocol):
    """Makes the batches of a split of a store."""

    def __call__(self, store: Store, split: str, options: LoaderOptions) -> Batches:
        """Batches that hold each scene of the split once, in store order unless shuffled."""
