"""The schema of MiniGrid frames, and loading a recorded frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nsi_cli.plugins import Advance, Categorical, Continuous, DataError, Scene, Schema, option

SCHEMA = Schema(
    properties=(
        Categorical("type", ("agent", "ball", "box", "key")),
        Categorical("color", ("blue", "green", "grey", "purple", "red", "yellow")),
        Continuous("cell", size=2, low=0.0, high=7.0),  # column and row
    ),
    max_objects=10,
)


@dataclass(frozen=True)
class MinigridBuilder:
    """Reads frames that `synthesize` recorded: an image and its list of objects.

    The split is by index: 80 % train, 10 % val, 10 % test.
    """

    raw: Path
    env: str = option(
        "BabyAI-GoToLocal-v0",
        help="Environment that --synthetic records; it must be one room of 8 × 8 cells.",
    )

    def schema(self) -> Schema:
        """Return the schema: type, color and cell."""
        return SCHEMA

    def splits(self) -> Mapping[str, Sequence[Path]]:
        """Return the annotation files of each split."""
        sources = sorted(self.raw.glob("*.json"))
        if len(sources) < 10:
            raise DataError(
                f"{len(sources)} recorded frames in {self.raw}; three splits need at least 10",
                "record them with --synthetic N",
            )
        val, test = len(sources) * 8 // 10, len(sources) * 9 // 10
        return {"train": sources[:val], "val": sources[val:test], "test": sources[test:]}

    def load(self, source: Path) -> Scene:
        """Load one frame; each object's mask is its cell."""
        objects = json.loads(source.read_text(encoding="utf-8"))["objects"]
        with Image.open(source.with_suffix(".png")) as picture:
            image = np.asarray(picture.convert("RGB"))
        mask = np.zeros(image.shape[:2], np.uint8)
        side = len(image) // 8
        for number, item in enumerate(objects, 1):
            column, row = item["cell"]
            mask[row * side : (row + 1) * side, column * side : (column + 1) * side] = number
        return Scene(source.stem, image, SCHEMA.encode(objects), mask)

    def synthesize(
        self, count: int, *, seed: int, workers: int, advance: Advance | None = None
    ) -> None:
        """Record ``count`` frames, each from its own episode, after a few random actions."""
        from nsi_minigrid.recording import record

        self.raw.mkdir(parents=True, exist_ok=True)
        for index, (image, objects) in enumerate(record(self.env, count, seed)):
            path = self.raw / f"{index:06d}.png"
            Image.fromarray(image).save(path)
            path.with_suffix(".json").write_text(json.dumps({"objects": objects}), encoding="utf-8")
            if advance:
                advance(1)
