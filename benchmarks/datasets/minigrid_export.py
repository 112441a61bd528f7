"""Record MiniGrid frames as a raw folder for the tasks ``table`` and ``coco``.

python benchmarks/datasets/minigrid_export.py FOLDER --frames 1000

writes FOLDER/images, FOLDER/masks, the table FOLDER/objects.csv with a row per object, and the
same objects as COCO instances in FOLDER/annotations/instances_default.json. It needs minigrid
(pip install minigrid).
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "minigrid"))
from nsi_minigrid.recording import TILE, record

ENVIRONMENT = "BabyAI-GoToLocal-v0"
COLUMNS = ("image", "type", "color", "x", "y", "w", "h", "mask", "mask_value")


def main() -> None:
    parser = argparse.ArgumentParser(description="Record MiniGrid frames.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder: Path = options.folder
    for name in ("images", "masks", "annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows, images, annotations = [], [], []
    for number, (image, objects) in enumerate(record(ENVIRONMENT, options.frames, options.seed)):
        name = f"{number:06d}.png"
        Image.fromarray(image).save(folder / "images" / name)
        mask = np.zeros(image.shape[:2], np.uint8)
        images.append({"id": number, "file_name": name, "width": 128, "height": 128})
        for value, item in enumerate(objects, start=1):
            x, y = (int(index) * TILE for index in item["cell"])
            mask[y : y + TILE, x : x + TILE] = value
            row = (f"images/{name}", item["type"], item["color"], x, y, TILE, TILE)
            rows.append((*row, f"masks/{name}", value))
            annotations.append(annotation(number, f"{item['color']} {item['type']}", x, y))
        Image.fromarray(mask).save(folder / "masks" / name)
    with (folder / "objects.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    write_coco(folder / "annotations" / "instances_default.json", images, annotations)


def annotation(image: int, category: str, x: int, y: int) -> dict[str, Any]:
    """Return the COCO annotation of an object in a cell, with its category's name as the id."""
    right, bottom = x + TILE, y + TILE
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [x, y, TILE, TILE],
        "area": TILE * TILE,
        "iscrowd": 0,
        "segmentation": [[x, y, right, y, right, bottom, x, bottom]],
    }


def write_coco(path: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> None:
    names = sorted({item["category_id"] for item in annotations})
    ids = {name: number for number, name in enumerate(names, start=1)}
    for number, item in enumerate(annotations, start=1):
        item |= {"id": number, "category_id": ids[item["category_id"]]}
    categories = [
        {"id": ids[name], "name": name, "supercategory": name.split()[1]} for name in names
    ]
    data = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(data), encoding="utf-8")


if __name__ == "__main__":
    main()
