"""Reading and checking a scene's JSON, and the properties of its objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from reprlib import repr  # shortens long values
from typing import Any

from nsi_clevrtex.layout import RESTORE, SceneSource
from nsi_clevrtex.synthetic import MATERIALS
from nsi_cli.plugins import DataError, did_you_mean, read_regular

MAX_OBJECTS = 10
FAR = 1e6
LARGEST = 4_000_000  # bytes of a JSON file
LONGEST = 100  # characters of a word
SHAPES = ("cone", "cube", "cylinder", "icosahedron", "monkey", "sphere", "teapot", "torus")
SIZES = ("large", "medium", "small")
COLORS = ("blue", "brown", "cyan", "gray", "green", "purple", "red", "yellow")
PLAIN_MATERIALS = ("mymetal", "rubber", "tabularasa")  # of the variants vbg and pbg

ALIASES = {
    "poliigonfabricupholsterymidcenturypebbles001": "poliigonfabricupholsterybrightanglepattern001"
}
"""Two names of one material: the first in the generator's folder, the second in the scenes."""

_KNOWN = {
    "shape": frozenset(SHAPES),
    "size": frozenset(SIZES),
    "color": frozenset(COLORS),
    "material": frozenset(MATERIALS) | frozenset(PLAIN_MATERIALS),
}

Properties = dict[str, Any]


def read_annotation(source: SceneSource) -> dict[str, Any]:
    """Return a scene's JSON. Raises `DataError` if it is not a JSON object with objects."""
    try:
        data = json.loads(read_regular(source.path, LARGEST).decode())
    except OSError as error:
        raise DataError(f"{source}: its JSON cannot be read: {error.strerror}", RESTORE) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}: its JSON is damaged: {error}", RESTORE) from None
    if not isinstance(data, dict) or not isinstance(data.get("objects"), list):
        raise DataError(f"{source}: its JSON has no list of 'objects'", RESTORE)
    return data


def read_objects(
    source: SceneSource, data: Mapping[str, Any], keys: Sequence[str], *, any_material: bool
) -> list[Properties]:
    """Return the objects of a scene, ordered by their index, which is their value in the mask.

    Each has the ``keys`` (some of shape, size, material and color) and its position (x, y, z in
    scene units). Values must be known, except materials if ``any_material``. Raises `DataError`.
    """
    objects = data["objects"]
    count, stated = len(objects), data.get("num_objects", len(objects))
    if stated != count:
        raise DataError(f"{source}: {count} objects, but 'num_objects' is {repr(stated)}", RESTORE)
    if not 1 <= count <= MAX_OBJECTS:
        raise DataError(f"{source}: {count} objects, but 1 to {MAX_OBJECTS} are expected", RESTORE)
    by_index = {}
    for number, item in enumerate(objects, start=1):
        if not isinstance(item, dict):
            raise DataError(f"{source}: object {number} is not a JSON object", RESTORE)
        values = {key: _word(source, item, key, any_material) for key in keys}
        by_index[_index(source, item)] = {**values, "position": _position(source, item)}
    if sorted(by_index) != list(range(1, len(objects) + 1)):
        raise DataError(f"{source}: its objects are not numbered 1 to {len(objects)}", RESTORE)
    return [by_index[index] for index in sorted(by_index)]


def _index(source: SceneSource, item: Mapping[str, Any]) -> int:
    index = item.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise DataError(f"{source}: an object's 'index' is {repr(index)}, not a number", RESTORE)
    return index


def _position(source: SceneSource, item: Mapping[str, Any]) -> tuple[float, ...]:
    position = item.get("3d_coords")
    if (
        not isinstance(position, list)
        or len(position) != 3
        or not all(map(_is_coordinate, position))
    ):
        raise DataError(
            f"{source}: an object's '3d_coords' is {repr(position)}, not three numbers", RESTORE
        )
    return tuple(map(float, position))


def _is_coordinate(value: Any) -> bool:
    """Whether a coordinate is a number of plausible size."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < FAR


def _word(source: SceneSource, item: Mapping[str, Any], key: str, any_material: bool) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= LONGEST:
        raise DataError(f"{source}: an object's '{key}' is {repr(value)}, not a word", RESTORE)
    if key == "material":
        value = ALIASES.get(value.lower(), value.lower())
        if any_material:
            return value
    if value not in _KNOWN[key]:
        near = did_you_mean(value, sorted(_KNOWN[key]))
        raise DataError(
            f"{source}: unknown {key} '{value}'", near or "check that the raw data is CLEVRTex"
        )
    return value
