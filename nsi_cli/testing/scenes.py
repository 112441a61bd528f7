"""Checks of a schema builder's schema, splits and scenes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from nsi_cli.plugins.contract import HasSceneLabel, Preparer, SchemaBuilder, Source
from nsi_cli.schema import Categorical, Schema
from nsi_cli.schema.scene import Scene
from nsi_cli.testing.expect import expect, expected_to_work

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
            isinstance(sources, Sequence) and not isinstance(sources, str),
            f"the sources of split '{split}' must be a list or another sequence",
        )
        for source in sources[:PER_SPLIT]:
            with expected_to_work(f"pickling a source of split '{split}'"):
                size = len(pickle.dumps(source))
            expect(
                size < LIGHT,
                f"a source of split '{split}' pickles to {size} bytes, more than {LIGHT}: "
                "use a path or an index, and read the file in load()",
            )
    expect(any(len(sources) for sources in splits.values()), "splits() returns no scene")
    same = {split: list(sources) for split, sources in splits.items()} == {
        split: list(sources) for split, sources in again.items()
    }
    expect(same, "splits() returns different splits each time; sort the files that it lists")
    return splits


def check_scenes(builder: SchemaBuilder, schema: Schema, splits: Splits) -> list[Scene]:
    """Return the first scenes of each split; check that they fit the schema and load the same."""
    scenes = []
    for split, sources in splits.items():
        loaded = []
        for source in sources[:PER_SPLIT]:
            with expected_to_work(f"load({source!r})"):
                scene, again = builder.load(source), builder.load(source)
            expect(isinstance(scene, Scene), f"load() must return a Scene, not {scene!r}")
            expect(
                same_scene(scene, again),
                f"scene {scene.id} loads differently the second time: load() must be pure",
            )
            _check_primitives(schema, scene)
            loaded.append(scene)
        ids = [scene.id for scene in loaded]
        expect(len(set(ids)) == len(ids), f"scenes of split '{split}' share an id: {ids}")
        scenes += loaded
    masked = {scene.mask is not None for scene in scenes}
    expect(
        len(masked) == 1, "some scenes have a mask and some have none: all or none must have one"
    )
    return scenes


def check_scene_label(builder: SchemaBuilder, scenes: Sequence[Scene]) -> None:
    """Check that the labels of scenes are values of the builder's scene label."""
    label = None
    if isinstance(builder, HasSceneLabel):
        with expected_to_work("scene_label()"):
            label, again = builder.scene_label(), builder.scene_label()
        valid = label is None or isinstance(label, Categorical)
        expect(valid, f"scene_label() must return a Categorical or None, not {label!r}")
        expect(label == again, "scene_label() returns a different value each time")
    for scene in scenes:
        if label is None:
            expect(
                scene.label is None,
                f"scene {scene.id} has the label '{scene.label}', but the builder declares none: "
                "add a method scene_label() that returns Categorical(…)",
            )
        else:
            with expected_to_work(f"scene {scene.id}: encoding its label"):
                label.encode(scene.label)


def check_prepare(builder: SchemaBuilder) -> None:
    """If the builder is a `Preparer`, check that it returns an image or None."""
    if not isinstance(builder, Preparer):
        return
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    with expected_to_work("prepare() of an image (90, 120, 3)"):
        result = builder.prepare(image)
    valid = result is None or (
        result.dtype == np.uint8 and result.ndim == 3 and result.shape[2] == 3
    )
    expect(valid, "prepare() must return an image uint8 (H, W, 3), or None")


def check_worker(builder: SchemaBuilder, splits: Splits, scenes: Sequence[Scene]) -> None:
    """Check that a spawned process loads the same first scene."""
    source = next(sources[0] for sources in splits.values() if len(sources))
    with (
        expected_to_work("loading a scene in a spawned process"),
        ProcessPoolExecutor(1, get_context("spawn")) as pool,
    ):
        scene = pool.submit(builder.load, source).result()
    expect(
        same_scene(scene, scenes[0]),
        f"scene {scene.id} loads differently in another process: load() must depend "
        "only on its source and the builder's fields",
    )


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
