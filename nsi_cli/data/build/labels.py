"""The labels of a split, collected while its scenes are loaded."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from nsi_cli.data.build.workers import Kept
from nsi_cli.data.store.writer import Labels
from nsi_cli.schema import Schema


class LabelCollector:
    """Collects the scenes of a split in any order; skipped ones leave no gap."""

    def __init__(self, count: int, schema: Schema) -> None:
        self.kept = np.zeros(count, dtype=bool)
        self._ids = [""] * count
        self._primitives = np.zeros((count, schema.max_objects, schema.width), np.float32)
        self._lengths = np.zeros(count, np.int64)
        self._dropped = self._hidden = 0
        self._lost: Counter[tuple[str, str]] = Counter()

    def add(self, scene: Kept) -> None:
        """Add one scene."""
        number, length = scene.number, len(scene.primitives)
        self.kept[number] = True
        self._ids[number], self._lengths[number] = scene.id, length
        self._primitives[number, :length] = scene.primitives
        self._dropped += scene.dropped
        self._hidden += scene.hidden
        self._lost.update(scene.lost)

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """The numbers of the collected scenes, ascending."""
        return np.flatnonzero(self.kept)

    def labels(self) -> Labels:
        """The labels of the collected scenes, in the order of their numbers."""
        return Labels(
            [self._ids[number] for number in self.numbers],
            self._primitives[self.kept],
            self._lengths[self.kept],
            self._dropped,
            self._hidden,
            self._lost,
        )
