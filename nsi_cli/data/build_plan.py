"""What a build comes to: its schema, its scenes, and a key of all that its result depends on."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import numpy.typing as npt

from nsi_cli.data.build_parts import Shard, Splits, limited, shard_of
from nsi_cli.data.build_work import CHUNK, Chunk
from nsi_cli.data.store import FORMAT
from nsi_cli.data.vocabulary import Translation
from nsi_cli.errors import DataError, one_line
from nsi_cli.plugins.contract import HasNotes, SchemaBuilder, Source
from nsi_cli.schema import Schema

_HASHED = 512


@dataclass(frozen=True)
class Plan:
    """The scenes of a build, or of a shard of one, by split."""

    translate: Translation  # from the builder's own schema to the store's
    sources: Mapping[str, Sequence[Source]]
    whole: Mapping[str, int]  # how many scenes each split has with all shards together
    key: str  # of the whole build; shards of one build share it
    notes: tuple[str, ...] = ()  # what the builder explains of its decisions

    @property
    def schema(self) -> Schema:
        """The store's."""
        return self.translate.schema

    @property
    def counts(self) -> dict[str, int]:
        """How many scenes are to be built, by split."""
        return {split: len(sources) for split, sources in self.sources.items()}

    @property
    def total(self) -> int:
        """How many scenes are to be built."""
        return sum(self.counts.values())

    def chunks(self, down: Mapping[str, npt.NDArray[np.bool_]]) -> Iterator[Chunk]:
        """The scenes that are not ``down`` yet."""
        for split, sources in self.sources.items():
            missing = np.flatnonzero(~down[split])
            for start in range(0, len(missing), CHUNK):
                numbers = missing[start : start + CHUNK]
                yield Chunk(split, numbers, [sources[number] for number in numbers.tolist()])


def make_plan(
    builder: SchemaBuilder, translate: Translation, task: str, size: int, limit: int | None,
    shard: Shard | None,
) -> Plan:  # fmt: skip
    """What is to be built. Raises `DataError` where there is nothing."""
    found = {split: sources for split, sources in builder.splits().items() if len(sources)}
    if not found:
        raise DataError("there are no scenes to build from", "check the raw folder and the splits")
    for split in found:
        if split in ("masks", "ids") or not split.isidentifier():
            raise DataError(
                f"a split cannot be called '{split}'", "use a plain word such as train or test"
            )
    splits = limited(found, limit)
    part = {
        split: splits[split][start:end] for split, (start, end) in shard_of(splits, shard).items()
    }
    whole = {split: len(sources) for split, sources in splits.items()}
    notes = tuple(map(one_line, builder.notes())) if isinstance(builder, HasNotes) else ()
    return Plan(translate, part, whole, _key(builder, translate, task, size, splits), notes)


def _key(
    builder: SchemaBuilder, translate: Translation, task: str, size: int, splits: Splits
) -> str:
    """A hash of all that the images and labels of a store depend on."""
    told = [FORMAT, task, size, versions(), repr(builder), str(builder.raw.resolve())]
    schemas = [translate.own.to_json(), translate.schema.to_json()]
    key = hashlib.sha256(json.dumps([*told, *schemas], ensure_ascii=False).encode())
    for split, sources in splits.items():
        key.update(f"{split} {len(sources)}".encode())
        for start in range(0, len(sources), _HASHED):
            key.update(pickle.dumps(list(sources[start : start + _HASHED]), protocol=5))
    return key.hexdigest()


def versions() -> dict[str, str]:
    """The versions of what makes a store."""
    found = {}
    for name in ("nsi-cli", "numpy", "pillow", "h5py"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
