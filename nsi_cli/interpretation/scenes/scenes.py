"""The scenes of a split, each with its slots and the alignment of its objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from nsi_cli.evaluation.predictions import Bytes, Floats, Ints, Predictions
from nsi_cli.evaluation.records import Columns
from nsi_cli.interpretation.plots import (
    Picture,
    Pixels,
    Plotted,
    painted,
    picture_grid,
    spotlight,
)

if TYPE_CHECKING:
    from nsi_cli.interpretation.data_figure import DataFigure
    from nsi_cli.interpretation.run_predictions import RunPredictions

PLOTTED_SCENES = 8
"""Number of scenes that the figure of a whole split shows."""

_BATCH = 64

Object = Mapping[str, Any]
"""An object's values by the names of its properties; None is a missing value."""


@dataclass(frozen=True, eq=False, repr=False)
class PredictedScene(Plotted):
    """A scene of a split with n objects, and the K slots of its image."""

    split: str
    index: int  # in the split
    id: str
    image: Pixels  # (S, S, 3)
    objects: tuple[Object, ...]  # n
    attention_masks: Floats  # (K, h, w)
    slot_masks: Floats | None  # (K, h, w); None without a decoder
    true_mask: Bytes | None  # (S, S), 0 the background, i object i; None if the store has none
    slot_embeddings: Floats  # (K, E)
    object_embeddings: Floats  # (n, E)
    aligned_slot: Ints  # (n,), −1 for an object without a slot
    aligned_score: Floats  # (n,)

    @property
    def masks(self) -> Floats:
        """The slot masks, or the attention masks without a decoder, (K, h, w)."""
        return self.attention_masks if self.slot_masks is None else self.slot_masks

    @property
    def scores(self) -> Floats:
        """The score of each object with each slot, (n, K)."""
        return np.asarray(self.object_embeddings @ self.slot_embeddings.T)

    @property
    def score(self) -> float:
        """The score of the image with its own schema."""
        return float(self.aligned_score.sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without image, masks and embeddings."""
        aligned = zip(self.aligned_slot.tolist(), self.aligned_score.tolist(), strict=True)
        return {
            "split": self.split,
            "index": self.index,
            "id": self.id,
            "score": self.score,
            "objects": [
                {"properties": dict(values), "slot": slot, "score": score}
                for values, (slot, score) in zip(self.objects, aligned, strict=True)
            ],
            "scores": self.scores.tolist(),
        }

    def columns(self) -> Columns:
        """A row for each object."""
        names = list(self.objects[0]) if self.objects else []
        return {
            "object": np.arange(1, len(self.objects) + 1),
            **{name: as_column([one[name] for one in self.objects]) for name in names},
            "slot": self.aligned_slot,
            "score": self.aligned_score,
        }

    def plot(self) -> DataFigure:
        """The image, the segments of its slots, and the slot of each object."""
        pictures = [
            Picture(self.image, self.id),
            painted(self.image, self.masks, "slots"),
        ]
        for values, slot, score in zip(
            self.objects, self.aligned_slot.tolist(), self.aligned_score.tolist(), strict=True
        ):
            where = "no slot" if slot < 0 else f"slot {slot + 1}, {score:.1f}"
            mask = np.zeros_like(self.masks[0]) if slot < 0 else self.masks[slot]
            pictures.append(Picture(spotlight(self.image, mask), f"{words(values)}\n{where}"))
        return picture_grid([pictures], self.columns())


@dataclass(frozen=True, repr=False)
class Scenes(Plotted):
    """The scenes of a split, by index and in order; predictions are made when they are needed."""

    run: RunPredictions
    split: str

    def __post_init__(self) -> None:
        self.run.store.count(self.split)

    def __repr__(self) -> str:
        return f"{len(self)} scenes of the split {self.split}"

    def __len__(self) -> int:
        return self.run.store.count(self.split)

    @overload
    def __getitem__(self, number: int) -> PredictedScene: ...
    @overload
    def __getitem__(self, number: slice) -> list[PredictedScene]: ...
    def __getitem__(self, number: int | slice) -> PredictedScene | list[PredictedScene]:
        """The scene at an index, or a list of those in a slice. Raises `IndexError`."""
        if isinstance(number, slice):
            return [self[index] for index in range(*number.indices(len(self)))]
        index = range(len(self))[number]
        return self._scene(self.run.predict_scene(self.split, index), 0, self.images([index])[0])

    def __iter__(self) -> Iterator[PredictedScene]:
        for batch in self.run.predictions(self.split, _BATCH, stage="scenes"):
            images = self.images(batch.index)
            for row in range(len(batch)):
                yield self._scene(batch, row, images[row])

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The id of each scene, by index."""
        return tuple(self.run.store.ids(self.split))

    def images(self, index: npt.ArrayLike) -> Pixels:
        """The images (n, S, S, 3) of some scenes."""
        return self.run.store.images(self.split, index)

    def objects(self, batch: Predictions, row: int) -> tuple[Object, ...]:
        """The objects of a scene of a batch of this split."""
        present = batch.primitives[row][batch.present[row]]
        return tuple(self.run.run.schema.decode(present))

    def to_dict(self) -> list[dict[str, Any]]:
        """Plain values of every scene."""
        return [scene.to_dict() for scene in self]

    def columns(self) -> Columns:
        """A row for each of the first `PLOTTED_SCENES` scenes."""
        return _columns(self[:PLOTTED_SCENES])

    def plot(self) -> DataFigure:
        """The first `PLOTTED_SCENES` scenes: each image, and below it the segments of its slots."""
        shown = self[:PLOTTED_SCENES]
        rows = [
            [Picture(scene.image, scene.id) for scene in shown],
            [painted(scene.image, scene.masks) for scene in shown],
        ]
        return picture_grid(rows, _columns(shown))

    def _scene(self, batch: Predictions, row: int, image: Pixels) -> PredictedScene:
        present, index = batch.present[row], int(batch.index[row])
        return PredictedScene(
            split=self.split,
            index=index,
            id=self.ids[index],
            image=image,
            objects=self.objects(batch, row),
            attention_masks=batch.attention_masks[row],
            slot_masks=None if batch.slot_masks is None else batch.slot_masks[row],
            true_mask=None if batch.true_masks is None else batch.true_masks[row],
            slot_embeddings=batch.slot_embeddings[row],
            object_embeddings=batch.primitive_embeddings[row][present],
            aligned_slot=batch.aligned_slot[row][present],
            aligned_score=batch.aligned_score[row][present],
        )


def words(values: Object) -> str:
    """An object's categorical values in one line; its numbers if it has none."""
    found = [value for value in values.values() if isinstance(value, str)]
    return " ".join(found or (f"{name} {_text(value)}" for name, value in values.items()))


def as_column(values: Sequence[Any]) -> npt.NDArray[Any]:
    """Values of a property as an array of texts and numbers, for a table."""
    column = np.empty(len(values), dtype=object)
    column[:] = [_text(value) if isinstance(value, list | tuple) else value for value in values]
    return column


def _text(value: Any) -> str:
    parts = value if isinstance(value, list | tuple) else [value]
    return " ".join(f"{part:.4g}" if isinstance(part, float) else str(part) for part in parts)


def _columns(scenes: Sequence[PredictedScene]) -> Columns:
    return {
        "index": np.array([scene.index for scene in scenes], np.int64),
        "id": np.array([scene.id for scene in scenes], dtype=object),
        "objects": np.array([len(scene.objects) for scene in scenes], np.int64),
        "score": np.array([scene.score for scene in scenes]),
    }
