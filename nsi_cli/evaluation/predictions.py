"""A model's predictions for a batch of scenes, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.segments import contingency, segments
from nsi_cli.support.errors import NsiError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

DIVERGED = "its training diverged: train again with a lower learning rate"
"""The hint of an error about numbers of a model that are not finite."""


@dataclass(frozen=True)
class Predictions:
    """The predictions for B scenes, and their ground truth.

    ``aligned_slot`` and ``aligned_score`` are defined where ``present`` is true; the slot is −1
    for a primitive without a slot.
    """

    index: Ints  # (B,), the index of each scene in its split
    primitives: Floats  # (B, T, W)
    present: Bools  # (B, T)
    attention_masks: Floats  # (B, K, h, w), on the grid of tokens
    slot_embeddings: Floats  # (B, K, E)
    primitive_embeddings: Floats  # (B, T, E)
    aligned_slot: Ints  # (B, T)
    aligned_score: Floats  # (B, T)
    slot_masks: Floats | None = None  # (B, K, h, w); None without a decoder
    true_masks: Bytes | None = None  # (B, S, S), 0 the background, i the object of row i − 1
    slots: Floats | None = None  # (B, K, D), before the projection to embeddings
    tokens: Floats | None = None  # (B, h, w, C), the backbone's features
    appearance: slice = field(default_factory=lambda: slice(None))  # the channels without position
    alignment: str = "max"  # how primitives pick slots; see `nsi_cli.models.alignment`
    _segments: dict[str, Bytes] = field(init=False, repr=False, default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Sequence[int]) -> Predictions:
        """The predictions for some scenes of this batch, by row."""
        picked: dict[str, Any] = {
            part.name: value[list(rows)]
            for part in fields(self)
            if isinstance(value := getattr(self, part.name), np.ndarray)
        }
        return replace(self, **picked)

    def with_masks_of(self, size: int) -> Predictions:
        """The same with true masks of another side, by the nearest pixel."""
        if self.true_masks is None:
            return self
        pixel = ((np.arange(size) + 0.5) * self.true_masks.shape[-1] / size).astype(int)
        return replace(self, true_masks=self.true_masks[:, pixel[:, None], pixel])

    def check_finite(self) -> None:
        """Raise `NsiError` unless the embeddings of slots and present primitives are finite."""
        primitives = self.primitive_embeddings[self.present]
        if not (np.isfinite(self.slot_embeddings).all() and np.isfinite(primitives).all()):
            raise NsiError(
                "the model gives embeddings that are not finite numbers",
                DIVERGED,
            )

    @property
    def masks_name(self) -> str:
        """Which masks grounding uses: the slot masks if there are any, else the attention masks."""
        return "attention_masks" if self.slot_masks is None else "slot_masks"

    @property
    def masks(self) -> Floats:
        """The masks that `masks_name` names, (B, K, h, w)."""
        return self.attention_masks if self.slot_masks is None else self.slot_masks

    def segments_of(self, masks_name: str) -> Bytes | None:
        """The slot of each pixel by these masks, (B, S, S) at the size of the true masks.

        None if these masks or the true ones are missing. Computed once for each kind of masks.
        """
        masks = getattr(self, masks_name)
        if masks is None or self.true_masks is None:
            return None
        if masks_name not in self._segments:
            self._segments[masks_name] = segments(masks, self.true_masks.shape[-1])
        return self._segments[masks_name]

    def overlap(self, masks_name: str) -> Ints | None:
        """Pixels shared by true and predicted segments, (B, M, K), background in row 0.

        None if these masks or the true ones are missing.
        """
        predicted = self.segments_of(masks_name)
        if predicted is None or self.true_masks is None:
            return None
        objects, slots = self.present.shape[1], self.attention_masks.shape[1]
        return contingency(self.true_masks, predicted, objects=objects, slots=slots)
