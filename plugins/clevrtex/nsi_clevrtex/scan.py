"""One reading of every scene's JSON, kept in a few hundred bytes a scene."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from nsi_clevrtex.annotation import read_annotation, read_objects
from nsi_clevrtex.layout import RawFolder, SceneSource, mask_name
from nsi_clevrtex.texts import Texts
from nsi_cli.plugins import DataError, Schema

Places = npt.NDArray[np.int64]
Fault = tuple[str, str]


@dataclass(frozen=True)
class ReadScene:
    """A scene as its JSON reports it: its primitives, or what is wrong with it."""

    path: str
    mask: str  # as `mask_name` tells it
    release: str
    primitives: tuple[tuple[float, ...], ...]
    fault: Fault | None = None

    def __str__(self) -> str:
        return Path(self.path).stem


class Scan:
    """What the JSONs of a raw folder say, taken in one after the other.

    Words are numbered as they are first seen. What is wrong with a scene is kept in the place of
    its objects, to be told when it is loaded.
    """

    def __init__(self, found: RawFolder, words: Sequence[str], *, any_material: bool) -> None:
        self.found, self._any_material = found, any_material
        self.seen: dict[str, dict[str, int]] = {word: {} for word in words}
        self.faults: dict[int, Fault] = {}
        self._numbers = {word: array("I") for word in words}
        self._positions, self._ends = array("f"), array("Q", [0])
        self._masks = Texts()
        for place, source in enumerate(found.sources):
            try:
                mask = self._take_in(source)
            except DataError as error:
                self.faults[place], mask = (error.message, error.hint), ""
            self._masks.append(mask)
            self._ends.append(len(self._positions) // 3)

    def _take_in(self, source: SceneSource) -> str:
        """Keep a scene's objects; return its mask's name."""
        data = read_annotation(source)
        objects = read_objects(source, data, list(self.seen), any_material=self._any_material)
        mask = mask_name(source, data, self.found.release)
        for one in objects:
            for word, numbers in self.seen.items():
                self._numbers[word].append(numbers.setdefault(one[word], len(numbers)))
            self._positions.extend(one["position"])
        return mask

    def objects(self, place: int) -> list[dict[str, Any]]:
        """The objects of the scene at a place, by property, for `Schema.encode`."""
        first, last = self._ends[place], self._ends[place + 1]
        columns: dict[str, Sequence[Any]] = {
            word: [self._words[word][number] for number in numbers[first:last]]
            for word, numbers in self._numbers.items()
        }
        xyz = self._positions[3 * first : 3 * last]
        columns["position"] = [xyz[start : start + 3].tolist() for start in range(0, len(xyz), 3)]
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def scene(self, place: int, schema: Schema) -> ReadScene:
        """The scene at a place, with its primitives in a schema."""
        return ReadScene(
            self.found.sources[place].path,
            self._masks[place],
            self.found.release,
            tuple(map(tuple, schema.encode(self.objects(place)).tolist())),
            self.faults.get(place),
        )

    @cached_property
    def _words(self) -> dict[str, list[str]]:
        """For each word its values by their numbers; asked for when all scenes are read."""
        return {word: list(numbers) for word, numbers in self.seen.items()}


class Scenes(Sequence[ReadScene]):
    """Some scenes of a scan, each made when it is asked for."""

    def __init__(self, scan: Scan, schema: Schema, places: Places) -> None:
        self._scan, self._schema, self._places = scan, schema, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> ReadScene: ...

    @overload
    def __getitem__(self, place: slice) -> Scenes: ...

    def __getitem__(self, place: int | slice) -> ReadScene | Scenes:
        if isinstance(place, slice):
            return Scenes(self._scan, self._schema, self._places[place])
        return self._scan.scene(int(self._places[place]), self._schema)
