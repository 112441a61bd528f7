"""A scene that a sample keeps from its batch."""

from __future__ import annotations

from dataclasses import dataclass

from nsi_cli.evaluation.predictions import Bools, Bytes, Floats, Predictions


@dataclass(frozen=True)
class KeptScene:
    """A scene of a sample; copies, because a view would keep its whole batch in memory."""

    primitives: Floats  # (T, W)
    present: Bools  # (T,)
    slots: Floats  # (K, E)
    true_mask: Bytes | None  # (S, S)
    segments: Bytes | None  # (S, S), of the slots


def kept_scene(predictions: Predictions, row: int) -> KeptScene:
    """One scene of a batch."""
    true_masks = predictions.true_masks
    segments = predictions.segments_of(predictions.masks_name)
    return KeptScene(
        primitives=predictions.primitives[row].copy(),
        present=predictions.present[row].copy(),
        slots=predictions.slot_embeddings[row].copy(),
        true_mask=None if true_masks is None else true_masks[row].copy(),
        segments=None if segments is None else segments[row].copy(),
    )
