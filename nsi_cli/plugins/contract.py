"""The plugin contract: a task with its schema builder, schema encoder and dataloader."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nsi_cli.plugins.archive import Archive
from nsi_cli.schema import Categorical, Schema
from nsi_cli.schema.scene import Scene
from nsi_cli.support.errors import PluginError, one_line, text_of
from nsi_cli.support.progress import Advance
from nsi_cli.support.streams import output_to_stderr

API_VERSION = 1
"""The version of the plugin interface; it increases when a change breaks plugins."""

Source = Any
"""A light picklable value from which one scene can be loaded, usually a path."""


@runtime_checkable
class SchemaBuilder(Protocol):
    """Reads a raw dataset: its schema, its splits and its scenes.

    A builder is a frozen dataclass whose first field is ``raw: Path``, the folder of the raw
    data; its other fields, made with `nsi_cli.plugins.option`, become flags of
    ``nsi build-data TASK``. It must be picklable, because worker processes load scenes.
    """

    @property
    def raw(self) -> Path:
        """The folder of the raw data."""

    def schema(self) -> Schema:
        """Return the schema of the dataset; the same on every machine."""

    def splits(self) -> Mapping[str, Sequence[Source]]:
        """Return the sources of the scenes of each split, in order."""

    def load(self, source: Source) -> Scene:
        """Load one scene, without side effects. Raises `DataError` if it cannot be read."""


@runtime_checkable
class Synthesizer(Protocol):
    """A schema builder that can also make raw scenes, for ``nsi build-data TASK --synthetic N``."""

    def synthesize(
        self, count: int, *, seed: int, workers: int, advance: Advance | None = None
    ) -> None:
        """Write ``count`` raw scenes under ``raw``; the same seed gives the same bytes.

        ``advance`` is called with the number of scenes written since the previous call.
        """


@runtime_checkable
class Downloadable(Protocol):
    """A schema builder whose raw data can be downloaded: ``nsi build-data TASK --download``."""

    def archives(self) -> Sequence[Archive]:
        """Return the archives to download and unpack under ``raw``, for the builder's options."""


@runtime_checkable
class Preparer(Protocol):
    """A schema builder that can prepare other images, for ``nsi interpret --image FILE``."""

    def prepare(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
        """Prepare an image (H, W, 3) as `load` prepares those of the dataset, for example cropped.

        Returns None for an image that cannot be prepared; it is then used uncropped.
        """


@runtime_checkable
class HasNotes(Protocol):
    """A schema builder that explains what it decided, for example about the splits."""

    def notes(self) -> Sequence[str]:
        """Return lines that the build prints and records in ``build.json``."""


@runtime_checkable
class Inferrer(Protocol):
    """A schema builder that infers its schema, for ``nsi build-data TASK --infer``."""

    def infer(self) -> str:
        """Return the inferred schema as text that a person can edit and give back, in YAML."""


@runtime_checkable
class HasSceneLabel(Protocol):
    """A schema builder whose scenes have a label each, for example the class of the image."""

    def scene_label(self) -> Categorical | None:
        """Return the name and the values of the label; None if scenes have none.

        `Scene.label` is one of the values, or None in a scene whose label is unknown.
        """


@dataclass(frozen=True)
class Task:
    """A dataset with its schema, as a plugin returns it.

    Each of the three parts is an object or a lazy ``"module:attribute"`` reference, so that
    listing tasks imports neither torch nor the dataset's own dependencies:

    - ``schema_builder``: a class that makes a `SchemaBuilder`;
    - ``schema_encoder``: ``(schema, config) -> torch.nn.Module``, whose module maps primitives
      (B, T, W) and present (B, T) to embeddings (B, T, E);
    - ``dataloader``: ``(store, split, options) -> iterable of batches``.

    The last two have defaults that work for every schema and store. ``api_version`` is the version
    of the plugin interface for which the plugin was written. Raises `PluginError` if this toolkit
    does not support it.
    """

    name: str
    summary: str
    schema_builder: type[SchemaBuilder] | str
    schema_encoder: Callable[..., Any] | str = "nsi_cli.models.schema_encoder:PropertySchemaEncoder"
    dataloader: Callable[..., Any] | str = "nsi_cli.data.loading.loader:make_dataloader"
    api_version: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name):
            raise PluginError(
                f"a task's name must be lower-case letters, digits, - and _, not {self.name!r}",
                "for example Task(name='shapes', …)",
            )
        if not isinstance(self.summary, str):
            raise PluginError(
                f"the summary of task '{self.name}' must be a string, "
                f"not a {type(self.summary).__name__}",
                "for example Task('shapes', 'coloured shapes', …)",
            )
        if self.api_version != API_VERSION:
            raise PluginError(
                f"task '{self.name}' needs version {self.api_version!r} of the plugin interface, "
                f"but this toolkit has version {API_VERSION}",
                "install another version of the plugin, or of nsi-cli",
            )
        object.__setattr__(self, "summary", one_line(self.summary))

    def load_schema_builder(self) -> type[SchemaBuilder]:
        """Return the schema builder's class, imported if it is a reference."""
        return self._load("schema_builder")  # type: ignore[no-any-return]

    def load_schema_encoder(self) -> Callable[..., Any]:
        """Return the function that makes the schema encoder, imported if it is a reference."""
        return self._load("schema_encoder")  # type: ignore[no-any-return]

    def load_dataloader(self) -> Callable[..., Any]:
        """Return the function that makes the dataloader, imported if it is a reference."""
        return self._load("dataloader")  # type: ignore[no-any-return]

    def _load(self, part: str) -> Any:
        value = getattr(self, part)
        if not isinstance(value, str):
            return value
        module, colon, attribute = value.partition(":")
        try:
            if not colon:
                raise AttributeError("a reference is written 'module:attribute'")
            with output_to_stderr():
                return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"task '{self.name}': its {part.replace('_', ' ')} '{value}' cannot be loaded: "
                f"{type(error).__name__}: {text_of(error)}",
                "fix the plugin; --debug shows the traceback",
            ) from error
