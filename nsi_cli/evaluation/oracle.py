"""The oracle: true masks and properties in place of slots, for the best possible values.

The score of an oracle slot and a primitive is 1[equal categorical values] − ε·|x − y|² − 1 + δ,
where x and y are their continuous values, scaled to the bounds. The score is δ = 10⁻¹² if both
describe the same object, and negative otherwise. δ makes a match score more than no object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.candidates import MOST_COMBINATIONS
from nsi_cli.evaluation.controls import aligned
from nsi_cli.evaluation.predictions import Bools, Floats, Predictions
from nsi_cli.schema import Schema

Numbers = npt.NDArray[np.float64]

_MATCH = 1e-12
"""The score of a match: above the rounding of float64, below what a difference counts."""


class Oracle:
    """Encodes primitives, and puts true objects in place of slots.

    If there are more than `MOST_COMBINATIONS` combinations of categorical values, the first term is
    the share of equal values instead, and property retrieval may not reach 1. ``excluded``
    properties are ignored. Embeddings are float64, because ε is small: a categorical value counts
    more than any continuous one.
    """

    def __init__(self, schema: Schema, excluded: Sequence[str] = ()) -> None:
        kept = schema.without(excluded)
        self._columns = [
            np.arange(schema.width)[schema.columns[one.name]] for one in kept.categorical
        ]
        self._sizes = [
            len(one.values) + 1 for one in kept.categorical
        ]  # one more for a missing value
        self._numbers = [
            column
            for one in kept.continuous
            for column in np.arange(schema.width)[schema.columns[one.name]]
        ]
        self._low = np.array([low for one in kept.continuous for low in one.lows])
        self._high = np.array([high for one in kept.continuous for high in one.highs])
        self._joint = prod(self._sizes) <= MOST_COMBINATIONS
        self._epsilon = 1e-3 / max(1, prod(self._sizes) if self._joint else len(self._sizes))

    def encode(self, primitives: Floats, present: Bools) -> Floats:
        """Embeddings (B, T, E) of primitives (B, T, W)."""
        words, numbers = self._words(primitives), self._scaled(primitives)
        square = self._epsilon * (numbers**2).sum(-1, keepdims=True)
        parts = (
            words,
            np.sqrt(2 * self._epsilon) * numbers,
            np.ones_like(square),
            -square - 1 + _MATCH,
        )
        return np.concatenate(parts, -1)

    def predictions(self, predictions: Iterable[Predictions]) -> Iterator[Predictions]:
        """The same scenes with T + 1 slots: the background, then each object."""
        for batch in predictions:
            yield self._of_batch(batch)

    def _of_batch(self, batch: Predictions) -> Predictions:
        slots = np.concatenate([np.zeros_like(self._slots(batch)[:, :1]), self._slots(batch)], 1)
        slots[..., -1] = 1
        count, side = slots.shape[1], 1 if batch.true_masks is None else batch.true_masks.shape[-1]
        masks = np.zeros((len(batch), count, side, side), np.float32)
        if batch.true_masks is not None:
            masks[:] = batch.true_masks[:, None] == np.arange(count)[:, None, None]
        return aligned(
            replace(
                batch,
                attention_masks=masks,
                slot_masks=None,
                slots=slots.astype(np.float32),
                slot_embeddings=slots,
                primitive_embeddings=self.encode(batch.primitives, batch.present),
            )
        )

    def _slots(self, batch: Predictions) -> Numbers:
        """The slots (B, T, E) of the objects; zeros in the rows without an object."""
        words, numbers = self._words(batch.primitives), self._scaled(batch.primitives)
        square = -self._epsilon * (numbers**2).sum(-1, keepdims=True)
        parts = words, np.sqrt(2 * self._epsilon) * numbers, square, np.ones_like(square)
        return np.where(batch.present[..., None], np.concatenate(parts, -1), 0)

    def _words(self, primitives: Floats) -> Numbers:
        """One-hot codes of the categorical values, (…, words): jointly, or of each property."""
        ids = [
            np.where(primitives[..., column[0]] < 0, size - 1, primitives[..., column[0]]).astype(
                int
            )
            for column, size in zip(self._columns, self._sizes, strict=True)
        ]
        if not ids:
            return np.ones((*primitives.shape[:-1], 1))
        if self._joint:
            return np.asarray(np.eye(prod(self._sizes))[np.ravel_multi_index(ids, self._sizes)])
        codes = [np.eye(size)[values] for values, size in zip(ids, self._sizes, strict=True)]
        return np.asarray(np.concatenate(codes, -1) / np.sqrt(len(codes)))

    def _scaled(self, primitives: Floats) -> Numbers:
        """The numbers scaled to their bounds, (…, numbers); ½ for a missing one."""
        scaled = (primitives[..., self._numbers] - self._low) / (self._high - self._low)
        return np.where(np.isnan(scaled), 0.5, scaled).astype(np.float64)
