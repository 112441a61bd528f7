"""How well each property is read off a slot: swap its value, and see which value fits best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.find import EncodePrimitives
from nsi_cli.evaluation.findings import Findings
from nsi_cli.evaluation.intervals import mean_with_interval
from nsi_cli.schema import Categorical, Continuous, Property, Schema

MOST_PRIMITIVES = 500
"""How many primitives of a split are asked about; a seeded sample where there are more."""

DRAWS = 32
"""How many other values a continuous property's true value is compared with."""

_SCENES_AT_ONCE = 512

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Sample:
    """N primitives, each in the scene it stands in, with the embedding of its aligned slot."""

    order: npt.NDArray[np.float64]  # (N,), random, by which the sample is drawn
    scene: npt.NDArray[np.int64]  # (N,)
    place: npt.NDArray[np.int64]  # (N,), its row in its scene
    primitives: Floats  # (N, T, W)
    present: npt.NDArray[np.bool_]  # (N, T)
    slot: Floats  # (N, E)

    def pick(self, rows: npt.NDArray[Any]) -> _Sample:
        return _Sample(**{name: value[rows] for name, value in vars(self).items()})


class Properties:
    """For each property, how often its true value fits the aligned slot best.

    No probe is trained. A primitive keeps the slot that it is aligned with; one of its
    properties is set to other values, the whole scene is encoded again each time, and the score
    of the slot with the primitive tells which value the model sees there.

    - categorical, ``accuracy``: the share of primitives whose true value scores above every
      other value of the vocabulary. Chance is one over the vocabulary.
    - continuous, ``percentile``: the mean share of `DRAWS` values, drawn uniformly between the
      property's bounds, that score below the true one. Chance is ½.

    A primitive whose value is missing is left out of that property, one without a slot of all.
    Properties that the encoder does not see (``without``) have no measure: all values fit alike.
    """

    def __init__(
        self,
        schema: Schema,
        encode_primitives: EncodePrimitives | None,
        *,
        seed: int = 0,
        most: int = MOST_PRIMITIVES,
        without: Sequence[str] = (),
    ) -> None:
        self._schema, self._encode, self._seed, self._most = schema, encode_primitives, seed, most
        self._seen = [item for item in schema.properties if item.name not in without]
        self._sample: _Sample | None = None

    def update(self, findings: Findings) -> None:
        """Let the primitives of a batch into the sample; it never holds more than ``most``."""
        if self._encode is None:
            return
        new = _primitives_of(findings, self._seed)
        if self._sample is not None:
            pairs = zip(vars(self._sample).values(), vars(new).values(), strict=True)
            new = _Sample(*(np.concatenate(pair) for pair in pairs))
        self._sample = new.pick(np.argsort(new.order, kind="stable")[: self._most])

    def compute(self) -> dict[str, Any]:
        """For each property its measure; nothing where no encoder was handed over."""
        if self._encode is None or self._sample is None:
            return {"properties": {}}
        generator = np.random.default_rng(self._seed)
        return {
            "properties": {
                item.name: self._read(item, self._encode, generator) for item in self._seen
            }
        }

    def _read(
        self, item: Property, encode: EncodePrimitives, generator: np.random.Generator
    ) -> dict[str, Any] | None:
        assert self._sample is not None
        columns = self._schema.columns[item.name]
        known = _known(
            item, self._sample.primitives[_rows(self._sample), self._sample.place], columns
        )
        sample = self._sample.pick(known)
        if not len(sample.place):
            return None
        values, chance = _candidates(item, sample, columns, generator)
        scores = np.stack([_swapped_scores(sample, columns, value, encode) for value in values])
        true, others = scores[0], scores[1:]
        if isinstance(item, Categorical):
            same = values[1:, :, 0] == values[0, :, 0]  # the vocabulary holds the true value too
            hits = (same | (true > others)).all(0).astype(float)
        else:
            hits = ((true > others) + (true == others) / 2).mean(0)
        _, scene = np.unique(sample.scene, return_inverse=True)
        measured = mean_with_interval(np.bincount(scene, hits), np.bincount(scene), seed=self._seed)
        measure = "accuracy" if isinstance(item, Categorical) else "percentile"
        told = {"measure": measure, "chance": chance, "primitives": len(sample.place)}
        return {**(measured or {}), **told}


def _primitives_of(findings: Findings, seed: int) -> _Sample:
    scene, place = np.nonzero(findings.present & (findings.aligned_slot >= 0))
    slot = findings.aligned_slot[scene, place]
    return _Sample(
        order=_random_order(findings, seed)[scene, place],
        scene=findings.index[scene],
        place=place,
        primitives=findings.primitives[scene],
        present=findings.present[scene],
        slot=findings.slot_embeddings[scene, slot],
    )


def _random_order(findings: Findings, seed: int) -> npt.NDArray[np.float64]:
    """A random number for each primitive, from the seed and its scene: batches don't matter."""
    width = findings.present.shape[1]
    return np.array(
        [np.random.default_rng((seed, int(index))).random(width) for index in findings.index]
    ).reshape(len(findings), width)


def _rows(sample: _Sample) -> npt.NDArray[np.int64]:
    return np.arange(len(sample.place))


def _known(item: Property, primitives: Floats, columns: slice) -> npt.NDArray[np.bool_]:
    """Which of the primitives (N, W) have a value for this property, (N,)."""
    values = primitives[:, columns]
    if isinstance(item, Categorical):
        return np.asarray(values[:, 0] >= 0)
    return np.asarray(~np.isnan(values).any(1))


def _candidates(
    item: Property, sample: _Sample, columns: slice, generator: np.random.Generator
) -> tuple[Floats, float]:
    """The values to try, (1 + V, N, columns) with the true one first, and the chance level."""
    true = sample.primitives[_rows(sample), sample.place][None, :, columns]
    if isinstance(item, Continuous):
        shape = (DRAWS, true.shape[1], item.columns)
        others = generator.uniform(item.lows, item.highs, shape).astype(np.float32)
        return np.concatenate([true, others]), 0.5
    count = len(item.values)
    words = np.broadcast_to(
        np.arange(count, dtype=np.float32)[:, None, None], (count, *true.shape[1:])
    )
    return np.concatenate([true, words]), 1 / count


def _swapped_scores(
    sample: _Sample, columns: slice, value: Floats, encode: EncodePrimitives
) -> Floats:
    """The score of each slot with its primitive, whose property is set to ``value``; (N,)."""
    rows = _rows(sample)
    swapped = sample.primitives.copy()
    swapped[rows, sample.place, columns] = value
    parts = [
        encode(part.primitives, part.present)[_rows(part), part.place]
        for part in _parts(replace(sample, primitives=swapped))
    ]
    scores: Floats = np.einsum("ne,ne->n", sample.slot, np.concatenate(parts))
    return scores


def _parts(sample: _Sample) -> Iterator[_Sample]:
    for start in range(0, len(sample.place), _SCENES_AT_ONCE):
        yield sample.pick(np.arange(start, min(start + _SCENES_AT_ONCE, len(sample.place))))
