"""How well each property can be read from a slot: change its value and compare the scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nsi_cli.evaluation.bootstrap import mean_with_interval, null_with_interval
from nsi_cli.evaluation.metrics.metric import Metric
from nsi_cli.evaluation.metrics.property_sample import PrimitiveSample, SampledPrimitives
from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Bools, Floats, Ints, Predictions
from nsi_cli.evaluation.records import Columns
from nsi_cli.models.alignment import align
from nsi_cli.schema import Categorical, Continuous, Property, Schema

MOST_PRIMITIVES = 500
"""The most primitives of a split that are tested; a seeded sample if there are more."""

DRAWS = 32
"""The number of values that a continuous property's true value is compared with."""

MOST_VALUES = 1000
"""The most values of a vocabulary that a true value is compared with; a seeded sample of more."""

MAX_FLOATS = 2**24
"""The most numbers in the embeddings that are held at once, for long vocabularies."""

Hits = npt.NDArray[np.float64]
"""How well the true value scores with the slots of A images, the scene's own first, (A, N)."""


class Properties(Metric):
    """For each property, how often its true value scores best with the object's slot.

    No probe is trained. One property of a primitive is set to other values, the whole scene is
    encoded each time, and the scores of one slot with the primitive tell which value the model
    sees there. The true value of the property has no part in choosing that slot: it is the
    one whose segment has the largest IoU with the object's true mask or, in a dataset without
    masks, the one that the primitive's mean embedding over all values but the true one aligns with.

    - categorical, ``accuracy``: the share of primitives whose true value scores above every
      other value of the vocabulary, or of a sample of `MOST_VALUES` from a larger one.
    - continuous, ``percentile``: the mean share of `DRAWS` other values that score below the true
      one. Each column of a drawn value comes from that column of a random primitive of the sample.

    ``null`` is the same with the slots of other images, chosen by the same rule. A primitive whose
    value is missing is skipped for that property, one without a slot for all properties. The
    ``excluded`` properties have no measure: the encoder does not see them.
    """

    def __init__(
        self,
        schema: Schema,
        encode_primitives: EncodePrimitives | None,
        *,
        seed: int = 0,
        most: int = MOST_PRIMITIVES,
        excluded: Sequence[str] = (),
    ) -> None:
        self._schema, self._encode, self._seed = schema, encode_primitives, seed
        self._properties = [item for item in schema.properties if item.name not in excluded]
        self._sample = PrimitiveSample(most, seed)
        self._order: list[tuple[int, int]] = []  # of all primitives: scene's index, row
        self._own: dict[str, dict[tuple[int, int], float]] = {}  # of the sample, by property

    def update(self, predictions: Predictions) -> None:
        """Add the primitives of a batch to the sample."""
        scene, row = np.nonzero(predictions.present)
        self._order += zip(predictions.index[scene].tolist(), row.tolist(), strict=True)
        if self._encode is not None:
            self._sample.add(predictions)

    def compute(self) -> dict[str, Any]:
        """The measure of each property; empty without an encoder or a primitive."""
        sample = self._sample.primitives()
        if sample is None or self._encode is None:
            return {"properties": {}}
        generator = np.random.default_rng(self._seed)
        measures = {
            item.name: self._measure(item, sample, self._encode, generator)
            for item in self._properties
        }
        return {"properties": measures}

    def objects(self) -> Columns:
        """The measure of each object's properties; NaN for one that is not in the sample."""
        return {
            f"{name}_read": np.array([own.get(key, np.nan) for key in self._order])
            for name, own in self._own.items()
        }

    def _measure(
        self,
        item: Property,
        sample: SampledPrimitives,
        encode: EncodePrimitives,
        generator: np.random.Generator,
    ) -> dict[str, Any] | None:
        columns = self._schema.columns[item.name]
        sample = sample.take(_known(item, sample.own[:, columns]))
        if not len(sample):
            return None
        values = _values(item, sample.own[:, columns], generator)
        size = max(1, MAX_FLOATS // (len(values) * sample.slots.shape[-1]))
        chunks = [slice(start, start + size) for start in range(0, len(sample), size)]
        hits = np.concatenate(
            [_hits(item, sample.take(rows), columns, values[:, rows], encode) for rows in chunks],
            axis=1,
        )
        keys = zip(sample.index.tolist(), sample.position.tolist(), strict=True)
        self._own[item.name] = dict(zip(keys, hits[0].tolist(), strict=True))
        sums, counts = _by_scene(hits, sample.scene)
        measured = mean_with_interval(sums[0], counts[0], share=True, seed=self._seed)
        if measured is None:
            return None
        return {
            **measured,
            "null": null_with_interval(sums[1:].T, counts[1:].T, seed=self._seed),
            **_description(item),
            "primitives": int(counts[0].sum()),
            "slot_chosen_by": "alignment" if sample.slot is None else "true_mask",
        }


def _description(item: Property) -> dict[str, Any]:
    """The name of a property's measure, its chance level, and how many values are compared."""
    if isinstance(item, Continuous):
        return {"measure": "percentile", "chance": 0.5}
    size = len(item.values)
    if size <= MOST_VALUES:
        return {"measure": "accuracy", "chance": 1 / size}
    sampled = MOST_VALUES / size  # the share of true values that are in the sample themselves
    chance = sampled / MOST_VALUES + (1 - sampled) / (MOST_VALUES + 1)
    return {"measure": "accuracy", "chance": chance, "compared": MOST_VALUES}


def _known(item: Property, values: Floats) -> Bools:
    """Which values (N, columns) of a property are present, (N,)."""
    if isinstance(item, Categorical):
        return np.asarray(values[:, 0] >= 0)
    return np.asarray(~np.isnan(values).any(1))


def _values(item: Property, true: Floats, generator: np.random.Generator) -> Floats:
    """The values to try, (1 + V, N, columns): the ``true`` ones (N, columns), then V others."""
    if isinstance(item, Continuous):
        rows = generator.integers(len(true), size=(DRAWS, *true.shape))
        return np.concatenate([true[None], true[rows, np.arange(true.shape[1])]])
    ids = np.arange(len(item.values), dtype=np.float32)
    if len(ids) > MOST_VALUES:
        ids = np.sort(generator.choice(ids, MOST_VALUES, replace=False))
    return np.concatenate(
        [true[None], np.broadcast_to(ids[:, None, None], (len(ids), *true.shape))]
    )


def _hits(
    item: Property,
    sample: SampledPrimitives,
    columns: slice,
    values: Floats,
    encode: EncodePrimitives,
) -> Hits:
    """Compare the scores of each true value with those of the others; NaN without a slot."""
    encoded, mean = _encoded(sample, columns, values, encode)
    slot = _aligned(sample, mean) if sample.slot is None else sample.slot  # (A, N)
    scores = np.einsum("ane,vne->van", sample.slots[sample.images, slot], encoded)
    true, others = scores[0], scores[1:]
    if isinstance(item, Categorical):
        same = (values[1:] == values[0]).all(-1)[:, None]  # the others may hold the true value
        hits = (same | (true > others)).all(0).astype(float)
    else:
        hits = ((true > others) + (true == others) / 2).mean(0)
    return np.where(slot >= 0, hits, np.nan)


def _encoded(
    sample: SampledPrimitives, columns: slice, values: Floats, encode: EncodePrimitives
) -> tuple[Floats, Floats]:
    """The embeddings of each primitive with each value, and of its whole scene on average.

    (1 + V, N, E) and (N, T, E); the average leaves out the first value, which is the true one.
    """
    rows = np.arange(len(sample))
    encoded, total = [], np.zeros(0, np.float32)
    for number, value in enumerate(values):
        changed = sample.primitives.copy()
        changed[rows, sample.position, columns] = value
        scene = encode(changed, sample.present)
        encoded.append(scene[rows, sample.position])
        total = np.zeros_like(scene) if number == 0 else total + scene
    return np.stack(encoded), total / np.float32(len(values) - 1)


def _aligned(sample: SampledPrimitives, embeddings: Floats) -> Ints:
    """The slot of each image that each primitive aligns with, by embeddings (N, T, E); (A, N)."""
    rows, primitives = np.arange(len(sample)), torch.from_numpy(embeddings)
    present = torch.from_numpy(sample.present)
    slots = [
        align(
            torch.from_numpy(sample.slots[images]), primitives, present, alignment=sample.alignment
        ).slot.numpy()
        for images in sample.images
    ]
    return np.stack([of_image[rows, sample.position] for of_image in slots])


def _by_scene(hits: Hits, scene: Ints) -> tuple[Hits, Hits]:
    """Sums and counts of hits (A, N) over the primitives of each scene, (A, scenes)."""
    _, scene = np.unique(scene, return_inverse=True)

    def summed(values: npt.NDArray[Any]) -> Hits:
        return np.stack([np.bincount(scene, row).astype(float) for row in values])

    return summed(np.nan_to_num(hits)), summed(~np.isnan(hits))
