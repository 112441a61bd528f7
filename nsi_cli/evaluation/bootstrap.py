"""95% bootstrap intervals over scenes (percentile method, Efron 1979)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
_Z = 1.959964  # the normal distribution is within ±_Z in 95 % of draws
_CHUNK = 2_000_000  # indices drawn at once

Numbers = npt.NDArray[Any]
Measured = dict[str, Any]
"""``{"value": v, "ci95": [low, high]}``."""


def mean_with_interval(
    sums: Numbers, counts: Numbers | None = None, *, share: bool = False, seed: int = 0
) -> Measured | None:
    """The mean over items grouped by scene: Σ sums / Σ counts, both (n,), one number per scene.

    Without ``counts`` each scene is one item, and NaN is a scene without one. Whole scenes are
    resampled, since objects of one scene are not independent. A ``share`` of exactly 0 or 1, which
    resampling cannot vary, gets the interval of Wilson (1927) for as many trials as there are
    scenes with an item. Returns None if there is no item.
    """
    if counts is None:
        counts = (~np.isnan(sums)).astype(np.int64)
        sums = np.nan_to_num(sums)
    if not counts.sum():
        return None
    value = float(sums.sum() / counts.sum())
    if share and value in (0, 1):
        miss = _Z**2 / (int((counts > 0).sum()) + _Z**2)
        return {"value": value, "ci95": [1 - miss, 1.0] if value else [0.0, miss]}
    means = [ratios(sums[rows], counts[rows]) for rows in resampled(len(sums), seed)]
    return measured(value, np.concatenate(means))


def null_with_interval(sums: Numbers, counts: Numbers, *, seed: int = 0) -> Measured | None:
    """The chance level of a measure from D repetitions: Σ sums / Σ counts.

    ``sums`` (n, D) has a number for each scene and repetition; ``counts`` is (n, D), or (n, 1) if
    it is the same for all repetitions. The value is the mean of all repetitions. The interval
    covers a single one: each resample takes a random repetition of randomly drawn scenes, so a
    measure at chance lies inside it 95 times out of 100. Returns None if there is no item.
    """
    counts = np.broadcast_to(counts, sums.shape)
    if not counts.sum():
        return None
    generator = np.random.default_rng((seed, 1))  # not the stream that draws the scenes
    means = []
    for rows in resampled(len(sums), seed):
        repetition = generator.integers(sums.shape[1], size=(len(rows), 1))
        means.append(ratios(sums[rows, repetition], counts[rows, repetition]))
    return measured(float(sums.sum() / counts.sum()), np.concatenate(means))


def median_with_interval(values: Numbers, *, seed: int = 0) -> Measured | None:
    """The median of values (n,), one per scene; None without scenes."""
    if not len(values):
        return None
    medians = [np.median(values[rows], axis=1) for rows in resampled(len(values), seed)]
    return measured(float(np.median(values)), np.concatenate(medians))


def resampled(count: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield `RESAMPLES` draws of ``count`` scenes with replacement, in chunks of rows."""
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // count)
    for start in range(0, RESAMPLES, step):
        yield generator.integers(count, size=(min(step, RESAMPLES - start), count))


def ratios(sums: Numbers, counts: Numbers) -> Numbers:
    """Σ sums / Σ counts of each resample (R, n), (R,); NaN if it has no item."""
    total, count = sums.sum(1).astype(float), counts.sum(1)
    ratios: Numbers = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return ratios


def measured(value: float, draws: Numbers) -> Measured:
    """A value with the interval that holds 95 % of the draws (R,) of its bootstrap."""
    low, high = np.nanpercentile(draws, (2.5, 97.5))
    return {"value": value, "ci95": [float(low), float(high)]}
