"""The plan of a build: which scenes are built, and with which schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.build.vocabulary import Translation, translation
from nsi_cli.data.store.record import is_split_name
from nsi_cli.plugins.contract import HasNotes, HasSceneLabel, SchemaBuilder, Source
from nsi_cli.schema import Categorical, Schema
from nsi_cli.support.errors import DataError, PluginError, one_line, unexpected

CHUNK = 32
"""The scenes that a worker loads at a time."""

Splits = Mapping[str, Sequence[Source]]


@dataclass(frozen=True)
class Chunk:
    """Consecutive scenes of a split, from the scene ``start``."""

    split: str
    start: int
    sources: Sequence[Source]


@dataclass(frozen=True)
class Plan:
    """What the content of a store depends on."""

    builder: SchemaBuilder
    task: str
    options: BuildOptions
    translate: Translation  # from the builder's own schema to the store's
    sources: Splits
    notes: tuple[str, ...]  # the builder's explanations
    scene_label: Categorical | None  # None if scenes have no label

    @property
    def schema(self) -> Schema:
        """The store's schema."""
        return self.translate.schema

    @property
    def counts(self) -> dict[str, int]:
        """The number of scenes of each split."""
        return {split: len(sources) for split, sources in self.sources.items()}

    @property
    def total(self) -> int:
        """The number of scenes of all splits."""
        return sum(self.counts.values())

    def chunks(self) -> Iterator[Chunk]:
        """All scenes, in order."""
        for split, sources in self.sources.items():
            for start in range(0, len(sources), CHUNK):
                yield Chunk(split, start, list(sources[start : start + CHUNK]))


def make_plan(builder: SchemaBuilder, task: str, options: BuildOptions) -> Plan:
    """The plan of a build.

    Raises `DataError` if there is nothing to build, and `PluginError` if the builder fails.
    """
    with _faults_of(builder, "schema"):
        schema = builder.schema()
    with _faults_of(builder, "splits"):
        splits = {split: sources for split, sources in builder.splits().items() if len(sources)}
    translate = translation(schema, options.vocabulary)
    if not splits:
        raise DataError("there are no scenes to build from", "check the raw folder and the splits")
    for split in splits:
        if not is_split_name(split):
            raise DataError(
                f"a split cannot be called '{split}'", "use a plain word such as train or test"
            )
    notes = tuple(map(one_line, builder.notes())) if isinstance(builder, HasNotes) else ()
    label = builder.scene_label() if isinstance(builder, HasSceneLabel) else None
    return Plan(builder, task, options, translate, limited(splits, options.limit), notes, label)


@contextmanager
def _faults_of(builder: SchemaBuilder, method: str) -> Iterator[None]:
    """Turn an unexpected exception of a builder's method into a `PluginError` with its line."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        kind = type(builder)
        raise PluginError(
            f"{kind.__name__}.{method} failed: {unexpected(error, kind.__module__)}",
            "check the raw data and the plugin; --debug shows the traceback",
        ) from error


def limited(splits: Splits, limit: int | None) -> Splits:
    """The first scenes of each split, ``limit`` in all, in proportion to the splits' sizes.

    Shares are rounded by the largest remainder; each split gets at least one scene if ``limit``
    allows.
    """
    total = sum(map(len, splits.values()))
    if limit is None or limit >= total:
        return splits
    least = 1 if limit >= len(splits) else 0
    exact = {split: limit * len(sources) / total for split, sources in splits.items()}
    shares = {split: max(least, int(share)) for split, share in exact.items()}
    while sum(shares.values()) != limit:
        step = 1 if sum(shares.values()) < limit else -1
        changeable = [split for split in shares if step > 0 or shares[split] > least]
        chosen = max(changeable, key=lambda split: step * (exact[split] - shares[split]))
        shares[chosen] += step
    return {split: sources[: shares[split]] for split, sources in splits.items() if shares[split]}
