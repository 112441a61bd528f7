"""Reading and checking a scene's JSON: its image, class, objects and masks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from reprlib import repr  # shortens long values
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_clevr.pictures import FRAME
from nsi_clevr.release import RESTORE, Release
from nsi_clevr.run_length import decode_mask
from nsi_clevr.scene_list import SceneSource
from nsi_cli.plugins import DataError, did_you_mean, open_regular

MAX_OBJECTS = 10
FAR = 1e6

# The values in the order of image_generation/data/properties.json of the dataset's generator,
# https://github.com/facebookresearch/clevr-dataset-gen
VALUES = {
    "shape": ("cube", "sphere", "cylinder"),
    "size": ("large", "small"),
    "color": ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow"),
    "material": ("rubber", "metal"),
}


@dataclass(frozen=True)
class Annotation:
    """What a scene's JSON says of it."""

    image: str
    label: str | None
    objects: list[dict[str, Any]]
    """The values of all properties of each object, by name."""
    mask: npt.NDArray[np.uint8] | None


def read_annotation(source: SceneSource, release: Release) -> Annotation:
    """Read a scene. Raises `DataError` unless it is as its release publishes it."""
    try:
        with open_regular(source.path) as file:
            file.seek(source.start)
            data = json.loads(file.read(source.size).decode())
    except OSError as error:
        raise _fault(source, f"its JSON cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise _fault(source, f"its JSON changed or is damaged: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("objects"), list):
        raise _fault(source, "its JSON has no list of 'objects'")
    objects = data["objects"]
    if not 1 <= len(objects) <= MAX_OBJECTS:
        raise _fault(source, f"{len(objects)} objects, but 1 to {MAX_OBJECTS} are expected")
    for number, item in enumerate(objects, start=1):
        if not isinstance(item, dict):
            raise _fault(source, f"object {number} is not a JSON object")
    return Annotation(
        _image(source, data, release),
        _class(source, data, release),
        [_properties(source, item) for item in objects],
        _mask(source, objects),
    )


def _image(source: SceneSource, data: Mapping[str, Any], release: Release) -> str:
    name = data.get("image_filename")
    pattern = release.image_name.format(split=source.split)
    if not isinstance(name, str) or not re.fullmatch(pattern, name):
        raise _fault(
            source,
            f"'image_filename' is {repr(name)}, not that of an image of {release.title}, "
            f"{source.split}",
        )
    return name


def _class(source: SceneSource, data: Mapping[str, Any], release: Release) -> str | None:
    if not release.classes:
        return None
    value = data.get("class_id")
    if isinstance(value, bool) or not isinstance(value, int) or value not in range(release.classes):
        raise DataError(
            f"{source}: 'class_id' is {repr(value)}, but {release.title} has the classes 0 to "
            f"{release.classes - 1}",
            "check that --variant is that of the data",
        )
    return str(value)


def _properties(source: SceneSource, item: Mapping[str, Any]) -> dict[str, Any]:
    words = {key: _word(source, item, key) for key in VALUES}
    pixel = _vector(source, item, "pixel_coords")
    rotation: Any = item.get("rotation")
    if not _is_number(rotation):
        raise _fault(source, f"an object's 'rotation' is {repr(rotation)}, not a number")
    return {
        **words,
        "position": _vector(source, item, "3d_coords"),
        "pixel_position": (pixel[0] / FRAME[0], pixel[1] / FRAME[1]),
        "rotation": float(rotation),
    }


def _word(source: SceneSource, item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise _fault(source, f"an object's '{key}' is {repr(value)}, not a word")
    if value not in VALUES[key]:
        near = did_you_mean(value, VALUES[key])
        raise DataError(
            f"{source}: unknown {key} {repr(value)}", near or "check that the raw data is CLEVR"
        )
    return value


def _vector(source: SceneSource, item: Mapping[str, Any], key: str) -> tuple[float, ...]:
    value = item.get(key)
    if not isinstance(value, list) or len(value) != 3 or not all(map(_is_number, value)):
        raise _fault(source, f"an object's '{key}' is {repr(value)}, not three numbers")
    return tuple(map(float, value))


def _is_number(value: Any) -> bool:
    """Whether a value is a number of plausible size."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and abs(value) < FAR


def _mask(source: SceneSource, objects: list[dict[str, Any]]) -> npt.NDArray[np.uint8] | None:
    """The instance mask; None if the release has none. Where masks overlap, the nearest counts."""
    with_mask = ["mask" in item for item in objects]
    if not any(with_mask):
        return None
    if not all(with_mask):
        raise _fault(source, "some objects have a 'mask' and some have none")
    width, height = FRAME
    mask = np.zeros((height, width), np.uint8)
    depth = [item["pixel_coords"][2] for item in objects]
    for index in sorted(range(len(objects)), key=lambda index: -depth[index]):
        try:
            mask[decode_mask(objects[index]["mask"], (height, width))] = index + 1
        except ValueError as error:
            raise _fault(source, str(error)) from None
    return mask


def _fault(source: SceneSource, text: str) -> DataError:
    return DataError(f"{source}: {text}", RESTORE)
