"""Where every slot of a split lies, and what it lies on: small enough to keep for all scenes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.metrics.grounding import peak_pixels
from nsi_cli.evaluation.predictions import Predictions

_PEAK_SCALE = 1000


@dataclass(frozen=True)
class SlotRecords:
    """Collects the peaks and the objects of all slots, in the order of prediction.

    The object of a slot is the one that covers the largest part of its segment. A slot of which the
    background covers the largest part has none. Without true masks it is the object that aligns
    with the slot; of several, the one with the highest score.
    """

    _peaks: list[npt.NDArray[np.uint16]] = field(default_factory=list)
    _objects: list[npt.NDArray[np.int16]] = field(default_factory=list)

    def add(self, predictions: Predictions) -> None:
        """Add the slots of a batch."""
        self._peaks.append(peak_pixels(predictions.masks, _PEAK_SCALE).astype(np.uint16))
        self._objects.append(objects_of_slots(predictions))

    @property
    def peaks(self) -> npt.NDArray[np.float64]:
        """The peak (row, column) of each slot's mask, as a share of the image's side, (n, K, 2)."""
        return np.concatenate(self._peaks) / _PEAK_SCALE

    @property
    def objects(self) -> npt.NDArray[np.int16]:
        """The row of each slot's object in its scene's annotation, −1 for none, (n, K)."""
        return np.concatenate(self._objects)


def objects_of_slots(predictions: Predictions) -> npt.NDArray[np.int16]:
    """The row of the object that each slot lies on, −1 for none, (B, K); see `SlotRecords`."""
    overlap = predictions.overlap(predictions.masks_name)
    if overlap is not None:  # (B, 1 + T, K), the background first; an empty segment is on none
        return np.asarray(overlap.argmax(1) - 1, np.int16)
    objects = np.full(predictions.slot_embeddings.shape[:2], -1, np.int16)
    scores = np.where(predictions.present, predictions.aligned_score, -np.inf)
    for scene, rows in enumerate(np.argsort(scores, axis=1)):  # the highest score is written last
        for row in rows[predictions.present[scene, rows]].tolist():
            if predictions.aligned_slot[scene, row] >= 0:
                objects[scene, predictions.aligned_slot[scene, row]] = row
    return objects
