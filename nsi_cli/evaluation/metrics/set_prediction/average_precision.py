"""Average precision of detections over a split, with an interval over scenes and a null.

The definition is that of the evaluation code of Locatello et al. 2020 (``average_precision_clevr``
in google-research/slot_attention).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.bootstrap import Measured, measured, resampled
from nsi_cli.evaluation.predictions import Bools, Ints

Numbers = npt.NDArray[Any]

_MAX_NUMBERS = 2**22  # maximum number of weights of detections held at once


@dataclass(frozen=True)
class Detections:
    """The D detections of all scenes, highest confidence first."""

    scene: Ints  # (D,)
    correct: Bools  # (D,)


def detections(confidence: Numbers, distance: Numbers, threshold: float) -> Detections:
    """Decide which detections are correct, from ``confidence`` (N, K) and ``distance`` (N, K, T).

    ``distance`` is that of each of K detections to each of T objects of the same scene, infinite
    if they do not match. A detection is correct if its nearest object is nearer than ``threshold``
    and no correct detection with a higher confidence has the same nearest object. Only the nearest
    object counts, even if a second one is near enough. Equal confidences keep the order of scenes,
    then of detections.

    >>> detections(np.array([[0.2, 0.9]]), np.array([[[0.0], [0.5]]]), 1.0).correct.tolist()
    [True, False]
    """
    scenes, slots, objects = distance.shape
    order = np.argsort(-confidence.ravel(), kind="stable")
    scene = np.repeat(np.arange(scenes), slots)[order]
    nearest = distance.argmin(-1).ravel()[order]
    near = np.flatnonzero(distance.min(-1).ravel()[order] < threshold)
    _, first = np.unique((scene * objects + nearest)[near], return_index=True)
    correct = np.zeros(len(scene), bool)
    correct[near[first]] = True
    return Detections(scene, correct)


def average_precision(found: Detections, objects: Ints, weights: Ints) -> Numbers:
    """The average precision (R,) if scene i counts ``weights[:, i]`` times, with weights (R, N).

    ``objects`` (N,) is the number of objects of each scene. Precision at a recall is the highest
    precision at this recall or a higher one; the average is over recall, from 0 to 1. It is NaN if
    there is no object. Copies of a scene count as different scenes.
    """
    step = max(1, _MAX_NUMBERS // max(1, len(found.scene)))
    parts = [
        _average_precision(found, objects, weights[row : row + step])
        for row in range(0, max(1, len(weights)), step)
    ]
    return np.concatenate(parts)


def _average_precision(found: Detections, objects: Ints, weights: Ints) -> Numbers:
    """The same for weights that fit into memory.

    Precision only rises at a correct detection, so the other positions are not needed.
    """
    seen = weights[:, found.scene].cumsum(1)[:, found.correct]  # (R, correct ones)
    own = weights[:, found.scene[found.correct]]
    precision = np.divide(own.cumsum(1), seen, out=np.zeros(seen.shape), where=seen > 0)
    highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    total = weights @ objects
    average: Numbers = np.divide(
        (highest * own).sum(1), total, out=np.full(len(weights), np.nan), where=total > 0
    )
    return average


def precision_with_interval(
    found: Detections, others: Sequence[Detections], objects: Ints, *, seed: int = 0
) -> Measured | None:
    """The average precision, its interval over scenes, and its null; None without an object.

    The null is the average precision of ``others``, D repetitions of the detections at chance. Its
    value is their mean, and its interval covers a single repetition, as in `null_with_interval`.
    The null is None without a repetition.
    """
    if not objects.sum():
        return None
    everything = np.ones((1, len(objects)), np.int64)
    generator = np.random.default_rng((seed, 1))  # not the stream that draws the scenes
    draws, null_draws = [], []
    for rows in resampled(len(objects), seed):
        weights = _weights(rows)
        draws.append(average_precision(found, objects, weights))
        repetition = generator.integers(max(1, len(others)), size=len(rows))
        null_draws += [
            average_precision(other, objects, weights[repetition == number])
            for number, other in enumerate(others)
        ]
    value = average_precision(found, objects, everything).item()
    values = [average_precision(other, objects, everything).item() for other in others]
    null = measured(float(np.mean(values)), np.concatenate(null_draws)) if others else None
    return {**measured(value, np.concatenate(draws)), "null": null}


def _weights(rows: Ints) -> Ints:
    """How often each of N scenes is among the ``rows`` (R, N) of each resample, (R, N)."""
    count, scenes = rows.shape
    cells = rows + scenes * np.arange(count)[:, None]
    return np.bincount(cells.ravel(), minlength=rows.size).reshape(count, scenes)
