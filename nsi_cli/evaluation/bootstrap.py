"""95% bootstrap intervals over scenes (percentile method, Efron 1979)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
_MOST_DRAWN = 2_000_000

Numbers = npt.NDArray[Any]
Measured = dict[str, Any]
"""``{"value": v, "ci95": [low, high]}``."""


def mean_with_interval(
    sums: Numbers, counts: Numbers | None = None, *, seed: int = 0
) -> Measured | None:
    """The mean over items grouped by scene: Σ sums / Σ counts, both (n,), one number per scene.

    Without ``counts`` each scene is one item, and a NaN stands for none. Whole scenes are
    resampled, since objects of one scene are not independent. None if there is no item.
    """
    if counts is None:
        counts = (~np.isnan(sums)).astype(np.int64)
        sums = np.nan_to_num(sums)
    if not counts.sum():
        return None
    means = [
        np.divide(over, under, out=np.full(len(over), np.nan), where=under > 0)
        for index in _resampled(len(sums), seed)
        for over, under in [(sums[index].sum(1).astype(float), counts[index].sum(1))]
    ]
    return _measured(float(sums.sum() / counts.sum()), np.concatenate(means))


def null_with_interval(sums: Numbers, counts: Numbers, *, seed: int = 0) -> Measured | None:
    """The chance level of a measure from D repetitions: Σ sums / Σ counts.

    ``sums`` (n, D) hold a number for each scene and repetition; ``counts`` are (n, D), or (n, 1)
    if they are the same in all. The value is the mean of all repetitions. The interval is where
    a single one falls: each sample takes a random repetition and resamples the scenes, so that a
    measure at chance lies inside it 95 times of 100. None if there is nothing to repeat.
    """
    counts = np.broadcast_to(counts, sums.shape)
    if not counts.sum():
        return None
    generator = np.random.default_rng((seed, 1))  # a stream apart from that of the scenes
    means = []
    for index in _resampled(len(sums), seed):
        repetition = generator.integers(sums.shape[1], size=(len(index), 1))
        over, under = (part[index, repetition].sum(1).astype(float) for part in (sums, counts))
        means.append(np.divide(over, under, out=np.full(len(over), np.nan), where=under > 0))
    return _measured(float(sums.sum() / counts.sum()), np.concatenate(means))


def median_with_interval(values: Numbers, *, seed: int = 0) -> Measured | None:
    """The median of values (n,), one per scene; None if there are none."""
    if not len(values):
        return None
    medians = [np.median(values[index], axis=1) for index in _resampled(len(values), seed)]
    return _measured(float(np.median(values)), np.concatenate(medians))


def _resampled(count: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """`RESAMPLES` rows of ``count`` scenes drawn with replacement, a few rows at a time."""
    generator = np.random.default_rng(seed)
    step = max(1, _MOST_DRAWN // count)
    for start in range(0, RESAMPLES, step):
        yield generator.integers(count, size=(min(step, RESAMPLES - start), count))


def _measured(value: float, resampled: Numbers) -> Measured:
    low, high = np.nanpercentile(resampled, (2.5, 97.5))
    return {"value": value, "ci95": [float(low), float(high)]}
