"""A folder of images with a table of objects, and the same objects as COCO instances."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


@dataclass
class RawFolder:
    """Collects frames; `write` writes the annotations.

    The files are ``images/NUMBER.png``, ``objects.csv`` with a row per object and, as annotation
    tools export them, ``annotations/instances_default.json``. If ``masked``, boxes are also
    written as instance masks, ``masks/NUMBER.png``, and as polygons.
    """

    path: Path
    masked: bool
    rows: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        image: npt.NDArray[np.uint8],
        objects: Sequence[tuple[Mapping[str, str], Box]],
        split: str = "",
    ) -> None:
        """Write the image (H, W, 3) of a frame, and note the properties and boxes of its objects.

        The values of an object's properties, joined, are its COCO category.
        """
        number, (height, width) = len(self.images), image.shape[:2]
        name = f"{number:06d}.png"
        mask = np.zeros((height, width), np.uint8)
        self._save(image, "images", name)
        self.images.append({"id": number, "file_name": name, "width": width, "height": height})
        for value, (properties, (x, y, w, h)) in enumerate(objects, start=1):
            mask[y : y + h, x : x + w] = value
            row = {"image": f"images/{name}", **properties, "x": x, "y": y, "w": w, "h": h}
            if split:
                row["split"] = split
            if self.masked:
                row |= {"mask": f"masks/{name}", "mask_value": value}
            self.rows.append(row)
            polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": number,
                    "category_id": " ".join(properties.values()),
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                    "segmentation": [polygon] if self.masked else [],
                }
            )
        if self.masked:
            self._save(mask, "masks", name)

    def write(self) -> None:
        """Write the table and the COCO file."""
        with (self.path / "objects.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(self.rows[0]))
            table.writeheader()
            table.writerows(self.rows)
        names = sorted({item["category_id"] for item in self.annotations})
        ids = {name: number for number, name in enumerate(names, start=1)}
        for item in self.annotations:
            item["category_id"] = ids[item["category_id"]]
        data = {
            "images": self.images,
            "annotations": self.annotations,
            "categories": [{"id": ids[name], "name": name} for name in names],
        }
        path = self.path / "annotations" / "instances_default.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(data), encoding="utf-8")

    def _save(self, pixels: npt.NDArray[np.uint8], folder: str, name: str) -> None:
        (self.path / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(self.path / folder / name)
