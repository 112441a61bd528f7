"""The card of a scene: its pictures, its objects with their slots, and the retrieved scenes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from os.path import commonprefix

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.metrics.grounding import peak_pixels
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.segments import segments
from nsi_cli.interpretation.colours import slot_colour
from nsi_cli.interpretation.description import Description, describe
from nsi_cli.interpretation.pages.collect import Collected
from nsi_cli.interpretation.pages.pictures import mask_uri, photo_uri, segments_uri, truth_uri
from nsi_cli.interpretation.pages.scenes.nearest_slots import NearestSlots, NearSlot
from nsi_cli.interpretation.pages.scenes.neighbours import (
    Ranking,
    images_for_schema,
    nearest_primitives,
    schemas_for_image,
)
from nsi_cli.interpretation.pages.scenes.object_rows import ObjectRow, object_rows
from nsi_cli.schema import Schema

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MaskPictures:
    """The pictures of one kind of masks of a scene."""

    name: str  # slot_masks or attention_masks
    painted: str
    slots: list[str]  # the mask of each slot
    peaks: list[tuple[float, float]]  # of each mask, in percent from the left and from the top
    shares: list[float]  # the share of the image's pixels that each slot wins


@dataclass(frozen=True)
class Candidate:
    """One retrieved scene."""

    rank: int
    row: int
    scene: str
    score: float
    hit: bool
    objects: list[tuple[Description, bool]]  # and whether the query's scene has one alike


@dataclass(frozen=True)
class Cell:
    """The score of an object with a slot."""

    score: float
    strength: float  # from 0 to 1, between the scene's lowest and highest score
    aligned: bool


@dataclass(frozen=True)
class SlotNeighbours:
    """The slots of other scenes that are nearest to a slot that an object aligns with."""

    slot: int
    description: Description  # of the object
    slots: list[NearSlot]


@dataclass(frozen=True)
class SceneCard:
    """The parts of the page about one image."""

    anchor: str
    title: str
    photo: str
    masks: list[MaskPictures]
    truth: str | None
    objects: list[ObjectRow]
    matrix: list[list[Cell]]  # for each object its score with every slot
    slots: list[Description]  # for each slot the nearest primitive of the split
    schemas: list[Candidate]
    images: list[Candidate]
    schema_rank: int | None
    image_rank: int | None
    nearest: list[SlotNeighbours]
    kind: str = ""  # best, median or worst; empty if the scenes were not chosen by that

    @property
    def grounded(self) -> tuple[int, int] | None:
        """How many visible objects are pointed at, and out of how many; None if unknown."""
        seen = [row.inside for row in self.objects if row.visible and row.inside is not None]
        return (sum(seen), len(seen)) if seen else None


@dataclass(frozen=True)
class CardMaker:
    """Makes the cards of a split; ``top`` is how many retrieved scenes each shows."""

    collected: Collected
    schema: Schema
    ids: list[str]  # by index in the split
    top: int
    kinds: Mapping[int, str] = field(default_factory=dict)  # by index
    nearest: NearestSlots | None = None

    def of_scene(self, predictions: Predictions, image: Image) -> SceneCard:
        """The card of a scene of the split; ``predictions`` hold one scene."""
        row = self.collected.row(predictions)
        slots = predictions.slot_embeddings[0]
        schemas = schemas_for_image(self.collected, slots, self.top, own=row)
        images = images_for_schema(self.collected, row, self.top)
        card = self._card(f"scene-{row}", self._name(row), predictions, image, schemas, images)
        kind = self.kinds.get(int(predictions.index[0]), "")
        return replace(card, kind=kind, nearest=self._neighbours(row, card.objects))

    def of_upload(
        self, number: int, name: str, predictions: Predictions, image: Image
    ) -> SceneCard:
        """The card of an image without annotation; ``predictions`` hold one image."""
        schemas = schemas_for_image(self.collected, predictions.slot_embeddings[0], self.top)
        return self._card(f"image-{number}", name, predictions, image, schemas, None)

    def _card(
        self, anchor: str, title: str, predictions: Predictions, image: Image, schemas: Ranking,
        images: Ranking | None,
    ) -> SceneCard:  # fmt: skip
        near = self._nearest(predictions.slot_embeddings[0])
        primitives = predictions.primitives[0][predictions.present[0]]
        own = Counter(describe(self.schema, primitive).words for primitive in primitives)
        return SceneCard(
            anchor=anchor,
            title=title,
            photo=photo_uri(image),
            masks=_mask_pictures(predictions),
            truth=_truth(predictions),
            objects=object_rows(predictions, self.schema, image.shape[0]),
            matrix=_matrix(predictions),
            slots=[describe(self.schema, primitive) for primitive in near],
            schemas=self._candidates(schemas, own),
            images=[] if images is None else self._candidates(images, own),
            schema_rank=schemas.own_rank,
            image_rank=None if images is None else images.own_rank,
            nearest=[],
        )

    def _nearest(self, slots: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The nearest primitive (K, W) of each slot; without values if the split has no object."""
        if self.collected.present.any():
            return nearest_primitives(self.collected, slots)
        return self.schema.encode([dict.fromkeys(self.schema.columns)]).repeat(len(slots), axis=0)

    def _neighbours(self, row: int, objects: list[ObjectRow]) -> list[SlotNeighbours]:
        """The neighbours of each slot that an object aligns with, once for each slot."""
        if self.nearest is None:
            return []
        first = {one.slot: one.description for one in reversed(objects) if one.slot is not None}
        return [
            SlotNeighbours(slot, description, self.nearest.of(row, slot, description.words))
            for slot, description in sorted(first.items())
        ]

    def _candidates(self, ranking: Ranking, own: Counter[tuple[str, ...]]) -> list[Candidate]:
        matches = zip(ranking.rows, ranking.scores, strict=True)
        return [
            Candidate(
                rank=rank,
                row=row,
                scene=self._name(row).removeprefix(self._prefix),
                score=score,
                hit=row == ranking.own,
                objects=self._objects_of(row, own),
            )
            for rank, (row, score) in enumerate(matches, start=1)
        ]

    def _objects_of(
        self, row: int, own: Counter[tuple[str, ...]]
    ) -> list[tuple[Description, bool]]:
        """The objects of a scene, and whether each matches an object of the query by its words.

        Each object of the query matches once; an object with an unknown word matches none.
        """
        unmatched, objects = own.copy(), []
        for primitive in self.collected.primitives[row][self.collected.present[row]]:
            description = describe(self.schema, primitive)
            words = description.words
            alike = description.known and bool(words) and unmatched[words] > 0
            unmatched[words] -= alike
            objects.append((description, alike))
        return objects

    @cached_property
    def _prefix(self) -> str:
        """The prefix that all ids share, without digits; candidates are shown without it."""
        return commonprefix(self.ids).rstrip("0123456789")  # noqa: RUF071  # letter by letter

    def _name(self, row: int) -> str:
        return self.ids[int(self.collected.index[row])]


