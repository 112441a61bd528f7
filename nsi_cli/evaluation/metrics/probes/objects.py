"""The objects that probes are trained and tested on: their vectors and their annotation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from nsi_cli.evaluation.predictions import Bytes, Floats, Ints, Predictions
from nsi_cli.evaluation.segments import overlap_ratios


@dataclass(frozen=True)
class Objects:
    """N objects that have a slot; copies, because a view would keep its whole batch in memory."""

    scene: Ints  # (N,), the index of its scene in the split
    row: Ints  # (N,), its row in its scene
    number: npt.NDArray[np.float64]  # (N,), random; a sample keeps the lowest
    primitives: Floats  # (N, W)
    vectors: dict[str, Floats]  # (N, D) of each kind: slots, features, random_slots

    def __len__(self) -> int:
        return len(self.scene)

    def take(self, rows: npt.NDArray[np.intp]) -> Objects:
        """Some of the objects, copied."""
        return Objects(
            self.scene[rows],
            self.row[rows],
            self.number[rows],
            self.primitives[rows],
            {kind: vectors[rows] for kind, vectors in self.vectors.items()},
        )


class ObjectSample:
    """The objects of a split, or a random sample of at most ``most``, and their vectors.

    ``slots`` has the slot of each object. In each scene, slots and objects are matched one to one
    so that the sum of the IoUs of their masks is largest; an object without a slot, or whose slot
    does not overlap it, is left out. ``features`` is the mean of the backbone's tokens under the
    object's true mask. ``random_slots`` is a random slot of the same image. The sample and the
    random slots depend only on the seed and the scene's index, not on the batches or their order.
    """

    def __init__(self, seed: int, most: int | None = None) -> None:
        self._seed, self._most = seed, most
        self._batches: list[Objects] = []

    def add(self, predictions: Predictions) -> None:
        """Add a batch; a batch without true masks adds nothing."""
        objects = _objects(predictions, self._seed)
        if objects is None:
            return
        self._batches.append(objects)
        if self._most is not None:
            joined = _joined(self._batches)
            self._batches = [joined.take(np.argsort(joined.number)[: self._most])]

    def objects(self) -> Objects | None:
        """The objects in the order of their scenes and rows; None if there are none."""
        joined = _joined(self._batches) if self._batches else None
        if joined is None or not len(joined):
            return None
        return joined.take(np.lexsort((joined.row, joined.scene)))


def matched_slots(ratios: npt.NDArray[np.float64]) -> Ints:
    """Match objects with slots one to one by their IoUs (M, K).

    Returns the slot of each object (M,), −1 without a slot. The sum of the IoUs is the largest
    possible (Kuhn 1955). A pair that shares no pixel is not a match.
    """
    slots = np.full(len(ratios), -1)
    rows, columns = linear_sum_assignment(ratios, maximize=True)
    overlapping = ratios[rows, columns] > 0
    slots[rows[overlapping]] = columns[overlapping]
    return slots


def mask_weights(mask: Bytes, numbers: Ints, grid: tuple[int, int]) -> Floats:
    """The share of each cell of a grid (h, w) that each object of a mask (S, S) covers, (N, h, w).

    ``numbers`` (N,) are the objects' numbers in the mask. S need not be a multiple of h or w: a
    pixel on the border of two cells counts for both, by its area in each.
    """
    rows, columns = (_cell_weights(cells, len(mask)) for cells in grid)
    inside = (mask == numbers[:, None, None]).astype(np.float32)
    return np.asarray(rows @ (inside @ columns.T), np.float32)


def _cell_weights(cells: int, pixels: int) -> Floats:
    """The share of each cell that each pixel of a line covers, (cells, pixels)."""
    ends = np.arange(1, cells + 1)[:, None] * pixels  # in units of 1 / cells of a pixel
    pixel_ends = np.arange(1, pixels + 1) * cells
    shared = np.minimum(ends, pixel_ends) - np.maximum(ends - pixels, pixel_ends - cells)
    return (shared.clip(0) / pixels).astype(np.float32)


def _objects(predictions: Predictions, seed: int) -> Objects | None:
    """The objects of a batch that have a slot; None without true masks."""
    overlap = predictions.overlap(predictions.masks_name)
    if overlap is None:
        return None
    present = predictions.present
    ratios = overlap_ratios(overlap)[:, 1 : present.shape[1] + 1]
    slot = np.stack([matched_slots(of_scene) for of_scene in ratios * present[..., None]])
    number, random_slot = _drawn(predictions, seed)
    scene, row = np.nonzero(slot >= 0)
    vectors = {}
    if predictions.slots is not None:
        vectors["slots"] = predictions.slots[scene, slot[scene, row]]
    if predictions.tokens is not None:
        vectors["features"] = _features(predictions, slot >= 0)
    if predictions.slots is not None:
        vectors["random_slots"] = predictions.slots[scene, random_slot[scene, row]]
    return Objects(
        predictions.index[scene],
        row,
        number[scene, row],
        predictions.primitives[scene, row],
        vectors,
    )


def _drawn(predictions: Predictions, seed: int) -> tuple[npt.NDArray[np.float64], Ints]:
    """A random number and a random slot for each row of each scene, (B, T) each."""
    rows, slots = predictions.present.shape[1], predictions.attention_masks.shape[1]
    generators = [np.random.default_rng((seed, index)) for index in predictions.index.tolist()]
    numbers = np.stack([generator.random(rows) for generator in generators])
    return numbers, np.stack([generator.integers(slots, size=rows) for generator in generators])


def _features(predictions: Predictions, chosen: npt.NDArray[np.bool_]) -> Floats:
    """The mean of the tokens under the true mask of each chosen object (B, T), (N, C)."""
    tokens, true_masks = predictions.tokens, predictions.true_masks
    assert tokens is not None
    assert true_masks is not None
    grid, means = tokens.shape[1:3], []
    for of_scene, mask, flags in zip(tokens, true_masks, chosen, strict=True):
        weights = mask_weights(mask, np.flatnonzero(flags) + 1, grid).reshape(-1, grid[0] * grid[1])
        weights /= weights.sum(1, keepdims=True)
        means.append(weights @ of_scene.reshape(weights.shape[1], -1))
    return np.asarray(np.concatenate(means), np.float32)


def _joined(batches: list[Objects]) -> Objects:
    """The objects of several batches, in order."""
    if len(batches) == 1:
        return batches[0]
    return Objects(
        np.concatenate([batch.scene for batch in batches]),
        np.concatenate([batch.row for batch in batches]),
        np.concatenate([batch.number for batch in batches]),
        np.concatenate([batch.primitives for batch in batches]),
        {
            kind: np.concatenate([batch.vectors[kind] for batch in batches])
            for kind in batches[0].vectors
        },
    )
