"""Set prediction: do the slots of a scene show its objects?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.candidates import with_range
from nsi_cli.evaluation.metrics.metric import Metric
from nsi_cli.evaluation.metrics.property_sample import other_scenes
from nsi_cli.evaluation.metrics.set_prediction.average_precision import (
    detections,
    precision_with_interval,
)
from nsi_cli.evaluation.metrics.set_prediction.matched_properties import (
    SPAN,
    Matches,
    differences,
    mask_ious,
    match,
    measure,
)
from nsi_cli.evaluation.metrics.set_prediction.scene_sample import SampledScenes, SceneSample
from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Bools, Floats, Ints, Predictions
from nsi_cli.evaluation.read_out import read_out
from nsi_cli.schema import Continuous, Schema

MOST_SCENES = 200
"""Maximum number of scenes that are read out; a seeded sample if there are more."""

NULL_SCENES = 8
"""The number of other scenes whose read-outs are compared with each scene for the null."""

THRESHOLDS = {"AP@inf": np.inf, "AP@1": 1.0, "AP@0.5": 0.5, "AP@0.25": 0.25, "AP@0.125": 0.125}
"""The distance below which a detection is correct, by the name of its average precision."""


@dataclass(frozen=True)
class _Compared:
    """N scenes, each compared with the read-outs of the K slots of its own or another image."""

    image: Ints  # (N,), the row of the image
    read: Floats  # (N, K, W)
    confidence: Floats  # (N, K)
    wrong: Ints  # (N, K, T), categorical values that differ
    distance: npt.NDArray[np.float64]  # (N, K, T), of the continuous properties


class SetPrediction(Metric):
    """Compare the read-outs of all slots of a scene with its objects.

    Each slot is read out on its own (`read_out`). Continuous values are searched for within
    their range in the split (`with_range`); nothing else is taken from the annotations.

    - ``AP@…``: average precision at the distances of `THRESHOLDS` (Locatello et al. 2020). The
      confidence of a read-out is its score with the slot. Without a continuous property, there is
      only ``AP@inf``.
    - ``by_mask``, ``by_prediction``: for each property, the accuracy or the mean error of the
      read-outs that are matched one to one with the objects. ``by_mask`` matches visible objects by
      the IoU of the slots' segments with the true masks, and is None without true masks.
      ``by_prediction`` matches all objects by the number of wrong values plus the distance, scaled
      so that the bounds of a component are 1 apart.

    ``null`` is the same measurement with the slots of other scenes. The ``excluded`` properties,
    which the encoder does not see, are not compared. At most ``most`` scenes are read out.
    """

    def __init__(
        self,
        schema: Schema,
        encode_primitives: EncodePrimitives | None,
        *,
        seed: int = 0,
        excluded: Sequence[str] = (),
        most: int = MOST_SCENES,
    ) -> None:
        self._schema, self._encode, self._seed = schema, encode_primitives, seed
        self._excluded = excluded
        self._properties = [item for item in schema.properties if item.name not in excluded]
        self._sample = SceneSample(most, seed)
        self._values = np.zeros((0, schema.width), np.float32)  # two rows: lowest and highest

    def update(self, predictions: Predictions) -> None:
        """Add the scenes of a batch to the sample."""
        if self._encode is None:
            return
        self._sample.add(predictions)
        seen = np.concatenate([self._values, predictions.primitives[predictions.present]])
        ends = [end.reduce(seen, axis=0, initial=np.nan) for end in (np.fmin, np.fmax)]
        self._values = np.stack(ends)

    def compute(self) -> dict[str, Any]:
        """All measures, and the number of ``scenes``; empty without an encoder or a scene."""
        scenes = self._sample.scenes()
        if scenes is None or self._encode is None:
            return {"set_prediction": {}}
        compared = list(self._compare(scenes, self._encode))
        return {
            "set_prediction": {
                **self._precisions(scenes, compared),
                "by_mask": self._by_mask(scenes, compared),
                "by_prediction": self._by_prediction(scenes, compared),
                "scenes": len(scenes),
            }
        }

    def _compare(self, scenes: SampledScenes, encode: EncodePrimitives) -> Iterator[_Compared]:
        """Compare each scene with its own read-outs, then with those of other scenes."""
        count, slots, width = scenes.slots.shape
        primitives, scores = read_out(
            scenes.slots.reshape(-1, width),
            with_range(self._schema, self._values),
            encode,
            excluded=self._excluded,
            seed=self._seed,
        )
        primitives = primitives.reshape(count, slots, -1)
        confidence = scores.reshape(count, slots)
        for image in [np.arange(count), *other_scenes(count, NULL_SCENES, self._seed)]:
            read = primitives[image]
            found = differences(read, scenes.primitives, self._schema, self._properties)
            yield _Compared(image, read, confidence[image], *found)

    def _precisions(self, scenes: SampledScenes, compared: list[_Compared]) -> dict[str, Any]:
        """The average precision at each threshold; None if no scene has an object."""
        present = scenes.present[:, None]
        continuous = any(isinstance(item, Continuous) for item in self._properties)
        precisions = {}
        for name, threshold in THRESHOLDS.items() if continuous else [("AP@inf", np.inf)]:
            found, *others = (
                detections(
                    part.confidence,
                    np.where(present & (part.wrong == 0), part.distance, np.inf),
                    threshold,
                )
                for part in compared
            )
            precisions[name] = precision_with_interval(
                found, others, scenes.present.sum(1), seed=self._seed
            )
        return precisions

    def _by_prediction(self, scenes: SampledScenes, compared: list[_Compared]) -> dict[str, Any]:
        matches = [
            match(part.read, part.wrong + part.distance / SPAN, scenes.present) for part in compared
        ]
        return self._measures(scenes, scenes.present, matches)

    def _by_mask(self, scenes: SampledScenes, compared: list[_Compared]) -> dict[str, Any] | None:
        if scenes.true_masks is None or scenes.segments is None:
            return None
        slots, objects = scenes.slots.shape[1], scenes.present.shape[1]
        matches = []
        for part in compared:
            ious = mask_ious(
                scenes.true_masks, scenes.segments[part.image], slots=slots, objects=objects
            )
            visible = scenes.present & ious.any(1)  # every pixel is in some slot's segment
            matches.append(match(part.read, 1 - ious, visible, limit=1))
        return self._measures(scenes, visible, matches)

    def _measures(
        self, scenes: SampledScenes, counted: Bools, matches: list[Matches]
    ) -> dict[str, Any]:
        """The measure of each property by its name."""
        return {
            item.name: measure(
                item,
                self._schema.columns[item.name],
                scenes.primitives,
                counted,
                matches,
                seed=self._seed,
            )
            for item in self._properties
        }
