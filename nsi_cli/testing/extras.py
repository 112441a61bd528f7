"""Checks of the optional methods of a schema builder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nsi_cli.plugins.contract import HasNotes, HasSceneLabel, Preparer, SchemaBuilder
from nsi_cli.schema import Categorical
from nsi_cli.schema.scene import Scene
from nsi_cli.testing.expect import expect, expected_to_work, located


def check_scene_label(builder: SchemaBuilder, scenes: Sequence[Scene]) -> None:
    """Check that the labels of scenes are values of the builder's scene label."""
    label = _scene_label(builder)
    with located(type(builder).load):
        for scene in scenes:
            if label is None:
                expect(
                    scene.label is None,
                    f"scene {scene.id} has the label '{scene.label}', but the builder declares "
                    "none: add a method scene_label() that returns Categorical(…)",
                )
            else:
                with expected_to_work(f"scene {scene.id}: encoding its label"):
                    label.encode(scene.label)


def _scene_label(builder: SchemaBuilder) -> Categorical | None:
    if not isinstance(builder, HasSceneLabel):
        return None
    with located(type(builder).scene_label):
        with expected_to_work("scene_label()"):
            label, again = builder.scene_label(), builder.scene_label()
        valid = label is None or isinstance(label, Categorical)
        expect(valid, f"scene_label() must return a Categorical or None, not {label!r}")
        expect(
            label == again,
            "scene_label() returns a different value each time; sort what it collects",
        )
    return label


def check_prepare(builder: SchemaBuilder) -> None:
    """If the builder is a `Preparer`, check that it returns an image or None."""
    if not isinstance(builder, Preparer):
        return
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    with located(type(builder).prepare):
        with expected_to_work("prepare() of an image (90, 120, 3)"):
            result = builder.prepare(image)
        valid = result is None or (
            result.dtype == np.uint8 and result.ndim == 3 and result.shape[2] == 3
        )
        expect(valid, "prepare() must return an image uint8 (H, W, 3), or None")


def check_notes(builder: SchemaBuilder) -> None:
    """If the builder has notes, check that they are a list of lines."""
    if not isinstance(builder, HasNotes):
        return
    with located(type(builder).notes):
        with expected_to_work("notes()"):
            notes = builder.notes()
        listed = isinstance(notes, Sequence) and not isinstance(notes, str)
        expect(
            listed and all(isinstance(note, str) for note in notes),
            f"notes() must return a list of strings, not {notes!r}",
        )
