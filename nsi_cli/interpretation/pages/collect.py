"""The part of a split's predictions that a report needs: embeddings, and a few whole scenes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.embeddings import SplitEmbeddings
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.support.errors import DataError


class Adds(Protocol):
    """Something that collects a split on its own."""

    def add(self, predictions: Predictions) -> object:
        """Add a batch."""


@dataclass(frozen=True)
class Collected:
    """The n scenes of a split, in the order in which they were predicted."""

    embeddings: SplitEmbeddings
    index: npt.NDArray[np.int64]  # (n,), the index of each scene in its split
    primitives: npt.NDArray[np.float32]  # (n, T, W)
    present: npt.NDArray[np.bool_]  # (n, T)
    scenes: tuple[Predictions, ...]  # one scene each, those to show

    def row(self, scene: Predictions) -> int:
        """The row of a scene to show."""
        return int(np.flatnonzero(self.index == scene.index[0])[0])


def spread(total: int, most: int) -> list[int]:
    """At most ``most`` indices, evenly spread over ``total``."""
    return sorted({int(index) for index in np.linspace(0, total - 1, min(most, total))})


def collect(
    predictions: Iterable[Predictions], scenes: Sequence[int], also: Sequence[Adds] = ()
) -> Collected:
    """Collect the embeddings of a split, and the predictions for the scenes at ``scenes``.

    Every batch is added to each of ``also`` too. Memory grows with the split only by its
    embeddings. Raises `DataError` if there is no scene.
    """
    wanted, kept = set(scenes), []
    embeddings = SplitEmbeddings()
    batches = []
    for batch in predictions:
        embeddings.add(batch)
        for other in also:
            other.add(batch)
        batches.append((batch.index, batch.primitives, batch.present))
        kept += [batch.take([row]) for row, index in enumerate(batch.index) if int(index) in wanted]
    if not batches:
        raise DataError("the split has no scene to interpret", "choose another --split")
    index, primitives, present = map(np.concatenate, zip(*batches, strict=True))
    return Collected(embeddings, index, primitives, present, tuple(kept))
