"""A scene's JSON: read, checked, and turned into the properties of its objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from reprlib import repr  # short, whatever a file may hold
from typing import Any

from nsi_clevrtex.layout import SceneSource
from nsi_clevrtex.synthetic import MATERIALS
from nsi_cli.plugins import DataError, did_you_mean, read_regular

MAX_OBJECTS = 10
FAR = 1e6
LARGEST = 4_000_000  # bytes of a JSON
LONGEST = 100  # letters of a word
SHAPES = ("cone", "cube", "cylinder", "icosahedron", "monkey", "sphere", "teapot", "torus")
SIZES = ("large", "medium", "small")
COLORS = ("blue", "brown", "cyan", "gray", "green", "purple", "red", "yellow")
PLAIN_MATERIALS = ("mymetal", "rubber", "tabularasa")  # of the variants vbg and pbg

ALIASES = {
    "poliigonfabricupholsterymidcenturypebbles001": "poliigonfabricupholsterybrightanglepattern001"
}
"""Two names of one material: the generator's folder has the first, the published scenes the
second."""

_KNOWN = {
    "shape": frozenset(SHAPES),
    "size": frozenset(SIZES),
    "color": frozenset(COLORS),
    "material": frozenset(MATERIALS) | frozenset(PLAIN_MATERIALS),
}

_RESTORE = "restore the scene from the archive, or remove it"

Properties = dict[str, Any]


def read_annotation(source: SceneSource) -> dict[str, Any]:
    """A scene's JSON. Raises `DataError` if it is not one whole JSON object."""
    try:
        data = json.loads(read_regular(source.path, LARGEST).decode())
    except OSError as error:
        raise DataError(f"{source}: its JSON cannot be read: {error.strerror}", _RESTORE) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}: its JSON is not whole: {error}", _RESTORE) from None
    if not isinstance(data, dict) or not isinstance(data.get("objects"), list):
        raise DataError(f"{source}: its JSON has no list of 'objects'", _RESTORE)
    return data


def read_objects(
    source: SceneSource, data: Mapping[str, Any], words: Sequence[str], *, any_material: bool
) -> list[Properties]:
    """The objects of a scene, ordered by their index, which is their value in the mask.

    Each has the ``words`` (of shape, size, material and color) and its position (x, y, z in scene
    units). Words must be known ones, but for materials where ``any_material``. Raises `DataError`.
    """
    objects = data["objects"]
    count, stated = len(objects), data.get("num_objects", len(objects))
    if stated != count:
        raise DataError(f"{source}: {count} objects, but 'num_objects' is {repr(stated)}", _RESTORE)
    if not 1 <= count <= MAX_OBJECTS:
        raise DataError(f"{source}: {count} objects, 1 to {MAX_OBJECTS} are expected", _RESTORE)
    by_index = {}
    for place, one in enumerate(objects, start=1):
        if not isinstance(one, dict):
            raise DataError(f"{source}: object {place} is not a JSON object", _RESTORE)
        said = {key: _word(source, one, key, any_material) for key in words}
        by_index[_index(source, one)] = {**said, "position": _position(source, one)}
    if sorted(by_index) != list(range(1, len(objects) + 1)):
        raise DataError(f"{source}: its objects are not numbered 1 to {len(objects)}", _RESTORE)
    return [by_index[index] for index in sorted(by_index)]


def _index(source: SceneSource, one: Mapping[str, Any]) -> int:
    index = one.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise DataError(f"{source}: an object's 'index' is {repr(index)}, not a number", _RESTORE)
    return index


def _position(source: SceneSource, one: Mapping[str, Any]) -> tuple[float, ...]:
    position = one.get("3d_coords")
    if not isinstance(position, list) or len(position) != 3 or not all(map(_near, position)):
        raise DataError(
            f"{source}: an object's '3d_coords' is {repr(position)}, not three numbers", _RESTORE
        )
    return tuple(map(float, position))


def _near(value: Any) -> bool:
    """Whether a coordinate is a number, and one of this world."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < FAR


def _word(source: SceneSource, one: Mapping[str, Any], key: str, any_material: bool) -> str:
    value = one.get(key)
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= LONGEST:
        raise DataError(f"{source}: an object's '{key}' is {repr(value)}, not a word", _RESTORE)
    if key == "material":
        value = ALIASES.get(value.lower(), value.lower())
        if any_material:
            return value
    if value not in _KNOWN[key]:
        near = did_you_mean(value, sorted(_KNOWN[key]))
        raise DataError(f"{source}: unknown {key} '{value}'", near or "is this CLEVRTex?")
    return value
