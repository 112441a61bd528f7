"""The schema builder of CLEVR and CLEVR-Hans."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from nsi_clevr.annotation import MAX_OBJECTS, VALUES, read_annotation
from nsi_clevr.pictures import read_image
from nsi_clevr.release import RELEASES, Release, Variant, find_scene_lists
from nsi_clevr.scene_list import SceneList, SceneSource, read_scene_list
from nsi_cli.plugins import (
    Archive,
    Categorical,
    Continuous,
    Scene,
    Schema,
    keep_visible,
    option,
)

HELD_OUT = 14
"""With ``holdout``, one part in so many of the training scenes is val: 5 000 of 70 000."""


@dataclass(frozen=True)
class ClevrBuilder:
    """Reads CLEVR v1.0, CLEVR-Hans3 and CLEVR-Hans7."""

    raw: Path
    variant: Variant = option(  # noqa: RUF009
        "clevr",
        help="clevr: CLEVR v1.0. hans3, hans7: CLEVR-Hans, with masks and a class for each scene.",
    )
    split_by: Literal["published", "holdout"] = option(
        "published",
        help="published: the splits as published; CLEVR's test split has no scenes and is left "
        "out. holdout, for CLEVR: its val split is test, and the last 1/14 of train is val.",
    )
    pixel_position: bool = option(
        False,
        help="Add the property pixel_position: x and y of the centre, relative to the image.",
    )
    rotation: bool = option(
        False,
        help="Add the property rotation, in degrees. It is not visible for spheres and cylinders, "
        "and only modulo 90 for cubes.",
    )

    def faults(self) -> list[str]:
        """Return the options that contradict each other."""
        if self.split_by == "holdout" and self._release.classes:
            return [f"split_by: holdout is for CLEVR; {self._release.title} has a test split"]
        return []

    def schema(self) -> Schema:
        """Return the schema: the published values, in the order of the dataset's generator."""
        words = [Categorical(key, values) for key, values in VALUES.items()]
        numbers = [Continuous("position", 3, -3.0, 3.0)]
        if self.pixel_position:
            numbers.append(Continuous("pixel_position", 2, 0.0, 1.0))
        if self.rotation:
            numbers.append(Continuous("rotation", 1, 0.0, 360.0))
        return Schema((*words, *numbers), MAX_OBJECTS)

    def scene_label(self) -> Categorical | None:
        """Return the classes of CLEVR-Hans; CLEVR has none."""
        count = self._release.classes
        return Categorical("class", tuple(map(str, range(count)))) if count else None

    def splits(self) -> dict[str, SceneList]:
        """Return the sources of each split."""
        found = dict(self._found)
        if self.split_by == "holdout":
            if "val" in found:
                found["test"] = found.pop("val")
            if "train" in found:
                scenes = found["train"]
                first = len(scenes) - max(1, len(scenes) // HELD_OUT)
                found["train"], found["val"] = scenes[:first], scenes[first:]
        order = ("train", "val", "test")
        return {split: found[split] for split in order if found.get(split)}

    def notes(self) -> list[str]:
        """Return lines about splits that are left out."""
        release, notes = self._release, []
        if self.variant == "clevr":
            notes.append("the test split of CLEVR is left out: its scenes are not published")
        missing = [split for split in release.splits if split not in self._found]
        notes += [
            f"warning: split {split} is missing: no {release.scenes.format(split=split)}"
            for split in missing
        ]
        return notes

    def load(self, source: SceneSource) -> Scene:
        """Load a scene at its own size, 480 × 320.

        With masks, objects without a pixel are dropped and counted as hidden.
        """
        release = self._release
        annotation = read_annotation(source, release)
        path = release.image_path(Path(source.path), source.split, annotation.image)
        image, name = read_image(path), path.stem
        if release.classes:  # whose splits use the same file names
            name = f"{source.split}/{name}"
        schema, label = self.schema(), annotation.label
        primitives = schema.encode(
            [{key: item[key] for key in schema.columns} for item in annotation.objects]
        )
        if annotation.mask is None:
            return Scene(name, image, primitives, label=label)
        scene = keep_visible(name, image, primitives, annotation.mask, label=label)
        return replace(scene, hidden=scene.dropped)

    def archives(self) -> tuple[Archive, ...]:
        """Return the archive of the variant."""
        return (self._release.archive,)

    @property
    def _release(self) -> Release:
        return RELEASES[self.variant]

    @cached_property
    def _found(self) -> dict[str, SceneList]:
        """The scenes of each published split, whose JSON is read once."""
        lists = find_scene_lists(self.raw, self.variant)
        return {split: read_scene_list(path, split) for split, path in lists.items()}

    def __getstate__(self) -> dict[str, object]:
        """Return only the fields; a source has all that a worker needs."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
