"""Read-outs compared with the objects of a scene: differences, matches, and their measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from nsi_cli.evaluation.bootstrap import mean_with_interval, null_with_interval
from nsi_cli.evaluation.predictions import Bools, Bytes, Floats, Ints
from nsi_cli.evaluation.segments import contingency, overlap_ratios
from nsi_cli.schema import Categorical, Property, Schema

SPAN = 6.0
"""The distance between the bounds of a component, whatever its unit; it is 6 in CLEVR."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Matches:
    """The read-out that each of T objects of N scenes is matched with."""

    primitives: Floats  # (N, T, W)
    matched: Bools  # (N, T), which objects have a read-out


def differences(
    read: Floats, objects: Floats, schema: Schema, properties: Sequence[Property]
) -> tuple[Ints, Numbers]:
    """Compare read-outs (N, K, W) with objects (N, T, W) in the given ``properties``.

    Returns the number of wrong categorical values (N, K, T), and the Euclidean distance (N, K, T)
    over all components of the continuous properties, scaled so that the bounds of a component are
    `SPAN` apart. A missing value of an object is not wrong, and its distance is 0.
    """
    shape = (*read.shape[:2], objects.shape[1])
    wrong, squares = np.zeros(shape, np.int64), np.zeros(shape)
    for item in properties:
        columns = schema.columns[item.name]
        own, true = read[:, :, None, columns], objects[:, None, :, columns]
        if isinstance(item, Categorical):
            wrong += ((own != true) & (true >= 0))[..., 0]
        else:
            scale = SPAN / (np.array(item.highs) - np.array(item.lows))
            squares += (np.nan_to_num((own.astype(float) - true) * scale) ** 2).sum(-1)
    return wrong, np.sqrt(squares)


def mask_ious(true_masks: Bytes, segments: Bytes, *, slots: int, objects: int) -> Numbers:
    """The IoU of each slot's segment with each object's true mask, (N, K, T).

    ``true_masks`` and ``segments`` are (N, S, S). One scene at a time, to save memory.
    """
    ious = np.empty((len(segments), slots, objects))
    for row in range(len(segments)):
        true, predicted = true_masks[row : row + 1], segments[row : row + 1]
        overlap = contingency(true, predicted, objects=objects, slots=slots)
        ious[row] = overlap_ratios(overlap)[0, 1 : objects + 1].T
    return ious


def match(read: Floats, cost: Numbers, counted: Bools, *, limit: float = np.inf) -> Matches:
    """Match read-outs (N, K, W) one to one with the ``counted`` (N, T) objects.

    The total of ``cost`` (N, K, T) is the lowest possible (Kuhn 1955). A pair whose cost is
    not below ``limit`` is not a match.
    """
    primitives = np.zeros((*counted.shape, read.shape[-1]), np.float32)
    matched = np.zeros_like(counted)
    for scene, objects in enumerate(map(np.flatnonzero, counted)):
        slots, columns = linear_sum_assignment(cost[scene][:, objects])
        good = cost[scene, slots, objects[columns]] < limit
        slots, objects = slots[good], objects[columns[good]]
        primitives[scene, objects] = read[scene, slots]
        matched[scene, objects] = True
    return Matches(primitives, matched)


def measure(
    item: Property,
    columns: slice,
    objects: Floats,
    counted: Bools,
    versions: Sequence[Matches],
    *,
    seed: int,
) -> dict[str, Any] | None:
    """The accuracy or the mean error of a property of objects (N, T, W), with interval and null.

    The accuracy of a categorical property is the share of ``counted`` (N, T) objects whose match
    has the correct value; an object without a match counts as wrong. The error of a continuous
    property is the Euclidean distance from the true value in the dataset's units, averaged over
    objects with a match. The first of the ``versions`` of matches is measured; the others give the
    null. An object without a value is skipped. Returns None if no object is left.
    """
    true = objects[..., columns]
    categorical = isinstance(item, Categorical)
    sums, counts = [], []
    for found in versions:
        own = found.primitives[..., columns]
        if categorical:
            known = counted & (true[..., 0] >= 0)
            values = (own == true)[..., 0] & found.matched
        else:
            known = counted & found.matched & ~np.isnan(true).any(-1)
            values = np.linalg.norm(own.astype(float) - true, axis=-1)
        sums.append(np.where(known, values, 0.0).sum(1))
        counts.append(known.sum(1))
    measured = mean_with_interval(sums[0], counts[0], share=categorical, seed=seed)
    if measured is None:
        return None
    others = [np.array(numbers[1:]).reshape(-1, len(objects)).T for numbers in (sums, counts)]
    null = null_with_interval(*others, seed=seed)
    return {**measured, "null": null, "measure": "accuracy" if categorical else "error"}
