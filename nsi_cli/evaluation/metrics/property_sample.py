"""The primitives that the properties metric tests, and the slots that score them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.metrics.grounding import visible_objects
from nsi_cli.evaluation.metrics.kept_scene import KeptScene, kept_scene
from nsi_cli.evaluation.predictions import Bools, Floats, Ints, Predictions

NULL_IMAGES = 8
"""The number of other images whose slots score each primitive for the null."""


@dataclass(frozen=True)
class SampledPrimitives:
    """N primitives, each with its scene and the slots of A images: its own, then others'."""

    index: Ints  # (N,), the index of its scene in the split
    scene: Ints  # (N,), the row of its scene in ``slots``
    position: Ints  # (N,), its row in its scene
    primitives: Floats  # (N, T, W), all primitives of its scene
    present: Bools  # (N, T)
    slots: Floats  # (S, K, E), of every scene in the sample
    images: Ints  # (A, N), rows in ``slots``
    slot: Ints | None  # (A, N), chosen by the true mask; None without masks
    alignment: str

    def __len__(self) -> int:
        return len(self.scene)

    @property
    def own(self) -> Floats:
        """The sampled primitives themselves, (N, W)."""
        return self.primitives[np.arange(len(self)), self.position]

    def take(self, rows: slice | Bools) -> SampledPrimitives:
        """Some of the primitives."""
        return replace(
            self,
            index=self.index[rows],
            scene=self.scene[rows],
            position=self.position[rows],
            primitives=self.primitives[rows],
            present=self.present[rows],
            images=self.images[:, rows],
            slot=None if self.slot is None else self.slot[:, rows],
        )


class PrimitiveSample:
    """A random sample of at most ``most`` primitives of a split, and their scenes.

    Every primitive gets a random number from the seed, its scene and its row; the lowest are kept,
    so the sample depends neither on the batches nor on their order. In a dataset with masks, a
    primitive without a visible pixel is skipped, since no slot can be chosen for it.
    """

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._seed = most, seed
        self._drawn: list[tuple[float, int, int]] = []  # number, scene's index, row in its scene
        self._scenes: dict[int, KeptScene] = {}
        self._alignment = ""

    def add(self, predictions: Predictions) -> None:
        """Add a batch to the sample."""
        self._alignment = predictions.alignment
        masked = predictions.true_masks is not None
        eligible = visible_objects(predictions) if masked else predictions.present
        indices = predictions.index.tolist()
        for index, flags in zip(indices, eligible, strict=True):
            numbers = np.random.default_rng((self._seed, index)).random(len(flags)).tolist()
            self._drawn += [(numbers[row], index, row) for row in np.flatnonzero(flags).tolist()]
        self._drawn = sorted(self._drawn)[: self._most]
        kept = {index for _, index, _ in self._drawn}
        self._scenes = {index: self._scenes[index] for index in kept & self._scenes.keys()}
        for row, index in enumerate(indices):
            if index in kept:
                self._scenes[index] = kept_scene(predictions, row)

    def primitives(self) -> SampledPrimitives | None:
        """The sample, each primitive with its images and slots; None if it is empty."""
        if not self._drawn:
            return None
        indices = sorted(self._scenes)
        scenes = [self._scenes[index] for index in indices]
        scene = np.searchsorted(indices, [index for _, index, _ in self._drawn])
        position = np.array([row for _, _, row in self._drawn])
        others = other_scenes(len(scenes), NULL_IMAGES, self._seed)
        images = np.concatenate([scene[None], others[:, scene]])
        return SampledPrimitives(
            index=np.array(indices)[scene],
            scene=scene,
            position=position,
            primitives=np.stack([scenes[row].primitives for row in scene]),
            present=np.stack([scenes[row].present for row in scene]),
            slots=np.stack([kept.slots for kept in scenes]),
            images=images,
            slot=_slots_by_mask(scenes, scene, position, images),
            alignment=self._alignment,
        )


def other_scenes(scenes: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    """Up to ``most`` other scenes for each of ``scenes`` scenes, (D, scenes); no row if it is one.

    Each row is a permutation that maps every scene to another one, and no scene gets the same one
    twice. The scenes form a random circle, drawn by ``seed``; row d takes the scene d + 1 ahead.
    """
    circle = np.random.default_rng(seed).permutation(scenes)
    others = np.empty((min(most, scenes - 1), scenes), np.int64)
    for row in range(len(others)):
        others[row, circle] = np.roll(circle, -row - 1)
    return others


def _slots_by_mask(
    scenes: list[KeptScene], scene: Ints, position: Ints, images: Ints
) -> Ints | None:
    """For each primitive the slot of each image that has the largest IoU with its object."""
    chosen = np.empty_like(images)
    for column, (row, object_row) in enumerate(zip(scene, position, strict=True)):
        true_mask = scenes[row].true_mask
        if true_mask is None:
            return None
        inside = true_mask == object_row + 1
        chosen[:, column] = [_best_slot(inside, scenes[image]) for image in images[:, column]]
    return chosen


def _best_slot(inside: Bools, image: KeptScene) -> int:
    """The slot of an image whose segment has the largest IoU with the pixels ``inside`` (S, S)."""
    assert image.segments is not None, "a split has masks for all its scenes or for none"
    slots = len(image.slots)
    shared = np.bincount(image.segments[inside], minlength=slots)
    union = inside.sum() + np.bincount(image.segments.ravel(), minlength=slots) - shared
    return int((shared / union).argmax())
