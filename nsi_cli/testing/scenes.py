"""Checks of a schema builder's schema, splits and scenes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence

import numpy as np

from nsi_cli.data.store.record import is_split_name
from nsi_cli.plugins.contract import SchemaBuilder, Source
from nsi_cli.schema import Schema
from nsi_cli.schema.scene import Scene
from nsi_cli.support.workers import worker_pool
from nsi_cli.testing.expect import expect, expected_to_work, located

PER_SPLIT = 4
"""The number of scenes of each split that are checked."""

LIGHT = 4096
"""The most bytes of a pickled source."""

Splits = Mapping[str, Sequence[Source]]


def check_schema(builder: SchemaBuilder) -> Schema:
    """Return the schema; check that it is the same each time and when read back from JSON."""
    with expected_to_work("schema()"):
        schema, again = builder.schema(), builder.schema()
    expect(isinstance(schema, Schema), f"schema() must return a Schema, not {schema!r}")
    expect(schema == again, "schema() returns a different schema each time; sort what it collects")
    with expected_to_work("writing the schema as JSON and reading it"):
        copy = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    expect(copy == schema, "the schema changes when it is written as JSON and read again")
    return schema


def check_splits(builder: SchemaBuilder) -> Splits:
    """Return the splits; check that they are not all empty, the same each time, and small."""
    with expected_to_work("splits()"):
        splits, again = builder.splits(), builder.splits()
    expect(isinstance(splits, Mapping), "splits() must return {split: sources}")
    for split, sources in splits.items():
        expect(
            isinstance(split, str) and is_split_name(split),
            f"a split cannot be called {split!r}: use a plain word such as train, val or test",
        )
        expect(
            isinstance(sources, Sequence) and not isinstance(sources, str),
            f"the sources of split '{split}' must be a list or another sequence, not "
            f"{type(sources).__name__}",
        )
        for source in sources[:PER_SPLIT]:
            with expected_to_work(f"pickling a source of split '{split}'"):
                size = len(pickle.dumps(source))
            expect(
                size < LIGHT,
                f"a source of split '{split}' pickles to {size} bytes, more than {LIGHT}: "
                "use a path or an index, and read the file in load()",
            )
    expect(
        any(len(sources) for sources in splits.values()),
        f"splits() returns no scene: check that it finds the files under {builder.raw}",
    )
    same = {split: list(sources) for split, sources in splits.items()} == {
        split: list(sources) for split, sources in again.items()
    }
    expect(same, "splits() returns different splits each time; sort the files that it lists")
    _check_disjoint(splits)
    return splits


def _check_disjoint(splits: Splits) -> None:
    """Check that no source is in two splits, or twice in one."""
    owners: dict[bytes, str] = {}
    for split, sources in splits.items():
        for source in sources:
            owner = owners.setdefault(pickle.dumps(source), split)
            expect(
                owner == split,
                f"splits '{owner}' and '{split}' have the same source {source!r}: give each scene "
                "to one split",
            )


def check_scenes(builder: SchemaBuilder, schema: Schema, splits: Splits) -> list[Scene]:
    """Return the first scenes of each split; check that they fit the schema and load the same."""
    scenes = []
    for sources in splits.values():
        for source in sources[:PER_SPLIT]:
            with expected_to_work(f"load({source!r})"):
                scene, again = builder.load(source), builder.load(source)
            kind = type(scene).__name__
            expect(isinstance(scene, Scene), f"load() must return a Scene, not a {kind}")
            expect(
                same_scene(scene, again),
                f"scene {scene.id} loads differently the second time: load() must be pure",
            )
            _check_primitives(schema, scene)
            scenes.append(scene)
    ids = [scene.id for scene in scenes]
    expect(
        len(set(ids)) == len(ids),
        f"scenes share an id: {ids}; give each scene of the dataset an id of its own",
    )
    expect(
        any(len(scene.primitives) for scene in scenes),
        f"none of the {len(scenes)} scenes that were loaded has an object: check what load() reads",
    )
    masked = {scene.mask is not None for scene in scenes}
    expect(
        len(masked) == 1, "some scenes have a mask and some have none: all or none must have one"
    )
    return scenes


def check_worker(
    builder: SchemaBuilder, schema: Schema, splits: Splits, scenes: Sequence[Scene]
) -> None:
    """Check that a spawned process finds the same schema, and loads the same first scene."""
    kind = type(builder)
    source = next(sources[0] for sources in splits.values() if len(sources))
    with (
        located(kind.load),
        expected_to_work("loading a scene in a spawned process"),
        worker_pool(1) as pool,
    ):
        scene, other = pool.submit(_load, builder, source).result()
    with located(kind.schema):
        expect(
            other == schema,
            "schema() returns a different schema in another process: sort what it collects in a "
            "set",
        )
    with located(kind.load):
        expect(
            same_scene(scene, scenes[0]),
            f"scene {scene.id} loads differently in another process: load() must depend "
            "only on its source and the builder's fields",
        )


def _load(builder: SchemaBuilder, source: Source) -> tuple[Scene, Schema]:
    return builder.load(source), builder.schema()


def same_scene(one: Scene, other: Scene) -> bool:
    """Whether two scenes are equal, byte for byte."""
    masks = one.mask is None, other.mask is None
    return (
        (one.id, one.dropped, one.hidden, one.label)
        == (other.id, other.dropped, other.hidden, other.label)
        and np.array_equal(one.pixels, other.pixels)
        and np.array_equal(one.primitives, other.primitives, equal_nan=True)
        and masks[0] == masks[1]
        and (one.mask is None or other.mask is None or np.array_equal(one.mask, other.mask))
    )


def _check_primitives(schema: Schema, scene: Scene) -> None:
    """Check that the schema can decode the primitives and encode them to the same values."""
    with expected_to_work(f"scene {scene.id}: decoding its primitives"):
        encoded = schema.encode(schema.decode(scene.primitives))
    expect(
        np.array_equal(encoded, scene.primitives, equal_nan=True),
        f"scene {scene.id}: its primitives are not what Schema.encode returns; create them with it",
    )
