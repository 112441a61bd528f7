"""What a plugin brings: a task, made of a schema builder, a schema encoder and a dataloader."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nsi_cli.data.scene import Scene
from nsi_cli.errors import PluginError
from nsi_cli.plugins.archive import Archive
from nsi_cli.progress import Advance
from nsi_cli.schema import Schema

if TYPE_CHECKING:
    from nsi_cli.plugins.parts import MakeDataloader, MakeSchemaEncoder

Source = Any
"""A light picklable value from which one scene can be loaded, usually a path."""


@runtime_checkable
class SchemaBuilder(Protocol):
    """Reads a raw dataset: its schema, its splits and its scenes.

    A builder is a frozen dataclass whose first field is ``raw: Path``, the folder of the raw
    data; its other fields, made with `nsi_cli.plugins.option`, become flags of
    ``nsi build-data TASK``. It must pickle: scenes are loaded in worker processes.
    """

    @property
    def raw(self) -> Path:
        """The folder of the raw data."""

    def schema(self) -> Schema:
        """The schema of the dataset; the same on every machine."""

    def splits(self) -> Mapping[str, Sequence[Source]]:
        """For each split the sources of its scenes, in order."""

    def load(self, source: Source) -> Scene:
        """One scene; pure. Raises `DataError` for a source that cannot be read."""


@runtime_checkable
class Synthesizer(Protocol):
    """A schema builder that can also make raw scenes, for ``nsi build-data TASK --synthetic N``."""

    def synthesize(
        self, count: int, *, seed: int, workers: int, advance: Advance | None = None
    ) -> None:
        """Write ``count`` raw scenes under ``raw``; same seed, same bytes.

        ``advance`` is called with how many more are done.
        """


@runtime_checkable
class Downloadable(Protocol):
    """A schema builder whose raw data can be fetched: ``nsi build-data TASK --download``."""

    def archives(self) -> Sequence[Archive]:
        """What to fetch for the builder's options; unpacked under ``raw``, it can be built."""


@runtime_checkable
class Preparer(Protocol):
    """A schema builder that can treat any image as its own, for ``nsi interpret --image FILE``."""

    def prepare(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
        """An image (H, W, 3) as `load` would give it: cut as the builder's options say, say.

        None where it does not know how; the image is then taken whole.
        """


@dataclass(frozen=True)
class Task:
    """A dataset with its schema, as a plugin hands it to the toolkit.

    Each of the three parts is an object or a lazy ``"module:attribute"`` reference, so that
    listing tasks imports neither torch nor the dataset's own dependencies:

    - ``schema_builder``: a class that makes a `SchemaBuilder`;
    - ``schema_encoder``: ``(schema, config) -> torch.nn.Module``, whose module maps primitives
      (B, T, W) and present (B, T) to embeddings (B, T, E);
    - ``dataloader``: ``(store, split, options) -> iterable of batches``.

    The last two have working defaults, derived from the schema and the store.
    """

    name: str
    summary: str
    schema_builder: type[SchemaBuilder] | str
    schema_encoder: MakeSchemaEncoder | str = "nsi_cli.models.schema_encoder:PropertySchemaEncoder"
    dataloader: MakeDataloader | str = "nsi_cli.data.loader:make_dataloader"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name):
            raise PluginError(
                f"a task's name must be lower-case letters, digits, - and _, not {self.name!r}",
                "for example Task(name='shapes', …)",
            )

    def load_schema_builder(self) -> type[SchemaBuilder]:
        """The schema builder's class, imported where it was given as a reference."""
        return self._load("schema_builder")  # type: ignore[no-any-return]

    def load_schema_encoder(self) -> MakeSchemaEncoder:
        """What makes the schema encoder, imported where it was given as a reference."""
        return self._load("schema_encoder")  # type: ignore[no-any-return]

    def load_dataloader(self) -> MakeDataloader:
        """What makes the dataloader, imported where it was given as a reference."""
        return self._load("dataloader")  # type: ignore[no-any-return]

    def _load(self, part: str) -> Any:
        value = getattr(self, part)
        if not isinstance(value, str):
            return value
        module, colon, attribute = value.partition(":")
        try:
            if not colon:
                raise AttributeError("a reference is written 'module:attribute'")
            return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"task '{self.name}': its {part.replace('_', ' ')} '{value}' cannot be loaded: "
                f"{type(error).__name__}: {error}",
                "mend the plugin, or run with --debug to see where it fails",
            ) from error
