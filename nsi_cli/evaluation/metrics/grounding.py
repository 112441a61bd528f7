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
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed
        self._masks = ""
        self._counts: list[Numbers] = []  # objects of each scene, (B, 1)
        self._hits: list[Numbers] = []  # sums over objects: of aligned slots, then of each slot
        self._ious: list[Numbers] = []  # the same, (B, 1 + K)
        self._objects: list[Columns] = []

    def update(self, predictions: Predictions) -> None:
        """Add the objects of a batch; scenes without true masks add nothing."""
        self._masks = predictions.masks_name
        overlap = predictions.overlap(predictions.masks_name)
        if overlap is None:
            return
        visible = visible_objects(predictions)
        counted = visible & (predictions.aligned_slot >= 0)
        ratios = overlap_ratios(overlap)[:, 1 : visible.shape[1] + 1]  # (B, T, K)
        objects: Columns = {}
        for name, of_slots, sums in (
            ("pointing", peaks_on_objects(predictions), self._hits),
            ("iou", ratios.transpose(0, 2, 1), self._ious),
        ):
            own = _of_aligned(of_slots, predictions)
            both = np.concatenate([own[:, None], of_slots], axis=1) * counted[:, None]
            sums.append(both.sum(-1))
            objects[name] = np.where(visible, both[:, 0], np.nan)[predictions.present]
        self._counts.append(visible.sum(1, keepdims=True))
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
        null = null_with_interval(sums[:, 1:], counts, seed=self._seed)
        return None if measured is None else {**measured, "null": null}


def _of_aligned(of_slots: Numbers, predictions: Predictions) -> Numbers:
    """The values of each primitive's aligned slot, (B, T), from those of all slots (B, K, T)."""
    return np.take_along_axis(of_slots, predictions.aligned_slot[:, None], axis=1)[:, 0]


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
    inside = _of_aligned(peaks_on_objects(predictions), predictions)
    return np.asarray(inside & (predictions.aligned_slot >= 0))
