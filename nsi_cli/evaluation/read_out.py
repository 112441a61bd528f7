"""Read-out: the primitive that scores highest with a slot.

No probe is trained: the schema encoder embeds primitives, and a search finds the one whose
dot product with the slot is highest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nsi_cli.evaluation.candidates import (
    COMPLETIONS,
    MOST_COMBINATIONS,
    OPEN,
    Candidates,
    candidates,
    embed_objects,
)
from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Floats
from nsi_cli.schema import Schema

SWEEPS = 3
"""Number of times that the search goes over all columns of a primitive."""

GRID = 9
"""Number of values of a continuous component that a sweep tries."""

SHRINK = 4
"""Factor by which the spacing of these values is divided after each sweep."""

MOST_VALUES = 16
"""Maximum number of values of a categorical property that a sweep tries."""

_MAX_FLOATS = 2**24  # maximum number of scores, or of floats in embeddings, held at once


class ReadOut(NamedTuple):
    """The read-outs of n slots, and their scores with the slots."""

    primitives: Floats  # (n, W), without missing values
    scores: Floats  # (n,), dot products


@dataclass(frozen=True)
class _Space:
    """Where a search starts, and what it tries."""

    start: Candidates
    effects: dict[int, Floats]  # (V, E), of the values of each categorical column
    components: dict[int, tuple[float, float]]  # the bounds of each continuous column


def read_out(
    slots: Floats,
    schema: Schema,
    encode: EncodePrimitives,
    *,
    excluded: Sequence[str] = (),
    seed: int = 0,
    start: Candidates | None = None,
) -> ReadOut:
    """Find the primitive that scores highest with each of ``slots`` (n, E).

    A primitive is embedded as the only object of a scene. The search starts from the best of the
    `candidates` and makes `SWEEPS` sweeps over the columns of a primitive, first the continuous
    ones, then the categorical ones. For each column, it tries several values, with the other
    columns fixed, and keeps the best one if it scores higher:

    - continuous: `GRID` values from the lower to the upper bound; in later sweeps, as many values
      around the current one, within the bounds. Each sweep divides the spacing by `SHRINK`.
    - categorical: all values. If there are more than `MOST_VALUES`, only those that score highest
      with the slot, on average over the candidates, after subtracting the mean effect of the other
      properties.

    ``excluded`` properties, which the encoder does not see, keep the candidate's value. ``seed``
    is used to draw candidates if a schema has too many combinations to try all. ``start`` is the
    result of `value_candidates`, if it is already known. The bounds of a schema can be much wider
    than the values of a dataset; see `candidates.with_range`.
    """
    if not len(slots):
        return ReadOut(np.zeros((0, schema.width), np.float32), np.zeros(0, np.float32))
    space = _space(schema, encode, excluded, seed, start)
    combinations, points, width = space.start.embeddings.shape
    step = max(1, _MAX_FLOATS // max(combinations * points, max(GRID, MOST_VALUES) * width))
    found = [_search(slots[row : row + step], space, encode) for row in range(0, len(slots), step)]
    return ReadOut(*map(np.concatenate, zip(*found, strict=True)))


def _space(
    schema: Schema,
    encode: EncodePrimitives,
    excluded: Sequence[str],
    seed: int,
    start: Candidates | None,
) -> _Space:
    if start is None:
        start = value_candidates(schema, encode, excluded=excluded, seed=seed)
    effects = _main_effects(start, [len(item.values) for item in schema.categorical])
    columns = [i for i, item in enumerate(schema.categorical) if item.name not in excluded]
    components = {
        schema.columns[item.name].start + number: bounds
        for item in schema.continuous
        if item.name not in excluded
        for number, bounds in enumerate(zip(item.lows, item.highs, strict=True))
    }
    return _Space(start, {column: effects[column] for column in columns}, components)


def value_candidates(
    schema: Schema, encode: EncodePrimitives, *, excluded: Sequence[str] = (), seed: int = 0
) -> Candidates:
    """Candidates with each value of each categorical property.

    All combinations, if there are at most `MOST_COMBINATIONS`. Otherwise, each value with up to
    `COMPLETIONS` random combinations of the other values: as many as `MOST_COMBINATIONS` allows,
    but at least one.
    """
    single = [
        np.where(np.arange(len(schema.categorical)) == column, value, OPEN)
        for column, item in enumerate(schema.categorical)
        if item.name not in excluded
        for value in range(len(item.values))
    ]
    partial = np.array(single, np.int64).reshape(len(single), len(schema.categorical))
    completions = min(COMPLETIONS, max(1, MOST_COMBINATIONS // max(1, len(partial))))
    return candidates(
        schema, encode, partial, excluded=excluded, completions=completions, seed=seed
    )


def _main_effects(found: Candidates, sizes: Sequence[int]) -> dict[int, Floats]:
    """The mean embedding of the candidates with each value of a categorical column, (V, E) each.

    Columns are taken in the order of their ``sizes`` V. The means of a column are subtracted before
    those of the next column are computed, because each value is combined with only a few values of
    the other properties. A value that no candidate has gets zeros.
    """
    remaining = found.embeddings.mean(1)  # (M, E)
    effects = {}
    for column in np.argsort(sizes, kind="stable").tolist():
        ids = found.primitives[:, 0, column].astype(np.int64)
        means = np.zeros((sizes[column], remaining.shape[1]), np.float32)
        np.add.at(means, ids, remaining)
        means /= np.maximum(np.bincount(ids, minlength=len(means)), 1)[:, None]
        remaining = remaining - means[ids]
        effects[column] = means
    return effects


def _search(slots: Floats, space: _Space, encode: EncodePrimitives) -> ReadOut:
    """The read-outs of a block of slots (n, E)."""
    found = _best_candidates(slots, space.start)
    likely = {column: _likely(slots, effects) for column, effects in space.effects.items()}
    for sweep in range(SWEEPS):
        for column, bounds in space.components.items():
            values = _grid(found.primitives[:, column], bounds, sweep)
            found = _improved(found, slots, column, values, encode)
        for column, ids in likely.items():
            found = _improved(found, slots, column, ids, encode)
    return found


def _best_candidates(slots: Floats, start: Candidates) -> ReadOut:
    scores = slots @ start.embeddings.reshape(-1, slots.shape[1]).T  # (n, M · P)
    best = scores.argmax(1)
    primitives = start.primitives.reshape(scores.shape[1], -1)[best]
    return ReadOut(primitives, scores[np.arange(len(slots)), best])


def _likely(slots: Floats, effects: Floats) -> Floats:
    """The ids to try with each slot, (n, min(V, `MOST_VALUES`))."""
    if len(effects) <= MOST_VALUES:
        return np.tile(np.arange(len(effects), dtype=np.float32), (len(slots), 1))
    order = np.argpartition(slots @ effects.T, -MOST_VALUES, axis=1)
    return np.asarray(order[:, -MOST_VALUES:], np.float32)


def _grid(current: Floats, bounds: tuple[float, float], sweep: int) -> Floats:
    """The values (n, `GRID`) of a component to try in a sweep (from 0), given the current ones."""
    low, high = bounds
    if sweep == 0:
        return np.tile(np.linspace(low, high, GRID, dtype=np.float32), (len(current), 1))
    spacing = (high - low) / (GRID - 1) / SHRINK**sweep
    values = current[:, None] + spacing * (np.arange(GRID) - GRID // 2)
    return np.asarray(np.clip(values, low, high), np.float32)


def _improved(
    found: ReadOut, slots: Floats, column: int, values: Floats, encode: EncodePrimitives
) -> ReadOut:
    """The read-outs after trying ``values`` (n, J) of a column; a change must raise the score."""
    slot, number = np.nonzero(values != found.primitives[:, column, None])
    tries = found.primitives[slot]
    tries[:, column] = values[slot, number]
    if not len(tries):
        return found
    scores = np.full(values.shape, -np.inf, np.float32)
    scores[slot, number] = np.einsum("ne,ne->n", slots[slot], embed_objects(encode, tries))
    best = scores.argmax(1)
    rows = np.arange(len(slots))
    higher = np.flatnonzero(scores[rows, best] > found.scores)
    primitives, highest = found.primitives.copy(), found.scores.copy()
    primitives[higher, column] = values[higher, best[higher]]
    highest[higher] = scores[higher, best[higher]]
    return ReadOut(primitives, highest)
