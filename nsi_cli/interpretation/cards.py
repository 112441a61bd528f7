"""A scene as the page shows it: pictures, objects with their slots, and what was retrieved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from nsi_cli.evaluation.metrics.grounding import peak_pixels, peaks_inside, visible_objects
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.segments import overlap_ratios, segments, upsampled
from nsi_cli.interpretation.collect import Collected
from nsi_cli.interpretation.colours import slot_colour
from nsi_cli.interpretation.description import Description, describe
from nsi_cli.interpretation.neighbours import (
    Ranking,
    images_for_schema,
    nearest_primitives,
    schemas_for_image,
)
from nsi_cli.interpretation.pictures import mask_uri, photo_uri, segments_uri, truth_uri
from nsi_cli.schema import Schema

Image = npt.NDArray[np.uint8]
Percent = tuple[float, float]


@dataclass(frozen=True)
class MaskPictures:
    """One kind of masks of a scene."""

    name: str  # slot_masks or attention_masks
    painted: str
    slots: list[str]  # a mask's picture for each slot
    peaks: list[Percent]  # where each mask is largest, from the left and from the top
    shares: list[float]  # of the image's pixels that each slot wins


@dataclass(frozen=True)
class ObjectRow:
    """A primitive of the scene and the slot it is aligned with, None if none was left."""

    description: Description
    slot: int | None
    score: float
    bar: float  # the score as a percentage of the scene's best
    crop: tuple[float, float, float] | None  # zoom, left and top in percent, of the slot's region
    shared: bool  # another primitive picked the same slot
    visible: bool
    inside: bool | None  # the peak lies on the object; None if nobody knows
    iou: float | None


@dataclass(frozen=True)
class Candidate:
    """One retrieved scene."""

    rank: int
    row: int
    scene: str
    score: float
    hit: bool
    objects: list[
        tuple[Description, bool]
    ]  # its objects, and whether the query's scene has one alike


@dataclass(frozen=True)
class SceneCard:
    """What the page shows of one image."""

    anchor: str
    title: str
    photo: str
    masks: list[MaskPictures]
    truth: str | None
    objects: list[ObjectRow]
    slots: list[Description]  # for each slot the nearest primitive of the split
    schemas: list[Candidate]
    images: list[Candidate]
    schema_rank: int | None
    image_rank: int | None

    @property
    def grounded(self) -> tuple[int, int] | None:
        """How many of the visible objects are pointed at; None if nobody knows."""
        seen = [row.inside for row in self.objects if row.visible and row.inside is not None]
        return (sum(seen), len(seen)) if seen else None


@dataclass(frozen=True)
class CardMaker:
    """Draws cards; knows the split, its names, and how many candidates to show."""

    collected: Collected
    schema: Schema
    ids: list[str]  # by place in the split
    top: int

    def of_scene(self, predictions: Predictions, image: Image) -> SceneCard:
        """The card of a scene of the split; ``predictions`` hold one scene."""
        row = self.collected.row(predictions)
        schemas = schemas_for_image(
            self.collected, predictions.slot_embeddings[0], self.top, own=row
        )
        images = images_for_schema(self.collected, row, self.top)
        return self._card(f"scene-{row}", self._name(row), predictions, image, schemas, images)

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
        near = nearest_primitives(self.collected, predictions.slot_embeddings[0])
        own = _words(predictions.primitives[0][predictions.present[0]], self.schema)
        return SceneCard(
            anchor=anchor,
            title=title,
            photo=photo_uri(image),
            masks=_mask_pictures(predictions),
            truth=_truth(predictions),
            objects=_objects(predictions, self.schema, image.shape[0]),
            slots=[describe(self.schema, primitive) for primitive in near],
            schemas=self._candidates(schemas, own),
            images=[] if images is None else self._candidates(images, own),
            schema_rank=schemas.own_rank,
            image_rank=None if images is None else images.own_rank,
        )

    def _candidates(self, ranking: Ranking, own: Counter[tuple[str, ...]]) -> list[Candidate]:
        return [
            Candidate(
                rank=rank,
                row=row,
                scene=self._name(row).removeprefix(self._common),
                score=score,
                hit=row == ranking.own,
                objects=self._objects_of(row, own),
            )
            for rank, (row, score) in enumerate(
                zip(ranking.rows, ranking.scores, strict=True), start=1
            )
        ]

    def _objects_of(
        self, row: int, own: Counter[tuple[str, ...]]
    ) -> list[tuple[Description, bool]]:
        """The objects of a scene, each marked where the query has one of the same words.

        One of which a word is missing is like no other.
        """
        left, objects = own.copy(), []
        for primitive in self.collected.primitives[row][self.collected.present[row]]:
            object_ = describe(self.schema, primitive)
            alike = object_.known and bool(object_.words) and left[object_.words] > 0
            left[object_.words] -= alike
            objects.append((object_, alike))
        return objects

    @cached_property
    def _common(self) -> str:
        """What all ids begin with, up to their numbers; it would only crowd the candidates."""
        pairs = zip(min(self.ids), max(self.ids), strict=False)
        same = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        return same.rstrip("0123456789")

    def _name(self, row: int) -> str:
        return self.ids[int(self.collected.index[row])]


def _words(primitives: npt.NDArray[np.float32], schema: Schema) -> Counter[tuple[str, ...]]:
    return Counter(describe(schema, primitive).words for primitive in primitives)


def _mask_pictures(predictions: Predictions) -> list[MaskPictures]:
    kinds = {"slot_masks": predictions.slot_masks, "attention_masks": predictions.attention_masks}
    return [_pictures_of(name, masks[0]) for name, masks in kinds.items() if masks is not None]


def _pictures_of(name: str, masks: npt.NDArray[np.float32]) -> MaskPictures:
    side = 200
    won = np.bincount(segments(masks[None], side).ravel(), minlength=len(masks)) / side**2
    peaks = peak_pixels(masks, 1000) / 10
    return MaskPictures(
        name=name,
        painted=segments_uri(masks, [slot_colour(slot) for slot in range(len(masks))]),
        slots=[mask_uri(mask) for mask in masks],
        peaks=[(float(left), float(top)) for top, left in peaks],
        shares=won.tolist(),
    )


def _truth(predictions: Predictions) -> str | None:
    if predictions.true_masks is None:
        return None
    slots = predictions.aligned_slot[0].tolist()
    there = (predictions.present & (predictions.aligned_slot >= 0))[0].tolist()
    return truth_uri(
        predictions.true_masks[0],
        [slot if seen else None for slot, seen in zip(slots, there, strict=True)],
    )


def _objects(predictions: Predictions, schema: Schema, size: int) -> list[ObjectRow]:
    places = np.flatnonzero(predictions.present[0])
    slots, scores = predictions.aligned_slot[0], predictions.aligned_score[0]
    has_slot = slots >= 0
    known = predictions.true_masks is not None
    visible, inside = visible_objects(predictions)[0], peaks_inside(predictions)[0]
    overlap = predictions.overlap(predictions.masks_name)
    ious = None if overlap is None else overlap_ratios(overlap[0])
    picked = Counter(slots[places].tolist())
    best = max(float(scores[places].max(initial=0)), 1e-9)
    large = upsampled(predictions.masks[0], size)
    return [
        ObjectRow(
            description=describe(schema, predictions.primitives[0, place]),
            slot=int(slots[place]) if has_slot[place] else None,
            score=float(scores[place]),
            bar=max(0.0, 100 * float(scores[place]) / best),
            crop=_crop(_around_peak(large[slots[place]])) if has_slot[place] else None,
            shared=bool(has_slot[place]) and picked[int(slots[place])] > 1,
            visible=bool(visible[place]) or not known,
            inside=bool(inside[place]) if known else None,
            iou=float(ious[place + 1, slots[place]])
            if ious is not None and has_slot[place]
            else None,
        )
        for place in places
    ]


def _around_peak(mask: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """The connected region around a mask's peak that reaches at least half of its height."""
    regions, _ = ndimage.label(mask >= mask.max() / 2)
    return np.asarray(regions == regions.flat[mask.argmax()])


def _crop(region: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """The square around a region, as CSS takes a crop: zoom, left and top in percent."""
    if not region.any():
        return 100.0, 0.0, 0.0
    size = len(region)
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    wide = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = min(size, max(round(wide * 1.1), size // 6))
    corners = []
    for cells in (columns, rows):
        start = min(max(0, (cells[0] + cells[-1] + 1 - side) // 2), size - side)
        corners.append(100 * float(start) / (size - side) if size > side else 0.0)
    return 100 * size / side, corners[0], corners[1]
