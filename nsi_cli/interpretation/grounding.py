"""Where queries are in images: the slot that scores highest with each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Floats, Predictions
from nsi_cli.interpretation.plots import Pixels, Plotted, picture_grid, spotlight
from nsi_cli.interpretation.query import Query
from nsi_cli.interpretation.search import completions_of, scored
from nsi_cli.schema import Schema

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


@dataclass(frozen=True)
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

    def plot(self) -> Figure:
        """A row for each image: the image, then where each query is."""
        return picture_grid(
            [
                [
                    (one.image, one.name),
                    *(
                        (spotlight(one.image, found.mask), f"{found.query}\n{found.score:.1f}")
                        for found in one.groundings
                    ),
                ]
                for one in self.images
            ]
        )


def ground(
    queries: Sequence[Query],
    schema: Schema,
    encode: EncodePrimitives,
    images: Sequence[tuple[str, Pixels, Predictions]],
    excluded: Sequence[str] = (),
) -> Grounded:
    """Ground queries in images, each with its name and the predictions for it alone.

    Queries are completed as in `nsi_cli.interpretation.search`; ``schema`` has the range of the
    training data as bounds.
    """
    completions = [completions_of(query, schema, encode, excluded) for query in queries]
    found = []
    for name, image, predictions in images:
        groundings = []
        for query, embeddings in zip(queries, completions, strict=True):
            score, slot = scored(predictions.slot_embeddings, embeddings)
            mask = predictions.masks[0, slot[0]]
            groundings.append(Grounding(str(query), int(slot[0]), float(score[0]), mask))
        found.append(GroundedImage(name, image, tuple(groundings)))
    return Grounded(tuple(found))
