"""Candidate primitives: combinations of categorical values, with numbers spread over their ranges.

They fill in the values that a query leaves open, and are the values that a slot may show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Bools, Floats, Ints
from nsi_cli.schema import Continuous, Schema

MOST_COMBINATIONS = 4096
"""All combinations of categorical values are candidates if there are at most this many."""

COMPLETIONS = 16
"""Number of random completions of each partial combination, if there are too many to try all."""

POINTS = 16
"""Number of points of the continuous properties that each combination is tried with."""

OPEN = -1
"""The id of a categorical property that a partial combination leaves open."""

_AT_ONCE = 4096


@dataclass(frozen=True)
class Candidates:
    """M combinations of categorical values, each with P points of the continuous properties."""

    primitives: Floats  # (M, P, W)
    embeddings: Floats  # (M, P, E), each as the only object of a scene
    completions: Sequence[Ints]  # for each partial combination, the rows (n,) that complete it


def has_values(ids: npt.NDArray[Any], partial: Ints) -> Bools:
    """Which ids (…, columns) have all values of a partial combination (columns,), (…)."""
    return np.asarray(((ids == partial) | (partial == OPEN)).all(-1))


def candidates(
    schema: Schema,
    encode: EncodePrimitives,
    partial: Ints,
    *,
    excluded: Sequence[str] = (),
    completions: int = COMPLETIONS,
    seed: int = 0,
) -> Candidates:
    """The candidates of a schema: all combinations, or ``completions`` of each partial one.

    ``partial`` (Q, categorical columns) holds ids, or `OPEN`. The points are the same for every
    combination: a Halton sequence (Halton 1960) over the bounds of the continuous properties.
    ``excluded`` properties, which the encoder does not see, keep a single value.
    """
    ids, rows = _combinations(
        schema, partial, excluded=excluded, completions=completions, seed=seed
    )
    primitives = _with_points(schema, ids)
    embeddings = embed_objects(encode, primitives.reshape(-1, schema.width))
    return Candidates(primitives, embeddings.reshape(*primitives.shape[:2], -1), rows)


def completed(
    schema: Schema,
    partial: Ints,
    numbers: Mapping[int, float],
    *,
    excluded: Sequence[str] = (),
) -> Floats:
    """The primitives (M, P, W) that complete a partial combination (columns,) and some numbers.

    ``numbers`` maps columns of a primitive to values. The rest is chosen as in `candidates`.
    """
    ids, (rows,) = _combinations(
        schema, partial[None], excluded=excluded, completions=COMPLETIONS, seed=0
    )
    primitives = _with_points(schema, ids[rows])
    for column, number in numbers.items():
        primitives[..., column] = number
    return primitives


def _combinations(
    schema: Schema, partial: Ints, *, excluded: Sequence[str], completions: int, seed: int
) -> tuple[Ints, list[Ints]]:
    """All combinations of ids (M, columns), or ``completions`` of each partial one.

    Also returns, for each partial one, the rows that complete it. If there are too many
    combinations to try all, those are the ones drawn for it: others that happen to fit were drawn
    for partial combinations of the data, and would not be random completions.
    """
    sizes = [1 if item.name in excluded else len(item.values) for item in schema.categorical]
    if prod(sizes) <= MOST_COMBINATIONS:
        ids = np.indices(sizes).reshape(len(sizes), prod(sizes)).T
        return ids, [np.flatnonzero(has_values(ids, one)) for one in partial]
    drawn = np.random.default_rng(seed).integers(
        np.array(sizes), size=(len(partial), completions, len(sizes))
    )
    filled = np.where(partial[:, None] == OPEN, drawn, partial[:, None])
    ids, rows = np.unique(filled.reshape(-1, len(sizes)), axis=0, return_inverse=True)
    return ids, [np.unique(own) for own in rows.reshape(len(partial), completions)]


def _with_points(schema: Schema, ids: Ints) -> Floats:
    """Primitives (M, P, W) with each combination of ids (M, columns) and each of the points."""
    points = _points(schema)
    primitives = np.empty((len(ids), len(points), schema.width), np.float32)
    primitives[..., : ids.shape[1]] = ids[:, None]
    primitives[..., ids.shape[1] :] = points
    return primitives


def embed_objects(encode: EncodePrimitives, primitives: Floats) -> Floats:
    """Embed primitives (n, W), each as the only object of a scene, (n, E)."""
    return np.concatenate(
        [
            encode(rows[:, None], np.ones((len(rows), 1), bool))[:, 0]
            for start in range(0, max(1, len(primitives)), _AT_ONCE)
            for rows in (primitives[start : start + _AT_ONCE],)
        ]
    )


def _points(schema: Schema) -> Floats:
    """Values of the continuous properties within their bounds, (P, columns)."""
    low, high = (
        np.array([bound for item in schema.continuous for bound in getattr(item, side)])
        for side in ("lows", "highs")
    )
    if not len(low):
        return np.zeros((1, 0), np.float32)
    points = qmc.Halton(len(low), scramble=False).random(POINTS + 1)[1:]  # the first is a corner
    return np.asarray(low + points * (high - low), np.float32)


def with_range(schema: Schema, primitives: Floats) -> Schema:
    """The schema, with the range of the values in ``primitives`` (n, W) as its bounds.

    The bounds of a schema can be much wider than the values of its dataset. A model has only
    learned to embed values like those of the dataset, and other values can score higher than the
    true ones. A component without a value keeps its bounds.
    """
    lows, highs = (
        end.reduce(primitives, axis=0, initial=np.nan).astype(float) for end in (np.fmin, np.fmax)
    )
    return Schema(
        tuple(
            _bounded(item, lows[schema.columns[item.name]], highs[schema.columns[item.name]])
            if isinstance(item, Continuous)
            else item
            for item in schema.properties
        ),
        schema.max_objects,
    )


def _bounded(
    item: Continuous, lows: npt.NDArray[np.float64], highs: npt.NDArray[np.float64]
) -> Continuous:
    """The property with new bounds, except where they are NaN; a range of one value is widened."""
    known = ~np.isnan(lows)
    highs = np.maximum(highs, np.nextafter(lows, np.inf, dtype=np.float32))
    low, high = np.where(known, lows, item.lows), np.where(known, highs, item.highs)
    return replace(item, low=tuple(low.tolist()), high=tuple(high.tolist()))
