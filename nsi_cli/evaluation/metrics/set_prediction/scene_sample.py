"""The scenes that the set-prediction metric is measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nsi_cli.evaluation.metrics.kept_scene import KeptScene, kept_scene
from nsi_cli.evaluation.predictions import Bools, Bytes, Floats, Predictions


@dataclass(frozen=True)
class SampledScenes:
    """N scenes of a split, with their annotations, slots and masks."""

    primitives: Floats  # (N, T, W)
    present: Bools  # (N, T)
    slots: Floats  # (N, K, E)
    true_masks: Bytes | None  # (N, S, S)
    segments: Bytes | None  # (N, S, S), of the slots

    def __len__(self) -> int:
        return len(self.slots)


class SceneSample:
    """A random sample of at most ``most`` scenes of a split.

    Every scene gets a random number from the seed and its index. The scenes with the lowest
    numbers are kept, so the sample does not depend on the batches or their order.
    """

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._seed = most, seed
        self._scenes: dict[tuple[float, int], KeptScene] = {}  # by number and index

    def add(self, predictions: Predictions) -> None:
        """Add a batch to the sample."""
        rows = {
            (np.random.default_rng((self._seed, index)).random(), index): row
            for row, index in enumerate(predictions.index.tolist())
        }
        kept = sorted(self._scenes.keys() | rows.keys())[: self._most]
        self._scenes = {
            key: kept_scene(predictions, rows[key]) if key in rows else self._scenes[key]
            for key in kept
        }

    def scenes(self) -> SampledScenes | None:
        """The sample in order of the scenes' indices; None if it is empty."""
        if not self._scenes:
            return None
        scenes = [self._scenes[key] for key in sorted(self._scenes, key=lambda key: key[1])]
        return SampledScenes(
            primitives=np.stack([scene.primitives for scene in scenes]),
            present=np.stack([scene.present for scene in scenes]),
            slots=np.stack([scene.slots for scene in scenes]),
            true_masks=_stacked([scene.true_mask for scene in scenes]),
            segments=_stacked([scene.segments for scene in scenes]),
        )


def _stacked(masks: list[Bytes | None]) -> Bytes | None:
    """The masks of all scenes (N, S, S); None if a scene has none."""
    there = [mask for mask in masks if mask is not None]
    return np.stack(there) if len(there) == len(masks) else None
