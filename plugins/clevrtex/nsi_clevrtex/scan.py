"""The contents of all JSON files, read once and stored in a few hundred bytes per scene."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

from nsi_clevrtex.annotation import read_annotation, read_objects
from nsi_clevrtex.layout import RawFolder, SceneSource, mask_name
from nsi_clevrtex.splits import IntArray
from nsi_clevrtex.texts import Texts
from nsi_cli.plugins import DataError, Schema

Fault = tuple[str, str]


@dataclass(frozen=True)
class ReadScene:
    """A scene as described by its JSON: its primitives, or its fault."""

    path: str
    mask: str  # the result of `mask_name`
    release: str
    primitives: tuple[tuple[float, ...], ...]
    fault: Fault | None = None

    def __str__(self) -> str:
        return Path(self.path).stem


class Scan:
    """The contents of the JSON files of a raw folder.

    Values are numbered in the order in which they first occur. The fault of a scene is stored
    instead of its objects, and reported when the scene is loaded.
    """

    def __init__(self, raw_folder: RawFolder, keys: Sequence[str], *, any_material: bool) -> None:
        self.raw_folder, self._any_material = raw_folder, any_material
        self.vocabulary: dict[str, dict[str, int]] = {key: {} for key in keys}
        self.faults: dict[int, Fault] = {}
        self._numbers = {key: array("I") for key in keys}
        self._positions, self._ends = array("f"), array("Q", [0])
        self._masks = Texts()
        for position, source in enumerate(raw_folder.sources):
            try:
                mask = self._add(source)
            except DataError as error:
                self.faults[position], mask = (error.message, error.hint), ""
            self._masks.append(mask)
            self._ends.append(len(self._positions) // 3)

    def _add(self, source: SceneSource) -> str:
        """Store a scene's objects, and return the name of its mask."""
        data = read_annotation(source)
        objects = read_objects(source, data, list(self.vocabulary), any_material=self._any_material)
        mask = mask_name(source, data, self.raw_folder.release)
        for item in objects:
            for key, numbers in self.vocabulary.items():
                self._numbers[key].append(numbers.setdefault(item[key], len(numbers)))
            self._positions.extend(item["position"])
        return mask

    def objects(self, position: int) -> list[dict[str, Any]]:
        """Return the objects of a scene, by property, for `Schema.encode`."""
        first, last = self._ends[position], self._ends[position + 1]
        columns: dict[str, Sequence[Any]] = {
            key: [self._values[key][number] for number in numbers[first:last]]
            for key, numbers in self._numbers.items()
        }
        xyz = self._positions[3 * first : 3 * last]
        columns["position"] = [xyz[start : start + 3].tolist() for start in range(0, len(xyz), 3)]
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def scene(self, position: int, schema: Schema) -> ReadScene:
        """Return a scene with its primitives in a schema."""
        return ReadScene(
            self.raw_folder.sources[position].path,
            self._masks[position],
            self.raw_folder.release,
            tuple(map(tuple, schema.encode(self.objects(position)).tolist())),
            self.faults.get(position),
        )

    @cached_property
    def _values(self) -> dict[str, list[str]]:
        """The values of each key by their numbers; used only after all scenes are read."""
        return {key: list(numbers) for key, numbers in self.vocabulary.items()}


class Scenes(Sequence[ReadScene]):
    """Some scenes of a scan; each is created on access."""

    def __init__(self, scan: Scan, schema: Schema, positions: IntArray) -> None:
        self._scan, self._schema, self._positions_in_scan = scan, schema, positions

    def __len__(self) -> int:
        return len(self._positions_in_scan)

    @overload
    def __getitem__(self, position: int) -> ReadScene: ...

    @overload
    def __getitem__(self, position: slice) -> Scenes: ...

    def __getitem__(self, position: int | slice) -> ReadScene | Scenes:
        if isinstance(position, slice):
            return Scenes(self._scan, self._schema, self._positions_in_scan[position])
        return self._scan.scene(int(self._positions_in_scan[position]), self._schema)
