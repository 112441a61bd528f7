"""The primitives that the properties metric tests, and the slots that score them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from nsi_cli.evaluation.metrics.donors import donors
from nsi_cli.evaluation.metrics.grounding import visible_objects
from nsi_cli.evaluation.predictions import Bools, Bytes, Floats, Ints, Predictions

DONORS = 8
"""The number of other images whose slots score each primitive for the null."""


@dataclass(frozen=True)
class SampledPrimitives:
    """N primitives, each in its scene, with the slots of A images: its own, then the donors'."""

    scene: Ints  # (N,), its row in ``slots``
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
        """A part of the primitives."""
        return replace(
            self,
            scene=self.scene[rows],
            position=self.position[rows],
            primitives=self.primitives[rows],
            present=self.present[rows],
            images=self.images[:, rows],
            slot=None if self.slot is None else self.slot[:, rows],
        )

    def parts(self, size: int) -> Iterator[slice]:
        """The rows in parts of ``size``."""
        return (slice(start, start + size) for start in range(0, len(self), size))


@dataclass(frozen=True)
class _Scene:
    """A scene of the sample; copies, since a view would keep its whole batch in memory."""

    primitives: Floats  # (T, W)
    present: Bools  # (T,)
    slots: Floats  # (K, E)
    true_mask: Bytes | None = None  # (S, S)
    segments: Bytes | None = None  # (S, S), of the slots


class PrimitiveSample:
    """A random sample of at most ``most`` primitives of a split, and their scenes.

    Every primitive has a random number from the seed, its scene and its row; the lowest stay. The
    sample depends neither on the batches nor on their order. Where there are true masks, a
    primitive without a visible pixel is left out, as no slot can be chosen for it.
    """

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._seed = most, seed
        self._drawn: list[tuple[float, int, int]] = []  # number, scene's index, row in its scene
        self._scenes: dict[int, _Scene] = {}
        self._alignment = ""

    def add(self, predictions: Predictions) -> None:
        """Add a batch to the sample."""
        self._alignment = predictions.alignment
        masked = predictions.true_masks is not None
        eligible = visible_objects(predictions) if masked else predictions.present
        new = [
            (number, int(index), row)
            for index, flags in zip(predictions.index, eligible, strict=True)
            for row, number in enumerate(self._numbers(int(index), len(flags)))
            if flags[row]
        ]
        self._drawn = sorted([*self._drawn, *new])[: self._most]
        kept = {index for _, index, _ in self._drawn}
        self._scenes = {index: self._scenes[index] for index in kept & self._scenes.keys()} | {
            int(index): _scene(predictions, row)
            for row, index in enumerate(predictions.index)
            if int(index) in kept
        }

    def primitives(self) -> SampledPrimitives | None:
        """The sample, each primitive with its images and slots; None if it is empty."""
        if not self._drawn:
            return None
        indices = sorted(self._scenes)
        scenes = [self._scenes[index] for index in indices]
        scene = np.searchsorted(indices, [index for _, index, _ in self._drawn])
        position = np.array([row for _, _, row in self._drawn])
        images = np.concatenate([scene[None], donors(len(scenes), DONORS, self._seed)[:, scene]])
        return SampledPrimitives(
            scene=scene,
            position=position,
            primitives=np.stack([scenes[row].primitives for row in scene]),
            present=np.stack([scenes[row].present for row in scene]),
            slots=np.stack([kept.slots for kept in scenes]),
            images=images,
            slot=_slots_by_mask(scenes, scene, position, images),
            alignment=self._alignment,
        )

    def _numbers(self, index: int, count: int) -> list[float]:
        numbers: list[float] = np.random.default_rng((self._seed, index)).random(count).tolist()
        return numbers


def _scene(predictions: Predictions, row: int) -> _Scene:
    kept = _Scene(
        primitives=predictions.primitives[row].copy(),
        present=predictions.present[row].copy(),
        slots=predictions.slot_embeddings[row].copy(),
    )
    segments = predictions.segments_of(predictions.masks_name)
    if predictions.true_masks is None or segments is None:
        return kept
    return replace(
        kept, true_mask=predictions.true_masks[row].copy(), segments=segments[row].copy()
    )


def _slots_by_mask(scenes: list[_Scene], scene: Ints, position: Ints, images: Ints) -> Ints | None:
    """For each primitive the slot of each image that has the largest IoU with its object."""
    chosen = np.empty_like(images)
    for column, (row, place) in enumerate(zip(scene, position, strict=True)):
        true_mask = scenes[row].true_mask
        if true_mask is None:
            return None
        inside = true_mask == place + 1
        chosen[:, column] = [_best_slot(inside, scenes[image]) for image in images[:, column]]
    return chosen


def _best_slot(inside: Bools, image: _Scene) -> int:
    """The slot of an image whose segment has the largest IoU with some pixels (S, S)."""
    assert image.segments is not None, "a split has masks for all its scenes or for none"
    slots = len(image.slots)
    shared = np.bincount(image.segments[inside], minlength=slots)
    either = inside.sum() + np.bincount(image.segments.ravel(), minlength=slots) - shared
    return int((shared / either).argmax())
