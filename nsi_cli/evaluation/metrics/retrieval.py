"""Retrieval over a whole split: of schemas by image, and of images by schema."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import beta, binom

from nsi_cli.evaluation.bootstrap import Measured, mean_with_interval, median_with_interval
from nsi_cli.evaluation.embeddings import SplitEmbeddings
from nsi_cli.evaluation.predictions import Predictions

DEPTHS = (1, 5, 10)
_TILE = 256
_INTERVAL = (0.025, 0.975)

Ranks = npt.NDArray[np.float64]


class Retrieval:
    """R@1, R@5, R@10 and the median rank, in both directions.

    Each scene's only hit is itself. Scenes with equal annotations count as different ones, so a
    split that has some cannot reach 1. ``null`` is the level of random ranks.
    """

    def __init__(self, *, seed: int = 0, device: str = "cpu") -> None:
        self._seed = seed
        self._embeddings = SplitEmbeddings(device)

    def update(self, predictions: Predictions) -> None:
        """Add the embeddings of a batch."""
        self._embeddings.add(predictions)

    def compute(self) -> dict[str, Any]:
        """The metrics over all scenes."""
        by_image, by_schema = all_ranks(self._embeddings)
        return {
            "retrieval": {
                "image_to_schema": self._summary(by_image),
                "schema_to_image": self._summary(by_schema),
            }
        }

    def _summary(self, ranks: Ranks) -> dict[str, Any]:
        count = len(ranks)
        summary = {}
        for depth in DEPTHS:
            recall = mean_with_interval((ranks <= depth).astype(float), seed=self._seed)
            summary[f"R@{depth}"] = {**(recall or {}), "null": random_recall(depth, count)}
        median = median_with_interval(ranks, seed=self._seed)
        return {**summary, "median_rank": {**(median or {}), "null": random_median(count)}}


def random_recall(depth: int, count: int) -> Measured:
    """R@``depth`` of ``count`` uniform random ranks from 1 to ``count``: binomial."""
    share = min(1.0, depth / count)
    low, high = binom.ppf(_INTERVAL, count, share) / count
    return {"value": share, "ci95": [float(low), float(high)]}


def random_median(count: int) -> Measured:
    """The median of ``count`` uniform random ranks from 1 to ``count``.

    The interval takes ranks as continuous; their median then follows a beta distribution.
    """
    half = (count + 1) / 2
    low, high = np.clip(0.5 + count * beta.ppf(_INTERVAL, half, half), 1, count)
    return {"value": half, "ci95": [float(low), float(high)]}


def all_ranks(embeddings: SplitEmbeddings, tile: int = _TILE) -> tuple[Ranks, Ranks]:
    """The ranks of each image's schema among all schemas, and of each schema's image; from 1.

    Equal scores share their mean rank, so a model that scores everything alike ranks in the middle,
    never first. The n × n scores are computed in square tiles and never held at once. A scene's own
    score comes from a tile of the same shape, so that equal scores are equal to the bit.
    """
    count = len(embeddings)
    tiles = [slice(start, min(start + tile, count)) for start in range(0, count, tile)]
    own = torch.cat([embeddings.scores(embeddings.slots[part], part).diagonal() for part in tiles])
    by_image, by_schema = torch.ones_like(own), torch.ones_like(own)
    for rows in tiles:
        for columns in tiles:
            scores = embeddings.scores(embeddings.slots[rows], columns)
            if rows == columns:
                scores.fill_diagonal_(-torch.inf)
            by_image[rows] += _ahead(scores, own[rows, None]).sum(1)
            by_schema[columns] += _ahead(scores, own[None, columns]).sum(0)
    return by_image.cpu().double().numpy(), by_schema.cpu().double().numpy()


def _ahead(scores: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """1 for each score above the scene's own, ½ for each equal to it."""
    return (scores > own).float() + (scores == own).float() / 2
