"""Segmentation: the agreement of slots with true segments; docs/metrics.md defines it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.bootstrap import mean_with_interval
from nsi_cli.evaluation.metrics.mean_iou import MEAN_IOUS, mean_ious
from nsi_cli.evaluation.metrics.metric import Metric
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.records import Columns
from nsi_cli.evaluation.segments import overlap_ratios

Overlap = npt.NDArray[np.int64]
PerImage = npt.NDArray[np.float64]

NAMES = ("ari", "fg_ari", "mbo", *MEAN_IOUS, "slots_used")
"""The metrics of each kind of masks."""


class Segmentation(Metric):
    """The metrics of `NAMES` for the slot masks and for the attention masks."""

    def __init__(self, *, seed: int = 0) -> None:
        self._scores = {name: SegmentScores(seed) for name in ("slot_masks", "attention_masks")}

    def update(self, predictions: Predictions) -> None:
        """Add a batch; missing masks add nothing."""
        for name, scores in self._scores.items():
            scores.add(predictions.overlap(name))

    def compute(self) -> dict[str, Any]:
        """The metrics of both kinds of masks; None for a kind that is missing."""
        return {"segmentation": {name: scores.means() for name, scores in self._scores.items()}}

    def scenes(self) -> Columns:
        """The metrics of each image."""
        return {
            f"{masks}_{name}": column
            for masks, scores in self._scores.items()
            for name, column in scores.columns().items()
        }


class SegmentScores:
    """Collects the metrics of each image, and averages them over images."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._images: list[PerImage] = []

    def add(self, overlap: Overlap | None) -> None:
        """Add the images of an overlap table (B, M, K); None adds nothing."""
        if overlap is not None:
            of_images = (
                adjusted_rand_index(overlap),
                adjusted_rand_index(overlap[:, 1:]),
                mean_best_overlap(overlap),
            )
            used = (overlap.sum(1) > 0).sum(1)
            self._images.append(np.column_stack([*of_images, mean_ious(overlap), used]))

    def __len__(self) -> int:
        return sum(map(len, self._images))

    def means(self) -> dict[str, Any] | None:
        """The metrics by their `NAMES`, or None without images."""
        columns = self.columns().items()
        means = {name: mean_with_interval(column, seed=self._seed) for name, column in columns}
        return means or None

    def columns(self) -> Columns:
        """The metrics of each image by their `NAMES`; empty without images."""
        if not self._images:
            return {}
        return dict(zip(NAMES, np.concatenate(self._images).T, strict=True))


def adjusted_rand_index(overlap: Overlap) -> PerImage:
    """The ARI of each overlap table (B, M, K) (Hubert & Arabie 1985), (B,).

    1 if its denominator is 0, as with a single segment on both sides or without a pixel. Without
    the background's row it is the FG-ARI, which is 1 for a scene without objects.
    """
    pixels = overlap.sum((1, 2))
    together = _pairs(overlap).sum((1, 2))
    true, predicted = _pairs(overlap.sum(2)).sum(1), _pairs(overlap.sum(1)).sum(1)
    by_chance = np.divide(
        true * predicted, _pairs(pixels), out=np.zeros(len(overlap)), where=pixels > 1
    )
    span = (true + predicted) / 2 - by_chance
    ari: PerImage = np.divide(together - by_chance, span, out=np.ones(len(overlap)), where=span > 0)
    return ari


def mean_best_overlap(overlap: Overlap) -> PerImage:
    """The best IoU of each true object with any predicted segment, averaged over objects, (B,).

    The background and objects without a pixel do not count; NaN if no object remains.
    """
    best = overlap_ratios(overlap).max(2)[:, 1:]
    visible = overlap.sum(2)[:, 1:] > 0
    count = visible.sum(1)
    means: PerImage = np.divide(
        (best * visible).sum(1), count, out=np.full(len(overlap), np.nan), where=count > 0
    )
    return means


def _pairs(count: npt.NDArray[np.int64]) -> PerImage:
    """The number of pairs of ``count`` pixels."""
    return np.asarray(count * (count - 1.0) / 2)
