"""The segmentation baseline: k-means on the backbone's appearance features."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

from nsi_cli.evaluation.metrics.metric import Metric
from nsi_cli.evaluation.metrics.segmentation import SegmentScores
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.records import Columns
from nsi_cli.evaluation.segments import contingency, segments
from nsi_cli.support.threads import available_cores

_STARTS = 2


class KMeansSegmentation(Metric):
    """The segmentation metrics of k-means with as many clusters as slots.

    The features exclude position: with it, any compact clusters reach a high FG-ARI. Clustering is
    slow, so it can be restricted to the scenes with the indices ``sample``.
    """

    def __init__(self, *, seed: int = 0, sample: Container[int] | None = None) -> None:
        self._seed, self._sample = seed, sample
        self._scores = SegmentScores(seed)
        self._used: list[npt.NDArray[np.bool_]] = []  # which scenes were clustered

    def update(self, predictions: Predictions) -> None:
        """Add a batch; scenes without tokens or true masks add nothing."""
        index = predictions.index.tolist()
        used = np.array([self._sample is None or scene in self._sample for scene in index])
        self._used.append(used)
        predictions = predictions.take(np.flatnonzero(used).tolist())
        if predictions.tokens is None or predictions.true_masks is None or not len(predictions):
            return
        slots = predictions.attention_masks.shape[1]
        tokens = predictions.tokens[..., predictions.appearance]
        masks = kmeans_masks(tokens, slots, predictions.index, self._seed)
        predicted = segments(masks, predictions.true_masks.shape[-1])
        objects = predictions.present.shape[1]
        self._scores.add(
            contingency(predictions.true_masks, predicted, objects=objects, slots=slots)
        )

    def compute(self) -> dict[str, Any]:
        """The metrics, as another kind of masks; empty without tokens or true masks."""
        means = self._scores.means()
        if means is None:
            return {}
        return {"segmentation": {"kmeans": {**means, "scenes": len(self._scores)}}}

    def scenes(self) -> Columns:
        """The metrics of each image; NaN for one that is not in the sample."""
        used = np.concatenate(self._used)
        columns = {}
        for name, column in self._scores.columns().items():
            spread = columns[f"kmeans_{name}"] = np.full(len(used), np.nan)
            spread[used] = column
        return columns


def sampled_scenes(count: int, most: int, seed: int = 0) -> list[int] | None:
    """``most`` of ``count`` scene indices, drawn by the seed; None, for all, if they suffice."""
    if count <= most:
        return None
    chosen = np.random.default_rng((seed, count)).choice(count, most, replace=False)
    return sorted(chosen.tolist())


def kmeans_masks(
    tokens: npt.NDArray[np.float32], slots: int, index: Iterable[int], seed: int
) -> npt.NDArray[np.float32]:
    """Tokens (B, h, w, C) in ``slots`` clusters, as masks (B, slots, h, w) of zeros and ones.

    Each scene's random state depends on ``seed`` and its ``index`` only, so its clusters do not
    depend on its batch.
    """
    states = [np.random.SeedSequence((seed, int(number))).generate_state(1)[0] for number in index]
    with (
        warnings.catch_warnings(),
        threadpool_limits(1),
        ThreadPoolExecutor(available_cores()) as pool,
    ):
        warnings.simplefilter("ignore")  # about fewer distinct tokens than clusters
        labels = list(pool.map(partial(_clustered, slots), tokens, states))
    return np.stack([label == np.arange(slots)[:, None, None] for label in labels]).astype(
        np.float32
    )


def _clustered(
    slots: int, tokens: npt.NDArray[np.float32], state: np.uint32
) -> npt.NDArray[np.int32]:
    """The cluster of each token of one scene, (h, w)."""
    from sklearn.cluster import KMeans

    flat = tokens.reshape(-1, tokens.shape[-1])
    if len(flat) < slots:  # each token is its own cluster
        return np.arange(len(flat), dtype=np.int32).reshape(tokens.shape[:2])
    means = KMeans(slots, n_init=_STARTS, random_state=int(state))
    labels: npt.NDArray[np.int32] = means.fit_predict(flat)
    return labels.reshape(tokens.shape[:2])
