"""Search: the images of a split that score highest with a query, and the best slot of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.candidates import OPEN, completed, embed_objects, has_values
from nsi_cli.evaluation.metrics.grounding import peak_pixels
from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Floats, Ints, Predictions
from nsi_cli.evaluation.records import Columns
from nsi_cli.interpretation.plots import Picture, Pixels, Plotted, picture_grid, spotlight
from nsi_cli.interpretation.query import Query
from nsi_cli.schema import Schema

if TYPE_CHECKING:
    from nsi_cli.interpretation.data_figure import DataFigure

_MOST_PRODUCTS = 2**20
"""Maximum number of dot products held at once; they should fit in the processor's cache."""


COLUMNS = ("rank", "scene", "score", "slot", "relevant", "on it")
"""The headings of `Retrieved.rows`."""

MARKS: dict[bool | None, str] = {True: "✓", False: "✗", None: "–"}


@dataclass(frozen=True)
class Match:
    """An image of a split that answers a query."""

    index: int  # of the scene in the split
    score: float  # of the best slot, averaged over the query's completions
    slot: int  # the slot that scores highest with the completions on average
    mask: Floats  # (h, w), of that slot
    right: bool | None  # whether an object has all given categorical values; None if none is given
    on_it: bool | None  # whether the mask's peak lies on such an object; None if that is unknown
    primitive: Floats | None = None  # (W,), of the object that the peak lies on

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the mask."""
        return {
            "index": self.index,
            "score": self.score,
            "slot": self.slot,
            "right": self.right,
            "on_it": self.on_it,
        }


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
    _relevant: int = 0
    _matches: list[Match] = field(default_factory=list)

    def add(self, predictions: Predictions) -> None:
        """Add the scenes of a batch."""
        scores, slots = scored(predictions.slot_embeddings, self.completions)
        right = self._right(predictions)
        self.scenes += len(predictions)
        self._relevant += int(right.any(1).sum())
        for row in np.argsort(-scores, kind="stable")[: self.top].tolist():
            mask = predictions.masks[row, slots[row]].copy()
            under = _object_under(mask, predictions, row)
            self._matches.append(
                Match(
                    index=int(predictions.index[row]),
                    score=float(scores[row]),
                    slot=int(slots[row]),
                    mask=mask,
                    right=bool(right[row].any()) if self._has_words else None,
                    on_it=None
                    if predictions.true_masks is None or not self._has_words
                    else under is not None and bool(right[row, under]),
                    primitive=None if under is None else predictions.primitives[row, under].copy(),
                )
            )
        self._matches = self.matches

    @property
    def relevant(self) -> int | None:
        """The scenes with an object that has all given categorical values; None if none is given.

        Values of continuous properties are never exactly those of a query.
        """
        return self._relevant if self._has_words else None

    @property
    def _has_words(self) -> bool:
        return bool((self.query.ids != OPEN).any())

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

    @cached_property
    def completions(self) -> Floats:
        """The embeddings (C, E) of the query's completions."""
        return completions_of(self.query, self.schema, self.encode, self.excluded)

    def _right(self, predictions: Predictions) -> npt.NDArray[np.bool_]:
        """Which objects have all given categorical values, (B, T)."""
        own = predictions.primitives[..., : len(self.query.ids)]
        return np.asarray(has_values(own, self.query.ids) & predictions.present)


def completions_of(
    query: Query, schema: Schema, encode: EncodePrimitives, excluded: Sequence[str]
) -> Floats:
    """The embeddings (C, E) of a query's completions, within the bounds of ``schema``."""
    primitives = completed(schema, query.ids, query.numbers, excluded=excluded)
    return embed_objects(encode, primitives.reshape(-1, schema.width))


def _object_under(mask: Floats, predictions: Predictions, row: int) -> int | None:
    """The object of a scene on which the peak of a mask lies; None if there is none or unknown."""
    if predictions.true_masks is None:
        return None
    true = predictions.true_masks[row]
    y, x = peak_pixels(mask, len(true))
    under = int(true[y, x]) - 1
    return under if 0 <= under < predictions.present.shape[1] else None


def scored(slots: Floats, completions: Floats) -> tuple[Floats, Ints]:
    """The score and the best slot of each image, (B,) each, from slots (B, K, E).

    The score is that of the best slot for each of the ``completions`` (C, E), averaged over them.
    The best slot is the one with the highest mean score.
    """
    images, count, width = slots.shape
    scores = np.empty(images, np.float32)
    columns = np.ascontiguousarray(completions.T)
    step = max(1, _MOST_PRODUCTS // max(1, count * len(completions)))
    for start in range(0, images, step):
        part = slots[start : start + step]
        products = (part.reshape(-1, width) @ columns).reshape(len(part), count, -1)
        scores[start : start + step] = products.max(1).mean(1)
    return scores, (slots @ completions.mean(0)).argmax(1)


@dataclass(frozen=True, repr=False)
class Retrieved(Plotted):
    """The images of a split that answer a query, best first."""

    query: str
    split: str
    scenes: int
    relevant: int | None  # scenes with an object that has all given categorical values
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

    def columns(self) -> Columns:
        """A row for each match."""
        found = self.matches
        return {
            "rank": np.arange(1, len(found) + 1),
            "index": np.array([match.index for match in found], np.int64),
            "id": np.array(self.ids, dtype=object),
            "score": np.array([match.score for match in found]),
            "slot": np.array([match.slot for match in found], np.int64),
            "right": np.array([match.right for match in found], dtype=object),
            "on_it": np.array([match.on_it for match in found], dtype=object),
        }

    def plot(self) -> DataFigure:
        """The images, each with the slot that answers lit."""
        pictures = [
            Picture(
                spotlight(image, match.mask),
                f"{name}\n{match.score:.1f} {MARKS[match.right]}",
            )
            for image, name, match in zip(self.images, self.ids, self.matches, strict=True)
        ]
        return picture_grid([pictures], self.columns(), self.query)

    def rows(self) -> list[tuple[str, ...]]:
        """Text for a table under `COLUMNS`."""
        return [
            (
                str(rank),
                name,
                f"{match.score:.2f}",
                str(match.slot + 1),
                MARKS[match.right],
                MARKS[match.on_it],
            )
            for rank, (name, match) in enumerate(zip(self.ids, self.matches, strict=True), 1)
        ]
