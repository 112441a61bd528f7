"""Where queries are in images: the slot that scores highest with each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Floats
from nsi_cli.evaluation.records import Columns
from nsi_cli.interpretation.own_images.batches import OwnBatch
from nsi_cli.interpretation.plots import Picture, Pixels, Plotted, picture_grid, spotlight
from nsi_cli.interpretation.query import Query
from nsi_cli.interpretation.search import completions_of, scored
from nsi_cli.schema import Schema

if TYPE_CHECKING:
    from nsi_cli.interpretation.data_figure import DataFigure


@dataclass(frozen=True)
class Grounding:
    """The slot of an image that fits a query best."""

    query: str
    slot: int
    score: float  # of the image with the query: the mean over its completions of the best slot's
    mask: Floats  # (h, w), of the slot

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the mask."""
        return {"query": self.query, "slot": self.slot, "score": self.score}


@dataclass(frozen=True)
class GroundedImage:
    """An image with a grounding of each query, in their order."""

    name: str
    image: Pixels  # (S, S, 3), as the model sees it
    groundings: tuple[Grounding, ...]


@dataclass(frozen=True, repr=False)
class Grounded(Plotted):
    """Queries grounded in images."""

    images: tuple[GroundedImage, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> GroundedImage:
        return self.images[number]

    def __iter__(self) -> Iterator[GroundedImage]:
        return iter(self.images)

    def to_dict(self) -> list[dict[str, Any]]:
        """Plain values, without images and masks."""
        return [
            {"name": one.name, "groundings": [found.to_dict() for found in one.groundings]}
            for one in self.images
        ]

    def columns(self) -> Columns:
        """A row for each query in each image."""
        rows = [(one.name, found) for one in self.images for found in one.groundings]
        return {
            "image": np.array([name for name, _ in rows], dtype=object),
            "query": np.array([found.query for _, found in rows], dtype=object),
            "slot": np.array([found.slot for _, found in rows], np.int64),
            "score": np.array([found.score for _, found in rows]),
        }

    def plot(self) -> DataFigure:
        """A row for each image: the image, then where each query is."""
        rows = [
            [
                Picture(one.image, one.name),
                *(
                    Picture(spotlight(one.image, found.mask), f"{found.query}\n{found.score:.1f}")
                    for found in one.groundings
                ),
            ]
            for one in self.images
        ]
        return picture_grid(rows, self.columns())


def ground(
    queries: Sequence[Query],
    schema: Schema,
    encode: EncodePrimitives,
    batches: Iterable[OwnBatch],
    excluded: Sequence[str] = (),
) -> Grounded:
    """Ground queries in images.

    Queries are completed as in `nsi_cli.interpretation.search`; ``schema`` has the range of the
    training data as bounds.
    """
    completions = [completions_of(query, schema, encode, excluded) for query in queries]
    return Grounded(
        tuple(one for batch in batches for one in _grounded(batch, queries, completions))
    )


def _grounded(
    batch: OwnBatch, queries: Sequence[Query], completions: Sequence[Floats]
) -> Iterator[GroundedImage]:
    """The images of a batch, with a grounding of each query from its completions (C, E)."""
    slots, masks = batch.predictions.slot_embeddings, batch.predictions.masks
    found = [scored(slots, embeddings) for embeddings in completions]  # (B,) and (B,) each
    for row, (name, image) in enumerate(zip(batch.names, batch.images, strict=True)):
        groundings = tuple(
            Grounding(str(query), int(best[row]), float(scores[row]), masks[row, best[row]])
            for query, (scores, best) in zip(queries, found, strict=True)
        )
        yield GroundedImage(name, image, groundings)
