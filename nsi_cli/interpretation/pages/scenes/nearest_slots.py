"""The slots of other scenes that are nearest to a slot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nsi_cli.interpretation.description import describe
from nsi_cli.interpretation.pages.collect import Collected
from nsi_cli.interpretation.pages.crops import around
from nsi_cli.interpretation.pages.pictures import photo_uri
from nsi_cli.interpretation.pages.slots.records import SlotRecords
from nsi_cli.interpretation.plots import Pixels
from nsi_cli.schema import Schema

NEAREST = 6
"""The most slots that are shown as nearest to one."""

CROP_SIDE = 60


@dataclass(frozen=True)
class NearSlot:
    """A slot of another scene."""

    picture: str  # a data URI of the square around its peak
    scene: str
    similarity: float  # the cosine of the two embeddings
    object: str  # the object that the slot lies on; empty if it is on none
    alike: bool  # that object has the words of the object that the given slot is aligned with


class NearestSlots:
    """Finds nearest slots among all slots of a split."""

    def __init__(
        self,
        collected: Collected,
        records: SlotRecords,
        schema: Schema,
        ids: Sequence[str],  # by index in the split
        images: Callable[[Sequence[int]], Pixels],
    ) -> None:
        self._collected, self._records, self._schema = collected, records, schema
        self._ids, self._images = ids, images
        slots = collected.embeddings.slots.cpu().numpy()
        lengths = np.linalg.norm(slots, axis=-1, keepdims=True)
        self._directions = slots / np.maximum(lengths, 1e-12)  # (n, K, E)

    def of(self, row: int, slot: int, words: tuple[str, ...]) -> list[NearSlot]:
        """The nearest slots of a slot of scene ``row``, one a scene at most, nearest first.

        ``words`` are those of the object that the slot is aligned with.
        """
        cosines = self._directions @ self._directions[row, slot]  # (n, K)
        best = cosines.argmax(1)
        nearest = cosines.max(1)
        nearest[row] = -np.inf
        rows = np.argsort(-nearest, kind="stable")[: min(NEAREST, len(nearest) - 1)]
        return [
            self._near(other, int(best[other]), float(nearest[other]), words)
            for other in rows.tolist()
        ]

    def _near(self, row: int, slot: int, cosine: float, words: tuple[str, ...]) -> NearSlot:
        primitives, index = self._collected.primitives[row], int(self._collected.index[row])
        number = int(self._records.objects[row, slot])
        found = None if number < 0 else describe(self._schema, primitives[number])
        picture = around(self._images([index])[0], self._records.peaks[row, slot], CROP_SIDE)
        return NearSlot(
            picture=photo_uri(picture),
            scene=self._ids[index],
            similarity=cosine,
            object="" if found is None else found.line,
            alike=found is not None and bool(words) and found.words == words,
        )
