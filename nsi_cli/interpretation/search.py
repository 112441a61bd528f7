"""Search: the images of a split that score highest with a query, and the best slot of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.candidates import OPEN, completed, embed_objects
from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Floats, Ints, Predictions
from nsi_cli.interpretation.query import Query
from nsi_cli.schema import Schema

Pixels = npt.NDArray[np.uint8]

_MOST_PRODUCTS = 2**24
"""Maximum number of dot products held at once."""


COLUMNS = ("rank", "scene", "score", "slot", "relevant")
"""The headings of `Retrieved.rows`."""


@dataclass(frozen=True)
class Match:
    """An image of a split that answers a query."""

    index: int  # of the scene in the split
    score: float  # of the best slot, averaged over the query's completions
    slot: int  # the slot that scores highest with the completions on average
    mask: Floats  # (h, w), of that slot
    right: bool  # whether an object has all given categorical values

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the mask."""
        return {"index": self.index, "score": self.score, "slot": self.slot, "right": self.right}


@dataclass
class Search:
    """Collects the ``top`` matches of a query, batch by batch; in a tie, earlier scenes come first.

    A query is completed as in the property retrieval metric, with continuous values within the
    bounds of ``schema`` (`nsi_cli.evaluation.candidates.with_range`).
    """

    query: Query
    schema: Schema
    encode: EncodePrimitives
    top: int
    excluded: tuple[str, ...] = ()
    scenes: int = 0
    relevant: int = 0  # scenes with an object that has all given categorical values
    _matches: list[Match] = field(default_factory=list)
    _completions: Floats | None = None

    def add(self, predictions: Predictions) -> None:
        """Add the scenes of a batch."""
        scores, slots = scored(predictions.slot_embeddings, self.completions)
        right = self._right(predictions)
        self.scenes += len(predictions)
        self.relevant += int(right.sum())
        for row in np.argsort(-scores, kind="stable")[: self.top].tolist():
            self._matches.append(
                Match(
                    int(predictions.index[row]),
                    float(scores[row]),
                    int(slots[row]),
                    predictions.masks[row, slots[row]].copy(),
                    bool(right[row]),
                )
            )
        self._matches = self.matches

    @property
    def matches(self) -> list[Match]:
        """The matches, best first."""
        ordered = sorted(self._matches, key=lambda match: (-match.score, match.index))
        return ordered[: self.top]

    def retrieved(
        self, split: str, ids: Sequence[str], images: Callable[[Sequence[int]], Pixels]
    ) -> Retrieved:
        """The matches with the ids and images of their scenes, from those of the whole split."""
        index = [match.index for match in self.matches]
        return Retrieved(
            query=str(self.query),
            split=split,
            scenes=self.scenes,
            relevant=self.relevant,
            ids=tuple(ids[number] for number in index),
            matches=tuple(self.matches),
            images=images(index),
        )

    @property
    def completions(self) -> Floats:
        """The embeddings (C, E) of the query's completions."""
        if self._completions is None:
            primitives = completed(
                self.schema, self.query.ids, self.query.numbers, excluded=self.excluded
            )
            self._completions = embed_objects(
                self.encode, primitives.reshape(-1, self.schema.width)
            )
        return self._completions

    def _right(self, predictions: Predictions) -> npt.NDArray[np.bool_]:
        ids = self.query.ids
        own = predictions.primitives[..., : len(ids)]
        same = ((own == ids) | (ids == OPEN)).all(-1) & predictions.present
        return np.asarray(same.any(1))


def scored(slots: Floats, completions: Floats) -> tuple[Floats, Ints]:
    """The score and the best slot of each image, (B,) each, from slots (B, K, E).

    The score is that of the best slot for each of the ``completions`` (C, E), averaged over them.
    The best slot is the one with the highest mean score.
    """
    scores, best = np.empty(len(slots), np.float32), np.empty(len(slots), np.int64)
    step = max(1, _MOST_PRODUCTS // max(1, slots.shape[1] * len(completions)))
    for start in range(0, len(slots), step):
        products = slots[start : start + step] @ completions.T  # (images, K, C)
        scores[start : start + step] = products.max(1).mean(1)
        best[start : start + step] = products.mean(2).argmax(1)
    return scores, best


@dataclass(frozen=True)
class Retrieved:
    """The images of a split that answer a query, best first."""

    query: str
    split: str
    scenes: int
    relevant: int  # scenes with an object that has all given categorical values
    ids: tuple[str, ...]  # of the scenes
    matches: tuple[Match, ...]
    images: Pixels  # (n, S, S, 3)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without images and masks."""
        return {
            "query": self.query,
            "split": self.split,
            "scenes": self.scenes,
            "relevant": self.relevant,
            "matches": [
                {"rank": rank, "id": name, **match.to_dict()}
                for rank, (name, match) in enumerate(zip(self.ids, self.matches, strict=True), 1)
            ],
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Text for a table under `COLUMNS`."""
        return [
            (
                str(rank),
                name,
                f"{match.score:.2f}",
                str(match.slot + 1),
                "✓" if match.right else "✗",
            )
            for rank, (name, match) in enumerate(zip(self.ids, self.matches, strict=True), 1)
        ]
