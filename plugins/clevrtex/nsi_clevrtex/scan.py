"""One reading of every scene's JSON, kept in a few hundred bytes a scene."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from nsi_clevrtex.annotation import read_annotation, read_objects
from nsi_clevrtex.layout import RawFolder, SceneSource, mask_name
from nsi_clevrtex.texts import Texts
from nsi_cli.plugins import DataError, Schema

Places = npt.NDArray[np.int64]
Fault = tuple[str, str]
Ids = list[list[float]]


@dataclass(frozen=True)
class ReadScene:
    """A scene as its JSON tells of it: its primitives, or what is wrong with it."""

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

    def ids(self, schema: Schema) -> Ids:
        """For each word of the schema, in order, the ids of the values by their numbers here."""
        return [
            [float(item.encode(value)) for value in self.seen[item.name]]
            for item in schema.categorical
        ]

    def scene(self, place: int, ids: Ids) -> ReadScene:
        """The scene at a place; a primitive is the ids of its words, then its position."""
        first, last = self._ends[place], self._ends[place + 1]
        columns: list[Sequence[float]] = [
            [known[number] for number in numbers[first:last]]
            for known, numbers in zip(ids, self._numbers.values(), strict=True)
        ]
        columns += [self._positions[3 * first + axis : 3 * last : 3] for axis in range(3)]
        return ReadScene(
            self.found.sources[place].path,
            self._masks[place],
            self.found.release,
            tuple(zip(*columns, strict=True)),
            self.faults.get(place),
        )


class Scenes(Sequence[ReadScene]):
    """Some scenes of a scan, each made when it is asked for."""

    def __init__(self, scan: Scan, ids: Ids, places: Places) -> None:
        self._scan, self._ids, self._places = scan, ids, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> ReadScene: ...

    @overload
    def __getitem__(self, place: slice) -> Scenes: ...

    def __getitem__(self, place: int | slice) -> ReadScene | Scenes:
        if isinstance(place, slice):
            return Scenes(self._scan, self._ids, self._places[place])
        return self._scan.scene(int(self._places[place]), self._ids)
