"""Failures of segmentation and grounding: how many there are, and the clearest of each kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.metrics.grounding import peaks_inside, visible_objects
from nsi_cli.evaluation.predictions import Bools, Ints, Predictions

EXAMPLES = 8
"""The most examples of a kind."""

TAKEN = 0.5
"""A slot takes an object if its segment covers at least this share of the object's pixels."""


@dataclass(frozen=True)
class Example:
    """A failure in one scene."""

    index: int  # of the scene in its split
    rows: tuple[int, ...]  # the objects, by their row in the annotation
    slots: tuple[int, ...]  # the slots that it is about
    severity: float  # examples with a larger one are shown first
    masks: npt.NDArray[np.float32]  # (slots, h, w)
    outline: npt.NDArray[np.bool_]  # (S, S), the pixels of the objects


@dataclass
class Failure:
    """A kind of failure."""

    count: int = 0
    total: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, examples: Iterator[Example]) -> None:
        """Count failures, and keep the clearest; of equal ones, the earliest in the split."""
        found = list(examples)
        self.count += len(found)
        every = sorted([*self.examples, *found], key=lambda one: (-one.severity, one.index))
        self.examples = every[:EXAMPLES]


class Failures:
    """Collects the failures of a split that true masks show; without true masks there are none.

    ``elsewhere``: visible objects on which the peak of their aligned slot does not lie, as in the
    metric pointing; the largest first. ``several``: slots that take several objects, out of those
    that take any. ``divided``: visible objects that no slot takes; the most divided first.
    """

    def __init__(self) -> None:
        self.elsewhere, self.several, self.divided = Failure(), Failure(), Failure()

    def add(self, predictions: Predictions) -> None:
        """Add the scenes of a batch."""
        overlap = predictions.overlap(predictions.masks_name)
        if overlap is None:
            return
        visible = visible_objects(predictions)
        sizes = overlap[:, 1 : visible.shape[1] + 1].sum(-1)  # (B, T)
        shares = overlap[:, 1 : visible.shape[1] + 1] / np.maximum(1, sizes)[..., None]
        takes = (shares >= TAKEN) & visible[..., None]  # (B, T, K)
        self.elsewhere.total += int(visible.sum())
        self.elsewhere.add(_elsewhere(predictions, visible, sizes))
        self.several.total += int(takes.any(1).sum())
        self.several.add(_several(predictions, takes))
        self.divided.total += int(visible.sum())
        self.divided.add(_divided(predictions, visible & ~takes.any(2), shares))


def _elsewhere(predictions: Predictions, visible: Bools, sizes: Ints) -> Iterator[Example]:
    for scene, row in np.argwhere(visible & ~peaks_inside(predictions)).tolist():
        slot = int(predictions.aligned_slot[scene, row])
        yield _example(predictions, scene, [row], [slot] * (slot >= 0), float(sizes[scene, row]))


def _several(predictions: Predictions, takes: Bools) -> Iterator[Example]:
    for scene, slot in np.argwhere(takes.sum(1) > 1).tolist():
        rows = np.flatnonzero(takes[scene, :, slot]).tolist()
        yield _example(predictions, scene, rows, [slot], float(len(rows)))


def _divided(
    predictions: Predictions, divided: Bools, shares: npt.NDArray[np.float64]
) -> Iterator[Example]:
    for scene, row in np.argwhere(divided).tolist():
        parts = shares[scene, row]
        slots = np.argsort(-parts, kind="stable")[:2].tolist()
        yield _example(predictions, scene, [row], slots, 1 - float(parts.max()))


def _example(
    predictions: Predictions, scene: int, rows: Sequence[int], slots: Sequence[int], severity: float
) -> Example:
    assert predictions.true_masks is not None
    return Example(
        index=int(predictions.index[scene]),
        rows=tuple(rows),
        slots=tuple(slots),
        severity=severity,
        masks=predictions.masks[scene, list(slots)],
        outline=np.isin(predictions.true_masks[scene], np.array(rows) + 1),
    )
