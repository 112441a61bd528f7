"""Retrieval with whole scenes: the schemas that fit an image best, the images that fit a schema.

The score is that of the training, S = Σ_t max_k ⟨slot_k, object_t⟩; in a run with one-to-one
alignment, it is the largest sum over one-to-one assignments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nsi_cli.evaluation.predictions import Bools, Floats, Ints, Predictions
from nsi_cli.evaluation.records import Columns
from nsi_cli.interpretation.own_images.batches import OwnBatch
from nsi_cli.interpretation.plots import Picture, Pixels, Plotted, painted, picture_grid, spotlight
from nsi_cli.interpretation.scenes.best import BestScenes
from nsi_cli.interpretation.scenes.scenes import Object, Scenes, words
from nsi_cli.models.alignment import align, score_matrix

if TYPE_CHECKING:
    from nsi_cli.interpretation.data_figure import DataFigure


@dataclass(frozen=True, eq=False)
class SceneMatch:
    """A scene of a split whose schema fits a given image, or whose image fits a given schema.

    The slots are those of the image, the n objects those of the schema, one of which is given.
    """

    index: int  # of the scene in the split
    id: str
    score: float  # of the image with the schema
    image: Pixels  # (S, S, 3), of the scene
    objects: tuple[Object, ...]  # n
    slots: Ints  # (n,), the slot that each object aligns with; −1 without one
    masks: Floats  # (n, h, w), of these slots; zero without one

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without image and masks."""
        return {
            "index": self.index,
            "id": self.id,
            "score": self.score,
            "objects": [dict(values) for values in self.objects],
            "slots": self.slots.tolist(),
        }


@dataclass(frozen=True, eq=False, repr=False)
class SceneMatches(Plotted):
    """The scenes of a split that fit best, best first."""

    split: str
    scenes: int  # in the split
    matches: tuple[SceneMatch, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without images and masks."""
        found = [match.to_dict() for match in self.matches]
        return {"split": self.split, "scenes": self.scenes, "matches": found}

    def columns(self) -> Columns:
        """A row for each match."""
        found = self.matches
        texts = {
            "id": [match.id for match in found],
            "objects": ["; ".join(map(words, match.objects)) for match in found],
            "slots": [" ".join(map(str, match.slots.tolist())) for match in found],
        }
        return {
            "rank": np.arange(1, len(found) + 1),
            "index": np.array([match.index for match in found], np.int64),
            "score": np.array([match.score for match in found]),
            **{name: np.array(column, dtype=object) for name, column in texts.items()},
        }


@dataclass(frozen=True, eq=False, repr=False)
class SchemasOfImage(SceneMatches):
    """The scenes of a split whose schemas fit an image of the user's own."""

    name: str
    image: Pixels  # (S, S, 3), as the model sees it
    masks: Floats  # (K, h, w), of all its slots

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without images and masks."""
        return {"name": self.name, **super().to_dict()}

    def plot(self) -> DataFigure:
        """The image and its slots, then each scene with its objects and the slots they pick."""
        pictures = [Picture(self.image, self.name), painted(self.image, self.masks, "slots")]
        for match in self.matches:
            lines = [f"{match.id}, {match.score:.1f}"]
            for values, slot in zip(match.objects, match.slots.tolist(), strict=True):
                lines.append(f"{words(values)}: {'no slot' if slot < 0 else slot + 1}")
            pictures.append(Picture(match.image, "\n".join(lines)))
        return picture_grid([pictures], self.columns())


@dataclass(frozen=True, eq=False, repr=False)
class ImagesOfSchema(SceneMatches):
    """The scenes of a split whose images fit a schema."""

    objects: tuple[Object, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without images and masks."""
        return {"objects": [dict(values) for values in self.objects], **super().to_dict()}

    def plot(self) -> DataFigure:
        """The images, with the slots that the objects pick lit."""
        pictures = [
            Picture(spotlight(match.image, match.masks.max(0)), f"{match.id}\n{match.score:.1f}")
            for match in self.matches
        ]
        return picture_grid([pictures], self.columns(), "\n".join(map(words, self.objects)))


def schemas_of_images(
    own: Sequence[OwnBatch], batches: Iterable[Predictions], scenes: Scenes, top: int
) -> list[SchemasOfImage]:
    """The ``top`` scenes whose schemas score highest with each image, from all of a split."""
    images = [
        (name, image, part.predictions.masks[row], part.predictions.slot_embeddings[row])
        for part in own
        for row, (name, image) in enumerate(zip(part.names, part.images, strict=True))
    ]
    best = [BestScenes(top) for _ in images]
    for batch in batches if images else ():
        slots = np.stack([slots for *_, slots in images])
        scores = _scores(slots, batch.primitive_embeddings, batch.present, batch.alignment)
        for one, row in zip(best, scores, strict=True):
            one.add(row, batch)
    found = []
    for one, (name, image, masks, slots) in zip(best, images, strict=True):
        matches = []
        for score, scene in one.found:
            embedded = scene.primitive_embeddings[scene.present]
            objects = scenes.objects(scene, 0)
            matches.append(_match(scene, score, slots, masks, embedded, objects, scenes))
        found.append(SchemasOfImage(scenes.split, len(scenes), tuple(matches), name, image, masks))
    return found


def images_of_schemas(
    schemas: Sequence[Sequence[Object]], embedded: Sequence[Floats],
    batches: Iterable[Predictions], scenes: Scenes, top: int,
) -> list[ImagesOfSchema]:  # fmt: skip
    """The ``top`` scenes whose images score highest with each schema, from all of a split.

    ``embedded`` are the embeddings (n, E) of the objects of each schema.
    """
    best = [BestScenes(top) for _ in schemas]
    for batch in batches if schemas else ():
        for one, own in zip(best, embedded, strict=True):
            present = np.ones((1, len(own)), bool)
            scores = _scores(batch.slot_embeddings, own[None], present, batch.alignment)
            one.add(scores[:, 0], batch)
    found = []
    for one, given, own in zip(best, schemas, embedded, strict=True):
        objects = tuple(dict(values) for values in given)
        matches = tuple(
            _match(scene, score, scene.slot_embeddings[0], scene.masks[0], own, objects, scenes)
            for score, scene in one.found
        )
        found.append(ImagesOfSchema(scenes.split, len(scenes), matches, objects))
    return found


def _scores(slots: Floats, primitives: Floats, present: Bools, alignment: str) -> Floats:
    """The scores (Bi, Bj) of images with schemas; see `nsi_cli.models.alignment.score_matrix`."""
    tensors = (
        torch.from_numpy(np.ascontiguousarray(part)) for part in (slots, primitives, present)
    )
    scores: Floats = score_matrix(*tensors, alignment=alignment).numpy()
    return scores


def _match(
    scene: Predictions, score: float, slots: Floats, masks: Floats, embedded: Floats,
    objects: tuple[Object, ...], scenes: Scenes,
) -> SceneMatch:  # fmt: skip
    """The match of an image's slots (K, E) and masks with a schema's embedded objects (n, E)."""
    alignment = align(
        torch.from_numpy(slots)[None], torch.from_numpy(embedded)[None], alignment=scene.alignment
    )
    picked, index = alignment.slot[0].numpy(), int(scene.index[0])
    lit = masks[picked] * (picked >= 0)[:, None, None]
    (image,) = scenes.images([index])
    return SceneMatch(index, scenes.ids[index], score, image, objects, picked, lit)
