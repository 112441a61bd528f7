"""Small raw folders, with JSON and PNG files as the three releases are published."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

FOLDERS = {"clevr": "CLEVR_v1.0", "hans3": "CLEVR-Hans3", "hans7": "CLEVR-Hans7"}
WIDTH, HEIGHT = 480, 320
SHAPES, SIZES = ("cube", "sphere", "cylinder"), ("large", "small")
COLORS = ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow")


def make_object(number: int, **changes: Any) -> dict[str, Any]:
    """Return an object of a scene's JSON, the same for the same number."""
    return {
        "shape": SHAPES[number % 3],
        "size": SIZES[number % 2],
        "material": ("rubber", "metal")[number % 2],
        "color": COLORS[number % 8],
        "3d_coords": [0.25 * number, -0.5 * number, 0.7],
        "pixel_coords": [24 + 48 * number, 160, 10.5],
        "rotation": 12.5 * number,
        **changes,
    }


def box(number: int) -> np.ndarray:
    """Return the pixels (320, 480) of an object: a box; those of different numbers are apart."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[140:180, 8 + 48 * number : 40 + 48 * number] = True
    return mask


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """Encode a mask as COCO does."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False, append=not flat[-1]))
    counts = np.diff(edges, prepend=0).tolist()
    text = ""
    for index, count in enumerate(counts):
        number = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            code, number = number & 31, number >> 5
            more = number != (-1 if code & 16 else 0)
            text += chr(48 + (code | 32 * more))
    return {"size": list(mask.shape), "counts": text}


@dataclass(frozen=True)
class RawWriter:
    """Writes the files of one release into its folder under ``raw``."""

    raw: Path
    variant: str

    @property
    def folder(self) -> Path:
        return self.raw / FOLDERS[self.variant]

    @property
    def hans(self) -> bool:
        return self.variant != "clevr"

    def scenes_path(self, split: str) -> Path:
        """Return the path of a split's JSON file."""
        name = f"{split}/CLEVR_HANS_scenes_{split}.json"
        return self.folder / (name if self.hans else f"scenes/CLEVR_{split}_scenes.json")

    def image_path(self, split: str, number: int) -> Path:
        """Return the path of an image."""
        folder = f"{split}/images" if self.hans else f"images/{split}"
        return self.folder / folder / self.image_name(split, number)

    def image_name(self, split: str, number: int) -> str:
        """Return the name of an image; scene n of CLEVR-Hans has class n mod 3."""
        kind = f"Hans_classid_{number % 3}" if self.hans else split
        return f"CLEVR_{kind}_{number:06d}.png"

    def scene(self, split: str, number: int, count: int = 3, **changes: Any) -> dict[str, Any]:
        """Return a scene of the JSON, of ``count`` objects."""
        objects = [make_object(index) for index in range(count)]
        scene = {
            "image_index": number,
            "objects": objects,
            "relationships": {"left": [[] for _ in objects]},
            "image_filename": self.image_name(split, number),
            "split": split,
            "directions": {"right": [0.65, 0.75, -0.0]},
        }
        if self.hans:
            scene |= {"split": f"classid_{number % 3}", "class_id": number % 3}
            for index, item in enumerate(objects):
                item |= {"mask": run_lengths(box(index)), "bbox": [0, 0, 9, 9], "idx": index + 1}
        return {**scene, **changes}

    def write(self, split: str, scenes: Sequence[Any], **more: Any) -> None:
        """Write a split's JSON file with these scenes."""
        info = {} if self.hans else {"info": {"split": split, "version": "1.0", "date": "1/1/17"}}
        path = self.scenes_path(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**info, "scenes": list(scenes), **more}))

    def write_image(self, split: str, number: int, mode: str = "RGBA") -> None:
        """Write an image; an alpha channel must change nothing."""
        path = self.image_path(split, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(self.pixels(number))
        picture.putalpha(128)
        picture.convert(mode).save(path, compress_level=1)

    def pixels(self, number: int) -> np.ndarray:
        """Return an image's pixels (320, 480, 3), smooth and different in each scene."""
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        planes = [x * 200 // WIDTH, y * 200 // HEIGHT, np.full_like(x, 20 * (number % 10))]
        return np.stack(planes, axis=-1).astype(np.uint8)

    def splits(self, **sizes: int) -> RawWriter:
        """Write splits of so many scenes, with 1, 2, … objects."""
        for split, size in sizes.items():
            counts = [1 + number % 10 for number in range(size)]
            scenes = [self.scene(split, number, count) for number, count in enumerate(counts)]
            self.write(split, scenes)
            for number in range(size):
                self.write_image(split, number)
        return self


@pytest.fixture
def make_raw(tmp_path: Path) -> Callable[..., RawWriter]:
    """Makes a `RawWriter`: ``make_raw("hans3")``."""
    return lambda variant="clevr": RawWriter(tmp_path / "raw", variant)


@pytest.fixture(name="box")
def box_fixture() -> Callable[[int], np.ndarray]:
    """The function `box`."""
    return box


@pytest.fixture(name="make_object")
def make_object_fixture() -> Callable[..., dict[str, Any]]:
    """The function `make_object`."""
    return make_object


@pytest.fixture(name="run_lengths")
def run_lengths_fixture() -> Callable[[np.ndarray], dict[str, Any]]:
    """The function `run_lengths`."""
    return run_lengths
