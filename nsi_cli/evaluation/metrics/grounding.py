"""Grounding: does the slot that a primitive picks lie on the object that it describes?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.bootstrap import Numbers, mean_with_interval, null_with_interval
from nsi_cli.evaluation.metrics.metric import Metric
from nsi_cli.evaluation.predictions import Bools, Ints, Predictions
from nsi_cli.evaluation.records import Columns, joined
from nsi_cli.evaluation.segments import overlap_ratios


class Grounding(Metric):
    """Pointing and IoU of each visible object's aligned slot.

    Pointing: the peak of the slot's mask lies inside the object. IoU: that of the slot's segment
    with the object's mask. Both are means over objects, with intervals over scenes, by the masks
    of `Predictions.masks_name`. Objects without a visible pixel do not count; one that got no slot
    is a miss. ``null`` is the same with one fixed slot in place of every aligned one: its value is
    the mean over all slots, and its interval covers models that prefer one slot for every object.
    ``shuffled`` is the same with the slots of a scene's visible objects exchanged among them, each
    object with the next one's; scenes of one visible object do not count there.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed
        self._masks = ""
        self._counts: list[Numbers] = []  # objects of each scene, then those exchanged, (B, 2)
        # Sums over objects: of aligned slots, of exchanged ones, of each slot, (B, 2 + K).
        self._hits: list[Numbers] = []
        self._ious: list[Numbers] = []
        self._objects: list[Columns] = []

    def update(self, predictions: Predictions) -> None:
        """Add the objects of a batch; scenes without true masks add nothing."""
        self._masks = predictions.masks_name
        overlap = predictions.overlap(predictions.masks_name)
        if overlap is None:
            return
        visible = visible_objects(predictions)
        exchanged = _exchanged(predictions.aligned_slot, visible)
        ratios = overlap_ratios(overlap)[:, 1 : visible.shape[1] + 1]  # (B, T, K)
        objects: Columns = {}
        for name, of_slots, sums in (
            ("pointing", peaks_on_objects(predictions), self._hits),
            ("iou", ratios.transpose(0, 2, 1), self._ious),
        ):
            own = _of_slot(of_slots, predictions.aligned_slot) * visible
            others = _of_slot(of_slots, exchanged)
            all_slots = of_slots * (visible & (predictions.aligned_slot >= 0))[:, None]
            sums.append(np.concatenate([own[:, None], others[:, None], all_slots], axis=1).sum(-1))
            objects[name] = np.where(visible, own, np.nan)[predictions.present]
        count = visible.sum(1)
        self._counts.append(np.stack([count, np.where(count > 1, count, 0)], 1))
        self._objects.append(objects)

    def compute(self) -> dict[str, Any]:
        """Both metrics, and the name of the masks that were used."""
        pointing, iou = self._measure(self._hits, share=True), self._measure(self._ious)
        return {"grounding": {"pointing": pointing, "iou": iou, "masks": self._masks}}

    def objects(self) -> Columns:
        """Pointing and IoU of each object; NaN for an invisible one."""
        return joined(self._objects)

    def _measure(self, batches: list[Numbers], *, share: bool = False) -> dict[str, Any] | None:
        if not batches:
            return None
        sums, counts = np.concatenate(batches), np.concatenate(self._counts)
        measured = mean_with_interval(sums[:, 0], counts[:, 0], share=share, seed=self._seed)
        if measured is None:
            return None
        shuffled = mean_with_interval(sums[:, 1], counts[:, 1], share=share, seed=self._seed)
        null = null_with_interval(sums[:, 2:], counts[:, :1], seed=self._seed)
        return {**measured, "null": null, "shuffled": shuffled}


def _of_slot(of_slots: Numbers, slot: Ints) -> Numbers:
    """The value of one slot (B, T) of each primitive, from those of all (B, K, T); 0 if it is −1.

    (B, T).
    """
    return np.take_along_axis(of_slots, slot[:, None], axis=1)[:, 0] * (slot >= 0)


def _exchanged(slot: Ints, visible: Bools) -> Ints:
    """The slot (B, T) of the next visible object of the scene; −1 where there is none."""
    exchanged = np.full_like(slot, -1)
    for row, flags in enumerate(visible):
        (objects,) = np.nonzero(flags)
        if len(objects) > 1:
            exchanged[row, objects] = slot[row, np.roll(objects, -1)]
    return exchanged


def visible_objects(predictions: Predictions) -> Bools:
    """Which present primitives have at least one pixel in the true masks, (B, T)."""
    if predictions.true_masks is None:
        return np.zeros_like(predictions.present)
    numbers = np.arange(1, predictions.present.shape[1] + 1)
    seen = [np.isin(numbers, mask) for mask in predictions.true_masks]
    return predictions.present & np.array(seen).reshape(predictions.present.shape)


def peak_pixels(masks: npt.NDArray[np.float32], size: int) -> Ints:
    """The pixel (row, column) of an image of ``size`` where each mask (…, h, w) is largest, (…, 2).

    It is the centre of the largest cell of the grid.
    """
    height, width = masks.shape[-2:]
    peak = masks.reshape(*masks.shape[:-2], -1).argmax(-1)
    row, column = np.divmod(peak, width)
    pixels = (2 * row + 1) * size // (2 * height), (2 * column + 1) * size // (2 * width)
    return np.stack(pixels, axis=-1)


def peaks_on_objects(predictions: Predictions) -> Bools:
    """Whether the peak of each slot's mask lies on each primitive's object, (B, K, T)."""
    slots, objects = predictions.attention_masks.shape[1], predictions.present.shape[1]
    if predictions.true_masks is None:
        return np.zeros((len(predictions), slots, objects), bool)
    peaks = peak_pixels(predictions.masks, predictions.true_masks.shape[-1])  # (B, K, 2)
    scene = np.arange(len(predictions))[:, None]
    hit = predictions.true_masks[scene, peaks[..., 0], peaks[..., 1]]  # (B, K)
    numbers = np.arange(1, objects + 1)
    return np.asarray(hit[..., None] == numbers)


def peaks_inside(predictions: Predictions) -> Bools:
    """Whether the peak of each primitive's aligned slot lies on its object, (B, T)."""
    return _of_slot(peaks_on_objects(predictions), predictions.aligned_slot).astype(bool)
