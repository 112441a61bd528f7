"""Confusion matrices: what the slots of objects are read as, for each value of a property."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.metrics.grounding import visible_objects
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.segments import overlap_ratios
from nsi_cli.interpretation.slot_descriptions import Reader
from nsi_cli.schema import Schema

MOST_VALUES = 24
"""A property with more values has no matrix."""


@dataclass(frozen=True)
class Confusion:
    """How often objects with each true value (rows) are read as each value (columns)."""

    name: str
    values: tuple[str, ...]
    counts: npt.NDArray[np.int64]  # (V, V)

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """The counts as shares of their row, (V, V); 0 in a row without an object."""
        return np.asarray(self.counts / np.maximum(1, self.counts.sum(1, keepdims=True)))

    @property
    def accuracy(self) -> float:
        """The share of objects that are read as their true value."""
        return float(np.trace(self.counts) / max(1, self.counts.sum()))


class ConfusionTally:
    """Counts readings over a split.

    The slot of an object is the one whose segment has the largest IoU with the object's true mask,
    so that its true value has no part in the choice. Without true masks nothing is counted.
    """

    def __init__(self, schema: Schema, reader: Reader) -> None:
        self._reader = reader
        self._columns = schema.columns
        self._items = [
            item
            for item in schema.categorical
            if item.name not in reader.excluded and len(item.values) <= MOST_VALUES
        ]
        self._counts = {
            item.name: np.zeros((len(item.values), len(item.values)), np.int64)
            for item in self._items
        }

    def add(self, predictions: Predictions) -> None:
        """Add the visible objects of a batch."""
        overlap = predictions.overlap(predictions.masks_name)
        if overlap is None:
            return
        scene, row = np.nonzero(visible_objects(predictions))
        slot = overlap_ratios(overlap)[scene, row + 1].argmax(-1)
        likely = self._reader.probabilities(predictions.slot_embeddings[scene, slot])
        for item in self._items:
            true = predictions.primitives[scene, row, self._columns[item.name].start].astype(int)
            known = true >= 0
            read = likely[item.name].argmax(1)
            np.add.at(self._counts[item.name], (true[known], read[known]), 1)

    def matrices(self) -> list[Confusion]:
        """The matrices of the properties of which some value is known."""
        return [
            Confusion(item.name, item.values, self._counts[item.name])
            for item in self._items
            if self._counts[item.name].any()
        ]
