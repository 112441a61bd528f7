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
from nsi_clevrtex.layout import RESTORE, Release, Variant, find_scenes, picture_paths
from nsi_clevrtex.pictures import read_image, read_mask
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
_MARKER = "synthetic.json"


@dataclass(frozen=True)
class ClevrtexBuilder:
    """Reads CLEVRTex, releases v1 and v2, and renders synthetic scenes in the same layout."""

    raw: Path
    variant: Variant = option("full", help="Variant of the dataset.")  # noqa: RUF009
    release: Literal["auto", Release] = option(
        "auto",
        help="Release whose file layout is read, rendered or downloaded. auto: the release in the "
        "raw folder, or v1 for rendering and downloading.",
    )
    split_by: Literal["auto", "nsi", "benchmark", "proportional", "test"] = option(
        "auto",
        help="Splits (train/val/test), by scene index: nsi 37 500/2 500/10 000, full only; "
        "benchmark 80/10/10 % of the scenes in the raw folder, the first for test; proportional "
        "85/5/10 %; or all for test. auto: nsi for full, proportional for synthetic scenes, test "
        "for the other variants.",
    )
    protocol: Literal["nsi", "benchmark", "release"] = option(
        "nsi",
        help="Image protocol: nsi resizes the whole frame to a square, benchmark its centre crop; "
        "release resizes the whole frame to 128 × 128 first, as the published code does.",
        changes_images=True,
    )
    materials: Annotated[int, Interval(ge=1, le=FULL_MATERIALS)] = option(
        FULL_MATERIALS,
        help="With --synthetic: the number of materials to use.",
    )

    def schema(self) -> Schema:
        """Return the schema: size, shape, material and position, with the values that occur."""
        return self._read[0]

    def splits(self) -> dict[str, Scenes]:
        """Return the sources of each split that has any scene."""
        schema, scan = self._read
        cuts = split(scan.raw_folder.sources.indices, self._split_rule)
        return {name: Scenes(scan, schema, positions) for name, positions in cuts.items()}

    def notes(self) -> list[str]:
        """Return lines about unexpected properties of the splits."""
        indices = self._read[1].raw_folder.sources.indices
        return split_notes(indices, self.split_by, self._split_rule, self.variant)

    def load(self, source: ReadScene) -> Scene:
        """Load a scene at its own size: 320 × 240, 192 × 192 (benchmark) or 128 × 128 (release).

        Objects without a pixel are dropped and counted. Those without a pixel in the dataset's own
        mask are also counted separately, as hidden.
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
        """Return the archives of the variant; those of v1 if the release is auto.

        Raises `DataError` if ``raw`` contains synthetic scenes, which must not be mixed with real
        ones.
        """
        if (self.raw / _MARKER).is_file():
            raise DataError(
                f"{self.raw} contains synthetic scenes", "choose another path with --raw or --out"
            )
        return archives_of(self.variant, "v1" if self.release == "auto" else self.release)

    def prepare(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
        """Prepare any image like a scene's; return None if the crop does not fit its size."""
        return prepare_image(self.protocol, image)

    def synthesize(
        self, count: int, *, seed: int, workers: int, advance: Advance | None = None
    ) -> None:
        """Render ``count`` raw scenes under ``raw``; the same seed gives the same bytes.

        Rendering the same scenes again changes nothing. Raises `DataError` if ``raw`` contains
        other files, or if the variant has shapes that cannot be rendered.
        """
        if self.variant not in SYNTHETIC_VARIANTS:
            raise DataError(
                f"there are no synthetic scenes of variant '{self.variant}'",
                f"choose one of {', '.join(SYNTHETIC_VARIANTS)}, or give raw data with --raw",
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
        """Mark ``raw`` before the first scene is written, so that no others are mixed in."""
        mark, text = self.raw / _MARKER, json.dumps(options) + "\n"
        if self.raw.is_dir() and any(self.raw.iterdir()):
            if not mark.is_file() or mark.read_text(encoding="utf-8") != text:
                raise DataError(
                    f"{self.raw} contains files other than these synthetic scenes",
                    "remove them, or choose another path with --raw",
                )
            return
        self.raw.mkdir(parents=True, exist_ok=True)
        mark.write_text(text, encoding="utf-8")

    def _chosen_materials(self) -> tuple[str, ...]:
        """Return materials spread evenly over the sorted list, so that a few differ in kind."""
        indices = np.linspace(0, len(MATERIALS) - 1, self.materials).round().astype(int)
        return tuple(MATERIALS[index] for index in indices)

    @property
    def _split_rule(self) -> str:
        return choose_rule(self.split_by, self.variant, synthetic=(self.raw / _MARKER).is_file())

    @cached_property
    def _read(self) -> tuple[Schema, Scan]:
        """The schema and the contents of all JSON files, each of which is read once."""
        raw_folder = find_scenes(self.raw, self.variant, self.release)
        # Every scene has colours, but only plain materials show them.
        keys = ["size", "shape", "material"]  # the published order of a primitive
        keys += ["color"] if self.variant == "vbg" else []
        # The materials of v2 are not published, and outd has additional ones.
        any_material = raw_folder.release == "v2" or self.variant == "outd"
        scan = Scan(raw_folder, keys, any_material=any_material)
        return self._schema_of(scan), scan

    def _schema_of(self, scan: Scan) -> Schema:
        """Return the schema of the values that occur. Raises `DataError` if no scene is valid."""
        if len(scan.faults) == len(scan.raw_folder.sources):
            raise DataError(*scan.faults[0])
        materials = len(scan.vocabulary["material"])
        if self.variant == "full" and materials > FULL_MATERIALS:
            raise DataError(
                f"{materials} materials in {scan.raw_folder.folder}, but full has 60",
                "if another variant is mixed in, remove it, or choose it with --variant",
            )
        properties = [
            Categorical(key, tuple(sorted(values))) for key, values in scan.vocabulary.items()
        ]
        return Schema((*properties, Continuous("position", 3, -3.0, 3.0)), MAX_OBJECTS)

    def __getstate__(self) -> dict[str, object]:
        """Return only the fields; each source has what a worker needs of its JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
