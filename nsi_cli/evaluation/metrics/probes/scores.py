"""The scores of a probe, with intervals over scenes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.bootstrap import Measured, mean_with_interval, measured, resampled
from nsi_cli.evaluation.predictions import Ints

Numbers = npt.NDArray[np.float64]


def categorical_scores(
    true: Ints, predicted: Ints, scene: Ints, *, seed: int = 0
) -> dict[str, Measured | None]:
    """``accuracy`` and ``macro_f1`` of predicted ids (N,); ``scene`` (N,) is each object's scene.

    The F1 of a value is 2 TP / (2 TP + FP + FN); the macro F1 is its mean over the values that
    occur among the true or the predicted ones.
    """
    hits, objects = _by_scene(np.stack([true == predicted, np.ones_like(true)], 1), scene).T
    ids = np.arange(max(true.max(), predicted.max()) + 1)
    is_true, is_predicted = true[:, None] == ids, predicted[:, None] == ids  # (N, V)
    counts = np.stack([is_true & is_predicted, is_predicted, is_true], 1)  # (N, 3, V)
    return {
        "accuracy": mean_with_interval(hits, objects, share=True, seed=seed),
        "macro_f1": _with_interval(_macro_f1, _by_scene(counts, scene), seed),
    }


def continuous_scores(
    true: Numbers, predicted: Numbers, scene: Ints, *, seed: int = 0
) -> dict[str, Measured | None]:
    """``r2`` and ``mean_error`` of predicted values (N, c); ``scene`` (N,) is each object's scene.

    R² is 1 − Σ (y − ŷ)² / Σ (y − ȳ)², averaged over the components. A component that is constant
    has no R² and is left out; ``r2`` is None if all are constant. The error of an object is the
    Euclidean distance between its true and predicted value, in the dataset's units.
    """
    distance = np.linalg.norm(true - predicted, axis=1)
    errors, objects = _by_scene(np.stack([distance, np.ones_like(distance)], 1), scene).T
    varies = np.ptp(true, axis=0) > 0
    true, predicted = true[:, varies], predicted[:, varies]
    # Sums of squares lose precision if the mean is large, so the values are standardised.
    values, misses = ((true - shift) / true.std(0) for shift in (true.mean(0), predicted))
    sums = np.stack([np.ones_like(values), values, values**2, misses**2], 1)  # (N, 4, c)
    return {
        "r2": _with_interval(_r2, _by_scene(sums, scene), seed) if varies.any() else None,
        "mean_error": mean_with_interval(errors, objects, seed=seed),
    }


def _macro_f1(counts: Numbers) -> Numbers:
    """The macro F1 of counts (R, 3, V): true positives, predicted objects, true objects; (R,)."""
    both = counts[:, 1] + counts[:, 2]  # 2 TP + FP + FN
    scores = np.divide(2 * counts[:, 0], both, out=np.zeros_like(both), where=both > 0)
    return np.asarray(scores.sum(1) / (both > 0).sum(1))


def _r2(sums: Numbers) -> Numbers:
    """R² of sums (R, 4, c): of 1, of y, of y², of (y − ŷ)²; (R,), NaN if no component varies."""
    count, total, squares, misses = np.moveaxis(sums, 1, 0)
    variation = squares - total**2 / count
    varies = variation > 1e-9 * count  # y has variance 1 in the split, so less is rounding
    scores = 1 - np.divide(misses, variation, out=np.zeros_like(misses), where=varies)
    components = varies.sum(1)
    sums_of_scores = np.where(varies, scores, 0).sum(1)
    return np.where(components > 0, sums_of_scores / np.maximum(components, 1), np.nan)


def _by_scene(values: npt.NDArray[np.generic], scene: Ints) -> Numbers:
    """The sums of values (N, …) over the objects of each scene, (scenes, …)."""
    scenes, row = np.unique(scene, return_inverse=True)
    sums = np.zeros((len(scenes), *values.shape[1:]))
    np.add.at(sums, row, values)
    return sums


def _with_interval(score: Callable[[Numbers], Numbers], sums: Numbers, seed: int) -> Measured:
    """A score of the ``sums`` (scenes, …), with its interval over the scenes."""
    flat = sums.reshape(len(sums), -1)
    draws = []
    for rows in resampled(len(sums), seed):
        drawn = rows + np.arange(len(rows))[:, None] * len(sums)
        times = np.bincount(drawn.ravel(), minlength=rows.size).reshape(rows.shape)
        draws.append(score((times @ flat).reshape(len(rows), *sums.shape[1:])))
    return measured(float(score(sums.sum(0)[None])[0]), np.concatenate(draws))
