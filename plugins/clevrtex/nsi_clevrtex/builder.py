"""The schema builder of CLEVRTex: vocabulary, splits and scenes from either raw layout."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Interval

from nsi_clevrtex.annotation import MAX_OBJECTS
from nsi_clevrtex.archives import archives_of
from nsi_clevrtex.layout import Release, Variant, find_scenes, picture_paths
from nsi_clevrtex.pictures import RESTORE, read_image, read_mask
from nsi_clevrtex.protocols import apply_protocol, prepare_image
from nsi_clevrtex.scan import ReadScene, Scan, Scenes
from nsi_clevrtex.splits import choose_rule, split, split_notes
from nsi_clevrtex.synthetic import MATERIALS, render_scenes
from nsi_clevrtex.synthetic import VARIANTS as SYNTHETIC_VARIANTS
from nsi_cli.plugins import (
    Advance,
    Archive,
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
    variant: Variant = option("full", help="Variant of the dataset.")  # noqa: RUF009
    release: Literal["auto", Release] = option(
        "auto",
        help="Release whose file layout is read, rendered or downloaded. auto: the one that is "
        "there; v1 to render and to download.",
    )
    split_by: Literal["auto", "nsi", "benchmark", "proportional", "test"] = option(
        "auto",
        help="Splits (train/val/test), by scene index: nsi 37 500/2 500/10 000, full only; "
        "benchmark 80/10/10 % of the scenes that are there, the first for test; proportional "
        "85/5/10 %; or all for test. auto: nsi for full, proportional for synthetic scenes, test "
        "for the other variants.",
    )
    protocol: Literal["nsi", "benchmark", "release"] = option(
        "nsi",
        help="Image protocol: nsi squashes the whole frame, benchmark takes its centre crop, "
        "release squashes the whole frame to 128 × 128 first, as the published code does.",
        changes_images=True,
    )
    materials: Annotated[int, Interval(ge=1, le=FULL_MATERIALS)] = option(
        FULL_MATERIALS,
        help="With --synthetic: how many of the materials are used.",
    )

    def schema(self) -> Schema:
        """Size, shape, material and position; the words are those that occur, sorted."""
        return self._read[0]

    def splits(self) -> dict[str, Scenes]:
        """The sources of each split that has any scene."""
        schema, scan = self._read
        cuts = split(scan.found.sources.indices, self._split_rule)
        return {name: Scenes(scan, schema, places) for name, places in cuts.items()}

    def notes(self) -> list[str]:
        """What a user may not expect of the splits."""
        indices = self._read[1].found.sources.indices
        return split_notes(indices, self.split_by, self._split_rule, self.variant)

    def load(self, source: ReadScene) -> Scene:
        """One scene at its own size: 320 × 240, 192 × 192 (benchmark) or 128 × 128 (release).

        Objects that have no pixel are left out and counted, those that have none in the dataset's
        own mask apart from those that the crop or the resize leaves none.
        """
        if source.fault is not None:
            raise DataError(*source.fault)
        image_path, mask_path = picture_paths(source.path, source.mask, source.release)
        image, mask = read_image(image_path), read_mask(mask_path)
        scene = keep_visible(str(source), image, np.array(source.primitives, np.float32), mask)
        if not len(scene.primitives):
            raise DataError(f"{mask_path.name}: no object has a pixel in the mask", RESTORE)
        if scene.dropped:
            scene = replace(scene, hidden=scene.dropped)
        return apply_protocol(self.protocol, scene)

    def archives(self) -> tuple[Archive, ...]:
        """The archives of the variant; those of v1 where the release is left open.

        Raises `DataError` if ``raw`` holds synthetic scenes: real ones must not mix with them.
        """
        if (self.raw / _MARK).is_file():
            raise DataError(
                f"{self.raw} holds synthetic scenes", "choose another path with --raw or --out"
            )
        return archives_of(self.variant, "v1" if self.release == "auto" else self.release)

    def prepare(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
        """Any image as a scene's: with the benchmark's crop, None if the frame is another."""
        return prepare_image(self.protocol, image)

    def synthesize(
        self, count: int, *, seed: int, workers: int, advance: Advance | None = None
    ) -> None:
        """Render ``count`` raw scenes under ``raw``; same seed, same bytes.

        Rendering again what is there changes nothing. Raises `DataError` if ``raw`` holds
        other scenes, and for a variant whose shapes cannot be rendered.
        """
        if self.variant not in SYNTHETIC_VARIANTS:
            raise DataError(
                f"there are no synthetic scenes of variant '{self.variant}'",
                f"there are: {', '.join(SYNTHETIC_VARIANTS)}; or give raw data with --raw",
            )
        release = "v1" if self.release == "auto" else self.release
        options = {"count": count, "seed": seed, "release": release, "variant": self.variant}
        self._mark_as_synthetic({**options, "materials": self.materials})
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

    def _mark_as_synthetic(self, options: dict[str, object]) -> None:
        """Mark ``raw`` before the first scene is there, so that no others are ever mixed in."""
        mark, text = self.raw / _MARK, json.dumps(options) + "\n"
        if self.raw.is_dir() and any(self.raw.iterdir()):
            if not mark.is_file() or mark.read_text(encoding="utf-8") != text:
                raise DataError(
                    f"{self.raw} holds other files than these synthetic scenes",
                    "remove them, or choose another path with --raw",
                )
            return
        self.raw.mkdir(parents=True, exist_ok=True)
        mark.write_text(text, encoding="utf-8")

    def _chosen_materials(self) -> tuple[str, ...]:
        """Materials spread evenly over the sorted list, so that few of them differ in kind."""
        places = np.linspace(0, len(MATERIALS) - 1, self.materials).round().astype(int)
        return tuple(MATERIALS[place] for place in places)

    @property
    def _split_rule(self) -> str:
        return choose_rule(self.split_by, self.variant, synthetic=(self.raw / _MARK).is_file())

    @cached_property
    def _read(self) -> tuple[Schema, Scan]:
        """Everything that the JSONs say; each is read once."""
        found = find_scenes(self.raw, self.variant, self.release)
        # Colour is in every scene, but it is what one sees only where materials are plain.
        words = ["size", "shape", "material"]  # the published order of a primitive
        words += ["color"] if self.variant == "vbg" else []
        # The materials of v2 are published nowhere, and outd has some of its own.
        any_material = found.release == "v2" or self.variant == "outd"
        scan = Scan(found, words, any_material=any_material)
        return self._schema_of(scan), scan

    def _schema_of(self, scan: Scan) -> Schema:
        """The schema of the words that were seen. Raises `DataError` if there are none."""
        if len(scan.faults) == len(scan.found.sources):
            raise DataError(*scan.faults[0])
        materials = len(scan.seen["material"])
        if self.variant == "full" and materials > FULL_MATERIALS:
            raise DataError(
                f"{materials} materials in {scan.found.folder}, full has 60",
                "is another variant mixed in? Remove it, or name it with --variant",
            )
        words = [Categorical(word, tuple(sorted(values))) for word, values in scan.seen.items()]
        return Schema((*words, Continuous("position", 3, -3.0, 3.0)), MAX_OBJECTS)

    def __getstate__(self) -> dict[str, object]:
        """The fields alone: a worker gets what it needs of the JSONs with each source."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
