"""What a report needs of a split: all embeddings, and everything of a few scenes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.embeddings import SplitEmbeddings
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.support.errors import DataError


@dataclass(frozen=True)
class Collected:
    """A split as a report sees it; rows count the n scenes in the order they came."""

    embeddings: SplitEmbeddings
    index: npt.NDArray[np.int64]  # (n,), the place of each scene in its split
    primitives: npt.NDArray[np.float32]  # (n, T, W)
    present: npt.NDArray[np.bool_]  # (n, T)
    scenes: tuple[Predictions, ...]  # of one scene each, those that are shown

    def row(self, scene: Predictions) -> int:
        """The row of a shown scene."""
        return int(np.flatnonzero(self.index == scene.index[0])[0])


def spread(total: int, most: int) -> list[int]:
    """At most ``most`` places, evenly spread over ``total``; the same on every call."""
    return sorted({int(place) for place in np.linspace(0, total - 1, min(most, total))})


def collect(predictions: Iterable[Predictions], scenes: Sequence[int]) -> Collected:
    """Go once through a split, and keep the scenes whose place in it is in ``scenes``.

    Memory does not grow with the split but for its embeddings. Raises `DataError` where there is
    no scene at all.
    """
    wanted, kept = set(scenes), []
    embeddings = SplitEmbeddings()
    parts: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]] = []
    for batch in predictions:
        embeddings.add(batch)
        parts.append((batch.primitives, batch.present))
        kept += [batch.take([row]) for row, place in enumerate(batch.index) if int(place) in wanted]
    if not parts:
        raise DataError("the split has no scene to interpret", "choose another --split")
    primitives, present = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Collected(embeddings, embeddings.index, primitives, present, tuple(kept))