def _matrix(predictions: Predictions) -> list[list[Cell]]:
    """The scores of the objects of one scene with its slots."""
    present = predictions.present[0]
    if not present.any():
        return []
    scores = predictions.primitive_embeddings[0][present] @ predictions.slot_embeddings[0].T
    strengths = (scores - scores.min()) / max(float(np.ptp(scores)), 1e-9)
    return [
        [
            Cell(float(score), float(strength), number == slot)
            for number, (score, strength) in enumerate(zip(row, shown, strict=True))
        ]
        for row, shown, slot in zip(
            scores, strengths, predictions.aligned_slot[0][present], strict=True
        )
    ]


def _mask_pictures(predictions: Predictions) -> list[MaskPictures]:
    kinds = {"slot_masks": predictions.slot_masks, "attention_masks": predictions.attention_masks}
    side, found = 200, []
    for name, batch in kinds.items():
        if batch is None:
            continue
        masks = batch[0]
        pixels = np.bincount(segments(batch, side).ravel(), minlength=len(masks))
        peaks = peak_pixels(masks, 1000) / 10
        found.append(
            MaskPictures(
                name=name,
                painted=segments_uri(masks, [slot_colour(slot) for slot in range(len(masks))]),
                slots=[mask_uri(mask) for mask in masks],
                peaks=[(float(left), float(top)) for top, left in peaks],
                shares=(pixels / side**2).tolist(),
            )
        )
    return found


def _truth(predictions: Predictions) -> str | None:
    if predictions.true_masks is None:
        return None
    slots = predictions.aligned_slot[0].tolist()
    aligned = (predictions.present & (predictions.aligned_slot >= 0))[0].tolist()
    return truth_uri(
        predictions.true_masks[0],
        [slot if known else None for slot, known in zip(slots, aligned, strict=True)],
    )
