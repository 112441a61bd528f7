"""Grounding: does the slot that a primitive picks lie on the object that it describes?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.findings import Findings
from nsi_cli.evaluation.intervals import mean_with_interval
from nsi_cli.evaluation.segments import overlap_ratios


class Grounding:
    """Pointing and IoU of each visible object's aligned slot.

    Pointing: the peak of the slot's mask lies inside the object. IoU: the slot's segment with
    the object's mask. Slot masks where the model has a decoder, attention masks otherwise; mean
    over objects, intervals over scenes. Objects without a visible pixel do not count; one that
    no slot was left for is missed.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed
        self._masks = ""
        self._scenes: list[tuple[int, float, float]] = []

    def update(self, findings: Findings) -> None:
        """Add the objects of a batch; scenes without true masks add nothing."""
        self._masks = findings.masks_name
        overlap = findings.overlap(findings.masks_name)
        if overlap is None:
            return
        visible = visible_objects(findings)
        inside = peaks_inside(findings)
        ratios = np.take_along_axis(
            overlap_ratios(overlap)[:, 1 : visible.shape[1] + 1],
            findings.aligned_slot[..., None],
            axis=2,
        )[..., 0] * (findings.aligned_slot >= 0)
        for seen, hits, ious in zip(visible, inside, ratios, strict=True):
            self._scenes.append((int(seen.sum()), float(hits[seen].sum()), float(ious[seen].sum())))

    def compute(self) -> dict[str, Any]:
        """Both metrics, and the name of the masks they were read from."""
        counts, hits, ious = np.array(self._scenes, dtype=float).reshape(-1, 3).T
        return {
            "grounding": {
                "pointing": mean_with_interval(hits, counts, seed=self._seed),
                "iou": mean_with_interval(ious, counts, seed=self._seed),
                "masks": self._masks,
            }
        }


def visible_objects(findings: Findings) -> npt.NDArray[np.bool_]:
    """Which present primitives have at least one pixel in the true masks, (B, T)."""
    if findings.true_masks is None:
        return np.zeros_like(findings.present)
    numbers = np.arange(1, findings.present.shape[1] + 1)
    seen = [np.isin(numbers, mask) for mask in findings.true_masks]
    return findings.present & np.array(seen).reshape(findings.present.shape)


def peak_places(masks: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.int64]:
    """Where each mask (…, h, w) is largest, as pixels (…, 2) of (row, column) at ``size``.

    The peak is a cell of the grid; its centre is taken.
    """
    height, width = masks.shape[-2:]
    peak = masks.reshape(*masks.shape[:-2], -1).argmax(-1)
    row, column = np.divmod(peak, width)
    return np.stack([(2 * row + 1) * size // (2 * height), (2 * column + 1) * size // (2 * width)],
                    axis=-1)  # fmt: skip


def peaks_inside(findings: Findings) -> npt.NDArray[np.bool_]:
    """Whether the peak of each primitive's aligned slot lies on its object, (B, T)."""
    if findings.true_masks is None:
        return np.zeros_like(findings.present)
    peaks = peak_places(findings.masks, findings.true_masks.shape[-1])  # (B, K, 2)
    aligned = np.take_along_axis(peaks, findings.aligned_slot[..., None], axis=1)  # (B, T, 2)
    scene = np.arange(len(findings))[:, None]
    there = findings.true_masks[scene, aligned[..., 0], aligned[..., 1]]  # (B, T)
    numbers = np.arange(1, findings.present.shape[1] + 1)
    return np.asarray(findings.present & (there == numbers) & (findings.aligned_slot >= 0))
