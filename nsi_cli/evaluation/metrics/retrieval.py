"""Retrieval over a whole split: of schemas by image, and of images by schema."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import digamma
from scipy.stats import beta, binom

from nsi_cli.evaluation import DEPTHS
from nsi_cli.evaluation.bootstrap import Measured, mean_with_interval, median_with_interval
from nsi_cli.evaluation.embeddings import SplitEmbeddings
from nsi_cli.evaluation.metrics.metric import Metric
from nsi_cli.evaluation.predictions import DIVERGED, Predictions
from nsi_cli.evaluation.records import Columns
from nsi_cli.support.errors import NsiError

_TILE = 256
"""The most scenes on each side of a tile."""

_CHUNK = 32
"""The most images scored at a time. Their dot products should fit in the cache."""

_INTERVAL = (0.025, 0.975)

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ranks:
    """The rank of the true match of n queries: how many others score higher, and how many alike."""

    higher: Numbers  # (n,)
    alike: Numbers  # (n,)

    @property
    def mean(self) -> Numbers:
        """The rank from 1 (n,); candidates with equal scores share their mean rank."""
        return 1 + self.higher + self.alike / 2

    def expected_recall(self, depth: int) -> Numbers:
        """The probability (n,) of a rank up to ``depth`` if ties are broken at random."""
        return np.clip((depth - self.higher) / (self.alike + 1), 0, 1)

    @property
    def reciprocal(self) -> Numbers:
        """The expected 1 / rank (n,) if ties are broken at random."""
        harmonic = digamma(self.higher + self.alike + 2) - digamma(self.higher + 1)
        return np.asarray(harmonic / (self.alike + 1))


class Retrieval(Metric):
    """Recall, mean reciprocal rank, mean and median rank, in both directions.

    Each scene's only hit is itself. Scenes with equal annotations count as different ones, so a
    split that has some cannot reach 1; their number is given. ``null`` is the level of random
    ranks.
    """

    def __init__(self, *, seed: int = 0, device: str = "cpu") -> None:
        self._seed = seed
        self._embeddings = SplitEmbeddings(device)
        self._objects: list[int] = []
        self._schemas: Counter[tuple[bytes, ...]] = Counter()

    def update(self, predictions: Predictions) -> None:
        """Add the embeddings of a batch."""
        self._embeddings.add(predictions)
        for primitives, present in zip(predictions.primitives, predictions.present, strict=True):
            self._objects.append(int(present.sum()))
            self._schemas[tuple(sorted(row.tobytes() for row in primitives[present]))] += 1

    def compute(self) -> dict[str, Any]:
        """The metrics over all scenes."""
        by_image, by_schema = self._ranks
        return {
            "retrieval": {
                "image_to_schema": self._summary(by_image),
                "schema_to_image": self._summary(by_schema),
                "duplicate_schemas": sum(count for count in self._schemas.values() if count > 1),
            }
        }

    def scenes(self) -> Columns:
        """The rank of each scene in both directions, and whether it is at most k (1 or 0)."""
        by_image, by_schema = self._ranks
        ranks = {"image_to_schema": by_image.mean, "schema_to_image": by_schema.mean}
        return {f"{name}_rank": values for name, values in ranks.items()} | {
            f"{name}_R@{depth}": (values <= depth).astype(float)
            for name, values in ranks.items()
            for depth in DEPTHS
        }

    @cached_property
    def _ranks(self) -> tuple[Ranks, Ranks]:
        return all_ranks(self._embeddings)

    def _summary(self, ranks: Ranks) -> dict[str, Any]:
        count, summary = len(ranks.mean), self._recall(ranks.mean)
        uniform = np.arange(1, count + 1, dtype=float)
        nulls: dict[str, Measured | None] = {
            f"R@{depth}": random_recall(depth, count) for depth in DEPTHS
        }
        for depth in DEPTHS:
            name = f"R@{depth}_expected"
            summary[name] = self._mean(ranks.expected_recall(depth), share=True)
            nulls[name] = nulls[f"R@{depth}"]
        summary["mrr"] = self._mean(ranks.reciprocal, share=True)
        summary["mean_rank"] = self._mean(ranks.mean)
        summary["median_rank"] = median_with_interval(ranks.mean, seed=self._seed) or {}
        nulls["mrr"], nulls["mean_rank"] = self._mean(1 / uniform), self._mean(uniform)
        nulls["median_rank"] = random_median(count)
        result: dict[str, Any] = {
            name: {**measured, "null": nulls[name]} for name, measured in summary.items()
        }
        return {
            **result,
            "ties": int((ranks.alike > 0).sum()),
            "by_objects": self._by_objects(ranks.mean),
        }

    def _recall(self, ranks: Numbers) -> dict[str, Measured]:
        return {f"R@{k}": self._mean((ranks <= k).astype(float), share=True) for k in DEPTHS}

    def _by_objects(self, ranks: Numbers) -> dict[str, dict[str, Any]]:
        """Recall among all scenes of the split, for the queries with each number of objects."""
        objects = np.array(self._objects)
        groups = {str(number): ranks[objects == number] for number in np.unique(objects)}
        return {name: {"scenes": len(own), **self._recall(own)} for name, own in groups.items()}

    def _mean(self, values: Numbers, *, share: bool = False) -> Measured:
        return mean_with_interval(values, share=share, seed=self._seed) or {}


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

    The n × n scores are computed in square tiles and never held at once. All tiles have the same
    shape, and so have the chunks of images in them, so that equal scores are equal to the bit
    (unless dot products depend on their position in a matrix, as in MKL's compatible mode): the
    split is padded with scenes that are not counted. Raises `NsiError` if a scene's own score
    is not finite.
    """
    count = len(embeddings)
    side, chunk = _tile_sides(count, tile)
    padded = embeddings.padded(-(-count // side) * side)
    tiles = [slice(start, start + side) for start in range(0, len(padded), side)]
    diagonal = [padded.scores(padded.slots[part], part, chunk=chunk) for part in tiles]
    own = torch.cat([scores.diagonal() for scores in diagonal])
    if not own.isfinite().all():
        raise NsiError("the model gives scores that are not finite numbers", DIVERGED)
    # By direction and kind: higher or alike.
    counts = torch.zeros(2, 2, len(padded), dtype=torch.int64, device=own.device)
    for rows, true in zip(tiles, diagonal, strict=True):
        for columns in tiles:
            if rows == columns:
                scores = true.fill_diagonal_(-torch.inf)
            else:  # below the floor, a score changes no rank
                floor = torch.minimum(own[rows, None], own[None, columns])
                scores = padded.scores(padded.slots[rows], columns, floor, chunk=chunk)
            scores[max(0, count - rows.start) :] = -torch.inf
            scores[:, max(0, count - columns.start) :] = -torch.inf
            counts[0, :, rows] += _compared(scores, own[rows, None], 1)
            counts[1, :, columns] += _compared(scores, own[None, columns], 0)
    by_image, by_schema = (Ranks(*part.cpu().double().numpy()) for part in counts[..., :count])
    return by_image, by_schema


def _tile_sides(count: int, tile: int) -> tuple[int, int]:
    """The scenes on each side of a tile, at most ``tile``, and the images of a chunk, a divisor."""
    side = -(-count // -(-count // tile))
    chunks = -(-side // _CHUNK)
    chunk = -(-side // chunks)
    return chunks * chunk, chunk


def _compared(scores: torch.Tensor, own: torch.Tensor, axis: int) -> torch.Tensor:
    """How many scores are above the scene's own, and how many equal it, (2, n)."""
    return torch.stack([(scores > own).sum(axis), (scores == own).sum(axis)])
