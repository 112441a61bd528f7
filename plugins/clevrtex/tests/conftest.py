"""Small raw folders: PNG and JSON files with the peculiarities of the dataset's files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT = 320, 240
MATERIALS = ("poliigonbricks01", "whitemarble", "poliigonfabricdenim003")

# The colour of value i is the grey level 10 − i, so that reading a mask by colour fails.
MISLEADING = [level for i in range(11) for level in 3 * [10 - i]]


def boxes(count: int) -> np.ndarray:
    """Return a mask (240, 320) of ``count`` boxes in a row, from left to right.

    Of ten boxes, the benchmark's crop (columns 64 to 255) drops 1, 9 and 10, and cuts 2.
    """
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for i in range(count):
        mask[100:160, 10 + 31 * i : 35 + 31 * i] = i + 1
    return mask


def make_object(number: int, **changes: Any) -> dict[str, Any]:
    """Return an object of a scene's JSON."""
    shapes, sizes = ("cube", "sphere", "cylinder", "monkey"), ("small", "medium", "large")
    return {
        "shape": shapes[number % 4],
        "rotation": 12.5 * number,
        "size": sizes[number % 3],
        "3d_coords": [0.25 * number, -0.5 * number, 0.5],
        "pixel_coords": [22 + 31 * (number - 1), 130, 9.5],
        "index": number,
        "color": "gray",
        "material": MATERIALS[number % 3],
        **changes,
    }


@dataclass(frozen=True)
class RawWriter:
    """Writes scenes of one release and variant under ``raw``."""

    raw: Path
    release: str = "v1"
    variant: str = "full"

    def stem(self, index: int) -> Path:
        """Return the path of a scene's JSON, without its suffix."""
        if self.release == "v1":
            name = f"CLEVRTEX_{self.variant}_{index:06d}"
            return self.raw / f"clevrtex_{self.variant}" / str(index // 1000) / name
        name = f"CLEVRTEXv2_{self.variant}_{index:06d}"
        return self.raw / f"clevrtexv2_{self.variant}" / str(index // 1000) / name / name

    def json(self, index: int) -> Path:
        """Return the path of a scene's JSON."""
        return self.stem(index).with_suffix(".json")

    def image(self, index: int) -> Path:
        """Return the path of a scene's image."""
        stem = self.stem(index)
        return stem.with_name(stem.name + (".png" if self.release == "v1" else "_0003.png"))

    def mask(self, index: int) -> Path:
        """Return the path of a scene's mask; in v2, only the JSON has its name."""
        stem = self.stem(index)
        return stem.with_name(
            f"{stem.name}_flat.png" if self.release == "v1" else f"mask{index}_0003.png"
        )

    def scene(
        self,
        index: int,
        objects: list[dict[str, Any]] | int = 3,
        *,
        mask: np.ndarray | None = None,
        mode: str = "RGBA",
        **changes: Any,
    ) -> None:
        """Write a scene's three files; ``changes`` are values in its JSON."""
        if isinstance(objects, int):
            objects = [make_object(i) for i in range(1, objects + 1)]
        self.json(index).parent.mkdir(parents=True, exist_ok=True)
        name = self.stem(index).name
        v1 = self.release == "v1"
        scene = {
            "num_objects": len(objects),
            "split": self.variant,
            "image_index": index,
            "image_filename": f"{name}.png" if v1 else f"{name}_",
            "ground_material": MATERIALS[0],
            "directions": {"left": [-0.66, -0.75, 0.0]},
            "objects": objects,
            "relationships": {"left": [[] for _ in objects]},
            "mask_filename": f"{name}_flat.png" if v1 else f"mask{index}",
            "normal_filename": f"{name}_normal",
            "albedo_filename": f"{name}_albedo",
            "depth_filename": f"{name}_depth",
            "shadow_filename": f"{name}_shadow",
            **changes,
        }
        self.json(index).write_text(json.dumps(scene))
        self.write_image(index, mode)
        self.write_mask(index, boxes(len(objects)) if mask is None else mask)

    def pixels(self, index: int) -> np.ndarray:
        """Return the image's pixels (240, 320, 3), smooth and different in each scene."""
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        planes = [x * 200 // WIDTH, y * 200 // HEIGHT, np.full_like(x, 20 * (index % 10))]
        return np.stack(planes, axis=-1).astype(np.uint8)

    def write_image(self, index: int, mode: str = "RGBA") -> None:
        """Write the image; an alpha channel must change nothing."""
        picture = Image.fromarray(self.pixels(index))
        if mode == "RGBA":
            picture.putalpha(Image.fromarray(self.pixels(index)[..., 0]))
        picture.convert(mode).save(self.image(index))

    def write_mask(self, index: int, mask: np.ndarray, **saved: Any) -> None:
        """Write the mask with the palette `MISLEADING`."""
        picture = Image.frombytes("P", (mask.shape[1], mask.shape[0]), mask.tobytes())
        picture.putpalette(MISLEADING)
        picture.save(self.mask(index), **saved)


@pytest.fixture
def make_raw(tmp_path: Path) -> Callable[..., RawWriter]:
    """Makes a `RawWriter`: ``make_raw(release=…, variant=…)``."""

    def make(release: str = "v1", variant: str = "full", name: str = "raw") -> RawWriter:
        return RawWriter(tmp_path / name, release, variant)

    return make


@pytest.fixture(scope="session")
def raw_writer() -> type[RawWriter]:
    """The class `RawWriter`."""
    return RawWriter


@pytest.fixture(name="make_object")
def make_object_fixture() -> Callable[..., dict[str, Any]]:
    """The function `make_object`."""
    return make_object


@pytest.fixture(name="boxes")
def boxes_fixture() -> Callable[[int], np.ndarray]:
    """The function `boxes`."""
    return boxes
