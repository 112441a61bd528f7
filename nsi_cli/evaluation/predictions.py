"""Predictions: what a model makes of a batch of scenes, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.segments import contingency, segments

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Predictions:
    """The predictions for B scenes, beside their ground truth.

    ``aligned_slot`` and ``aligned_score`` are defined where ``present`` is true; a primitive
    without a slot has slot −1.
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
    tokens: Floats | None = None  # (B, h, w, C'), appearance features without position
    images: Bytes | None = None  # (B, S, S, 3), only for images without annotation
    alignment: str = "max"  # how primitives pick slots; see `nsi_cli.models.alignment`

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Sequence[int]) -> Predictions:
        """The predictions for some of the scenes, by their rows in this batch."""
        picked: dict[str, Any] = {
            field.name: value[list(rows)]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        return replace(self, **picked)

    @property
    def masks_name(self) -> str:
        """The masks of grounding: the decoder's if there is one, else the attention masks."""
        return "attention_masks" if self.slot_masks is None else "slot_masks"

    @property
    def masks(self) -> Floats:
        """The masks that `masks_name` names, (B, K, h, w)."""
        return self.attention_masks if self.slot_masks is None else self.slot_masks

    def segments_of(self, masks_name: str) -> Bytes | None:
        """The slot of each pixel by these masks, (B, S, S) at the size of the true masks.

        None if these masks or the true ones are missing. Computed once for each kind.
        """
        return self._slot_segments if masks_name == "slot_masks" else self._attention_segments

    def overlap(self, masks_name: str) -> Ints | None:
        """Pixels shared by true and predicted segments, (B, M, K), background in row 0.

        None if these masks or the true ones are missing. Computed once for each kind.
        """
        return self._slot_overlap if masks_name == "slot_masks" else self._attention_overlap

    @cached_property
    def _slot_segments(self) -> Bytes | None:
        return self._segments(self.slot_masks)

    @cached_property
    def _attention_segments(self) -> Bytes | None:
        return self._segments(self.attention_masks)

    @cached_property
    def _slot_overlap(self) -> Ints | None:
        return self._overlap(self._slot_segments)

    @cached_property
    def _attention_overlap(self) -> Ints | None:
        return self._overlap(self._attention_segments)

    def _segments(self, masks: Floats | None) -> Bytes | None:
        if masks is None or self.true_masks is None:
            return None
        return segments(masks, self.true_masks.shape[-1])

    def _overlap(self, predicted: Bytes | None) -> Ints | None:
        if predicted is None or self.true_masks is None:
            return None
        objects, slots = self.present.shape[1], self.attention_masks.shape[1]
        return contingency(self.true_masks, predicted, objects=objects, slots=slots)
