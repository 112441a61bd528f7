"""The files of a scene, in the layouts of both releases of the dataset."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nsi_clevrtex.synthetic.placement import relationships
from nsi_clevrtex.synthetic.scene import COLORS, SceneLayout

RELEASES = ("v1", "v2")
PASSES = ("normal", "albedo", "depth", "shadow")


@dataclass(frozen=True)
class ScenePaths:
    """The paths of a scene's three files, and the file names in its JSON."""

    scene: Path
    image: Path
    mask: Path
    image_name: str
    mask_name: str
    pass_names: dict[str, str]

    @classmethod
    def of(cls, raw: Path, release: str, variant: str, index: int) -> ScenePaths:
        """Return the paths of a scene.

        v1 has a folder for each thousand scenes. v2 also has a folder for each scene, and numbers
        the frames; the names in its JSON lack that number.
        """
        if release == "v1":
            stem = f"CLEVRTEX_{variant}_{index:06d}"
            folder = raw / f"clevrtex_{variant}" / str(index // 1000)
            image, mask = f"{stem}.png", f"{stem}_flat.png"
            passes = {name: f"{stem}_{name}_0001.png" for name in PASSES}
            return cls(folder / f"{stem}.json", folder / image, folder / mask, image, mask, passes)
        stem = f"CLEVRTEXv2_{variant}_{index:06d}"
        folder = raw / f"clevrtexv2_{variant}" / str(index // 1000) / stem
        image, mask = f"{stem}_", f"{stem}_flat"
        passes = {name: f"{stem}_{name}" for name in PASSES}
        scene = folder / f"{stem}.json"
        return cls(
            scene, folder / f"{image}0003.png", folder / f"{mask}_0003.png", image, mask, passes
        )


def scene_json(layout: SceneLayout, paths: ScenePaths, variant: str, index: int) -> dict[str, Any]:
    """Return the scene's description, with every key of the dataset's JSON."""
    directions = layout.camera.directions()
    centres = [item.placement.centre for item in layout.objects]
    return {
        "num_objects": len(layout.objects),
        "split": variant,
        "image_index": index,
        "image_filename": paths.image_name,
        "ground_material": layout.ground,
        "directions": directions,
        "objects": _objects(layout),
        "relationships": relationships(centres, directions),
        "mask_filename": paths.mask_name,
        **{f"{name}_filename": file for name, file in paths.pass_names.items()},
    }


def _objects(layout: SceneLayout) -> list[dict[str, Any]]:
    projected = layout.camera.project(np.array([item.placement.centre for item in layout.objects]))
    return [
        {
            "shape": item.placement.shape,
            "rotation": item.placement.rotation,
            "size": item.placement.size,
            "3d_coords": list(item.placement.centre),
            "pixel_coords": [round(float(x)), round(float(y)), float(depth)],
            "index": number,
            "color": item.color,
            "material": item.material,
        }
        for number, (item, (x, y, depth)) in enumerate(
            zip(layout.objects, projected, strict=True), start=1
        )
    ]


def _palette() -> list[int]:
    """Return the mask's colours for image viewers; readers use the indices."""
    colours = [(0, 0, 0), *COLORS.values(), (255, 128, 0), (255, 0, 128)]
    return [value for colour in colours for value in colour]


def write_scene(
    paths: ScenePaths, image: NDArray[np.uint8], mask: NDArray[np.uint8], scene: dict[str, Any]
) -> None:
    """Write the three files, each atomically.

    The JSON is written last, so that the images exist when a reader finds it.
    """
    paths.scene.parent.mkdir(parents=True, exist_ok=True)
    indexed = Image.fromarray(mask, "P")
    indexed.putpalette(_palette())
    _replace(paths.image, lambda buffer: _save(Image.fromarray(image), buffer))
    _replace(paths.mask, lambda buffer: _save(indexed, buffer))
    _replace(paths.scene, lambda buffer: buffer.write(json.dumps(scene, indent=2).encode()))


def _save(image: Image.Image, buffer: BytesIO) -> None:
    """Save as PNG with fast compression, because textures hardly compress."""
    image.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_HUFFMAN_ONLY)


def _replace(path: Path, write: Callable[[BytesIO], object]) -> None:
    buffer = BytesIO()
    write(buffer)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(buffer.getvalue())
    temporary.replace(path)
