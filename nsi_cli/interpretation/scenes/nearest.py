"""The slots of a split that are nearest to a given slot, one of each scene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nsi_cli.evaluation.predictions import Floats, Predictions
from nsi_cli.evaluation.records import Columns
from nsi_cli.interpretation.plots import Picture, Pixels, Plotted, picture_grid, spotlight
from nsi_cli.interpretation.scenes.best import BestScenes
from nsi_cli.interpretation.scenes.scenes import Scenes

if TYPE_CHECKING:
    from nsi_cli.interpretation.data_figure import DataFigure


@dataclass(frozen=True, eq=False)
class NearSlot:
    """The slot of a scene that is nearest to a given one."""

    index: int  # of the scene in the split
    id: str
    similarity: float  # the cosine of the two embeddings
    slot: int
    mask: Floats  # (h, w), of the slot
    image: Pixels  # (S, S, 3), of the scene

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without image and mask."""
        return {
            "index": self.index,
            "id": self.id,
            "similarity": self.similarity,
            "slot": self.slot,
        }


@dataclass(frozen=True, repr=False)
class NearSlots(Plotted):
    """The scenes of a split with the nearest slots, nearest first."""

    split: str
    scenes: int  # in the split
    matches: tuple[NearSlot, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without images and masks."""
        found = [match.to_dict() for match in self.matches]
        return {"split": self.split, "scenes": self.scenes, "matches": found}

    def columns(self) -> Columns:
        """A row for each match."""
        rows = [match.to_dict() for match in self.matches]
        kinds = {"index": np.int64, "id": object, "similarity": np.float64, "slot": np.int64}
        return {
            "rank": np.arange(1, len(rows) + 1),
            **{name: np.array([row[name] for row in rows], kind) for name, kind in kinds.items()},
        }

    def plot(self) -> DataFigure:
        """The images, each with its nearest slot lit."""
        pictures = [
            Picture(
                spotlight(match.image, match.mask),
                f"{match.id}\nslot {match.slot + 1}, cosine {match.similarity:.2f}",
            )
            for match in self.matches
        ]
        return picture_grid([pictures], self.columns())


def nearest_slots(
    slots: Floats, batches: Iterable[Predictions], scenes: Scenes, top: int
) -> list[NearSlots]:
    """The ``top`` scenes with the slots nearest to each of ``slots`` (n, E), of all of a split."""
    directions, best = _directions(slots), [BestScenes(top) for _ in slots]
    for batch in batches if len(slots) else ():
        cosines = _directions(batch.slot_embeddings) @ directions.T  # (B, K, n)
        for one, scores in zip(best, cosines.max(1).T, strict=True):
            one.add(scores, batch)
    return [
        NearSlots(scenes.split, len(scenes), tuple(_matches(one, direction, scenes)))
        for one, direction in zip(best, directions, strict=True)
    ]


def _directions(slots: Floats) -> Floats:
    """Embeddings (…, E) of length 1."""
    lengths = np.linalg.norm(slots, axis=-1, keepdims=True)
    return np.asarray(slots / np.maximum(lengths, 1e-12), np.float32)


def _matches(best: BestScenes, direction: Floats, scenes: Scenes) -> Iterator[NearSlot]:
    for cosine, scene in best.found:
        index = int(scene.index[0])
        slot = int((_directions(scene.slot_embeddings[0]) @ direction).argmax())
        (image,) = scenes.images([index])
        yield NearSlot(index, scenes.ids[index], cosine, slot, scene.masks[0, slot], image)
