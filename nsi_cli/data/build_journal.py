"""The journal of a build: the scenes whose images are safely down, and the rest of each."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.build_work import Kept
from nsi_cli.data.store_writer import Labels
from nsi_cli.schema import Schema


class Journal:
    """A file of lines, each of some scenes of one split; one that was cut off says nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def begun(self) -> bool:
        """Whether anything stands in it."""
        return self._path.is_file() and self._path.stat().st_size > 0

    def mend(self) -> None:
        """Cut off what is behind the last whole line."""
        whole = sum(size for size, _ in self._lines())
        with self._path.open("ab") as file:
            file.truncate(whole)

    def append(self, told: Sequence[tuple[str, Sequence[Kept]]]) -> None:
        """Add a line for the scenes of each split, and see that they are on the disk."""
        lines = b"".join(_line(split, scenes) for split, scenes in told)
        with self._path.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def down(self, counts: Mapping[str, int]) -> dict[str, npt.NDArray[np.bool_]]:
        """For each split of so many scenes, which of them are down."""
        found = {split: np.zeros(count, dtype=bool) for split, count in counts.items()}
        for _, line in self._lines():
            found[line["split"]][line["numbers"]] = True
        return found

    def labels(self, counts: Mapping[str, int], schema: Schema) -> dict[str, Labels]:
        """For each split what there is of the scenes that are down, in their order."""
        shape = (schema.max_objects, schema.width)
        ids: dict[str, list[str]] = {split: [""] * count for split, count in counts.items()}
        padded = {split: np.zeros((n, *shape), np.float32) for split, n in counts.items()}
        lengths = {split: np.zeros(count, np.int64) for split, count in counts.items()}
        dropped, hidden = dict.fromkeys(counts, 0), dict.fromkeys(counts, 0)
        lost: dict[str, Counter[tuple[str, str]]] = {split: Counter() for split in counts}
        for _, line in self._lines():
            split, rows = line["split"], _primitives(line, schema.width)
            dropped[split] += line["dropped"]
            hidden[split] += line["hidden"]
            lost[split].update((name, value) for name, value in line["lost"])
            for number, name, length in zip(line["numbers"], line["ids"], line["lengths"],
                                            strict=True):  # fmt: skip
                ids[split][number], lengths[split][number] = name, length
                padded[split][number, :length], rows = rows[:length], rows[length:]
        down = self.down(counts)
        return {
            split: Labels(
                [ids[split][number] for number in np.flatnonzero(there)],
                padded[split][there],
                lengths[split][there],
                dropped[split],
                hidden[split],
                lost[split],
            )
            for split, there in down.items()
        }

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The whole lines, each with its bytes."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            for line in file:
                try:
                    told = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    return
                if not isinstance(told, dict):
                    return
                yield len(line), told


def _line(split: str, scenes: Sequence[Kept]) -> bytes:
    rows = np.concatenate([scene.primitives for scene in scenes])
    told = {
        "split": split,
        "numbers": [scene.number for scene in scenes],
        "ids": [scene.id for scene in scenes],
        "lengths": [len(scene.primitives) for scene in scenes],
        "primitives": base64.b64encode(rows.astype("<f4").tobytes()).decode(),
        "dropped": sum(scene.dropped for scene in scenes),
        "hidden": sum(scene.hidden for scene in scenes),
        "lost": [pair for scene in scenes for pair in scene.lost],
    }
    return json.dumps(told).encode() + b"\n"


def _primitives(line: Mapping[str, Any], width: int) -> npt.NDArray[np.float32]:
    data = base64.b64decode(line["primitives"])
    return np.frombuffer(data, "<f4").astype(np.float32).reshape(-1, width)
