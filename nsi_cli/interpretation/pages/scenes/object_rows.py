"""A table of a scene's objects: each primitive, its slot, and whether that slot lies on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.metrics.grounding import peaks_inside, visible_objects
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.segments import overlap_ratios, upsampled
from nsi_cli.interpretation.description import Description, describe
from nsi_cli.interpretation.pages.crops import region_around_peak, square_around
from nsi_cli.schema import Schema

Crop = tuple[float, float, float]
"""A square of an image as CSS crops it: zoom, left and top, in percent."""


@dataclass(frozen=True)
class ObjectRow:
    """A primitive of the scene and the slot that it is aligned with."""

    description: Description
    slot: int | None  # None if no slot was left
    score: float
    bar: float  # the score in percent of the scene's highest
    crop: Crop | None  # the region of the slot; None without a slot
    shared: bool  # another primitive picked the same slot
    visible: bool
    inside: bool | None  # whether the slot's peak lies on the object; None without true masks
    iou: float | None


def object_rows(predictions: Predictions, schema: Schema, size: int) -> list[ObjectRow]:
    """The rows of one scene; ``size`` is the side of its image."""
    rows = np.flatnonzero(predictions.present[0]).tolist()
    slots, scores = predictions.aligned_slot[0].tolist(), predictions.aligned_score[0].tolist()
    visible, inside = visible_objects(predictions)[0], peaks_inside(predictions)[0]
    overlap = predictions.overlap(predictions.masks_name)
    ious = None if overlap is None else overlap_ratios(overlap[0])
    picks = Counter(slots[row] for row in rows)
    highest = max([scores[row] for row in rows], default=0)
    masks = upsampled(predictions.masks[0], size)
    found = []
    for row in rows:
        slot = slots[row] if slots[row] >= 0 else None
        found.append(
            ObjectRow(
                description=describe(schema, predictions.primitives[0, row]),
                slot=slot,
                score=scores[row],
                bar=max(0.0, 100 * scores[row] / max(highest, 1e-9)),
                crop=None if slot is None else _crop(region_around_peak(masks[slot])),
                shared=slot is not None and picks[slot] > 1,
                visible=ious is None or bool(visible[row]),
                inside=None if ious is None else bool(inside[row]),
                iou=None if ious is None or slot is None else float(ious[row + 1, slot]),
            )
        )
    return found


def _crop(region: npt.NDArray[np.bool_]) -> Crop:
    """The square around a region (S, S) that is not empty."""
    size = len(region)
    side, *corner = square_around(region)
    left, top = (100 * start / (size - side) if size > side else 0.0 for start in corner)
    return 100 * size / side, left, top
