"""The schema builder of CLEVRTex: vocabulary, splits and scenes from either raw layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nsi_clevrtex.annotation import MAX_OBJECTS, Properties, read_annotation, read_objects
from nsi_clevrtex.layout import (
    RELEASES,
    VARIANTS,
    RawFolder,
    SceneSource,
    find_scenes,
    picture_paths,
)
from nsi_clevrtex.pictures import crop, read_image, read_mask
from nsi_clevrtex.splits import SPLIT_BY, split
from nsi_clevrtex.synthetic import MATERIALS, render_scenes
from nsi_clevrtex.synthetic import VARIANTS as SYNTHETIC_VARIANTS
from nsi_cli.plugins import (
    Advance,
    Categorical,
    Continuous,
    DataError,
    Scene,
    Schema,
    keep_visible,
    option,
)

FULL_MATERIALS = 60
_MARK = "synthetic.json"


@dataclass(frozen=True)
class ClevrtexBuilder:
    """Reads CLEVRTex, releases v1 and v2, and renders synthetic scenes in the same layout."""

    raw: Path
    variant: str = option("full", choices=VARIANTS, help="Variant of the dataset.")
    release: str = option(
        "auto", choices=("auto", *RELEASES), help="Release whose file layout is read or rendered."
    )
    split_by: str = option(
        "auto",
        choices=SPLIT_BY,
        help="Splits by scene index: nsi 37 500/2 500/10 000, benchmark 40 000/5 000/5 000, "
        "proportional 85/5/10 %, or all for test. auto: nsi for full, proportional for "
        "synthetic scenes, test for the other variants.",
    )
    protocol: str = option(
        "nsi",
        choices=("nsi", "benchmark"),
        help="Image protocol: nsi squashes the whole frame, benchmark takes its centre crop.",
    )
    materials: int = option(
        FULL_MATERIALS,
        ge=1,
        le=FULL_MATERIALS,
        help="With --synthetic: how many of the materials are used.",
    )

    def schema(self) -> Schema:
        """Size, shape, material and position; the words are those that occur, sorted."""
        return self._schema

    def splits(self) -> dict[str, list[SceneSource]]:
        """The sources of each split that has any scene."""
        split_by = self.split_by
        if split_by == "auto":
            full = "proportional" if (self.raw / _MARK).is_file() else "nsi"
            split_by = full if self.variant == "full" else "test"
        return split(self._found.sources, split_by)

    def load(self, source: SceneSource) -> Scene:
        """One scene at its own size (320 × 240, or 192 × 192 after the benchmark's crop)."""
        annotation = read_annotation(source)
        objects = self._objects(source, annotation)
        image_path, mask_path = picture_paths(source, annotation, self._found.release)
        image, mask = read_image(image_path), read_mask(mask_path)
        primitives = self._schema.encode(objects)
        whole = Scene(str(source), image, primitives, mask)
        if self.protocol == "nsi":
            return whole
        return keep_visible(whole.id, crop(image), primitives, crop(mask))

    def synthesize(
        self, count: int, *, seed: int, workers: int, advance: Advance | None = None
    ) -> None:
        """Render ``count`` raw scenes under ``raw``; same seed, same bytes.

        Rendering again what is there changes nothing. Raises `DataError` where ``raw`` holds
        other scenes, and for a variant whose shapes cannot be rendered.
        """
        if self.variant not in SYNTHETIC_VARIANTS:
            raise DataError(
                f"there are no synthetic scenes of variant '{self.variant}'",
                f"there are: {', '.join(SYNTHETIC_VARIANTS)}; or give raw data with --raw",
            )
        release = "v1" if self.release == "auto" else self.release
        told = {"count": count, "seed": seed, "release": release, "variant": self.variant}
        self._mark_as_synthetic({**told, "materials": self.materials})
        render_scenes(
            self.raw,
            count,
            seed=seed,
            release=release,
            variant=self.variant,
            materials=self._chosen_materials(),
            workers=workers,
            advance=advance,
        )

    def _mark_as_synthetic(self, told: dict[str, object]) -> None:
        """Mark ``raw`` before the first scene is there, so that no others are ever mixed in."""
        mark, text = self.raw / _MARK, json.dumps(told) + "\n"
        if self.raw.is_dir() and any(self.raw.iterdir()):
            if not mark.is_file() or mark.read_text(encoding="utf-8") != text:
                raise DataError(
                    f"{self.raw} holds other files than these synthetic scenes",
                    "remove them, or choose another place with --raw",
                )
            return
        self.raw.mkdir(parents=True, exist_ok=True)
        mark.write_text(text, encoding="utf-8")

    def _chosen_materials(self) -> tuple[str, ...]:
        """Materials spread evenly over the sorted list, so that few of them differ in kind."""
        places = np.linspace(0, len(MATERIALS) - 1, self.materials).round().astype(int)
        return tuple(MATERIALS[place] for place in places)

    @cached_property
    def _found(self) -> RawFolder:
        return find_scenes(self.raw, self.variant, self.release)

    @cached_property
    def _words(self) -> tuple[str, ...]:
        # Colour is in every scene, but it is what one sees only where materials are plain.
        words = ("size", "shape", "material")  # the published order of a primitive
        return (*words, "color") if self.variant == "vbg" else words

    def _objects(self, source: SceneSource, annotation: dict[str, Any]) -> list[Properties]:
        # The materials of v2 are published nowhere, and outd has some of its own.
        any_material = self._found.release == "v2" or self.variant == "outd"
        return read_objects(source, annotation, self._words, any_material=any_material)

    @cached_property
    def _schema(self) -> Schema:
        seen: dict[str, set[str]] = {word: set() for word in self._words}
        for one in self._readable_objects():
            for word, values in seen.items():
                values.add(one[word])
        if not seen["material"]:
            first = self._found.sources[0]
            self._objects(first, read_annotation(first))  # tells what is wrong
        if self.variant == "full" and len(seen["material"]) > FULL_MATERIALS:
            raise DataError(
                f"{len(seen['material'])} materials in {self._found.folder}, full has 60",
                "is another variant mixed in? Remove it, or name it with --variant",
            )
        words = [Categorical(word, tuple(sorted(values))) for word, values in seen.items()]
        return Schema((*words, Continuous("position", 3, -3.0, 3.0)), MAX_OBJECTS)

    def _readable_objects(self) -> Iterator[Properties]:
        """The objects of every scene that can be read; the others are told of when built."""
        for source in self._found.sources:
            try:
                yield from self._objects(source, read_annotation(source))
            except DataError:
                continue
