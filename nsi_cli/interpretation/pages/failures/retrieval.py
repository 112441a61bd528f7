"""Images whose own schema is not the best match: what is retrieved in its place, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nsi_cli.interpretation.description import Description, describe
from nsi_cli.interpretation.pages.collect import Collected
from nsi_cli.interpretation.pages.scenes.neighbours import schemas_for_image
from nsi_cli.schema import Schema

EXAMPLES = 6


@dataclass(frozen=True)
class ScoredObject:
    """An object of a schema and its part of the score."""

    description: Description
    score: float
    alike: bool  # the other schema has an object with the same words
    decisive: bool  # of the retrieved schema's other objects the one with the highest score


@dataclass(frozen=True)
class WrongRetrieval:
    """An image with its own schema and the one that scores highest."""

    row: int  # of the scene in the collected split
    other: int  # the row of the scene that the retrieved schema belongs to
    rank: int  # of the image's own schema, from 1
    own: tuple[ScoredObject, ...]  # highest score first
    retrieved: tuple[ScoredObject, ...]

    @property
    def margin(self) -> float:
        """By how much the retrieved schema scores higher."""
        return sum(one.score for one in self.retrieved) - sum(one.score for one in self.own)


def wrong_retrievals(
    collected: Collected, ranks: npt.NDArray[np.float64], schema: Schema
) -> list[WrongRetrieval]:
    """Up to `EXAMPLES` images whose own schema has a rank above 1, from nearly right to worst.

    ``ranks`` (n,) are the ranks of all scenes, in the collected order.
    """
    wrong = np.flatnonzero(ranks > 1)
    ordered = wrong[np.argsort(ranks[wrong], kind="stable")]
    chosen = np.unique(np.linspace(0, len(ordered) - 1, min(EXAMPLES, len(ordered))).astype(int))
    found = (_wrong(collected, int(row), schema) for row in ordered[chosen])
    return [one for one in found if one is not None]


def _wrong(collected: Collected, row: int, schema: Schema) -> WrongRetrieval | None:
    slots = collected.embeddings.slots[row]
    ranking = schemas_for_image(collected, slots.cpu().numpy(), 1, own=row)
    other = ranking.rows[0]
    if other == row or ranking.own_rank is None:  # a tie
        return None
    sides = [_descriptions(collected, one, schema) for one in (row, other)]
    scores = [
        collected.embeddings.object_scores(slots, one)
        .cpu()
        .numpy()[collected.present[one]]
        .tolist()
        for one in (row, other)
    ]
    own = _scored(sides[0], scores[0], sides[1], decisive=False)
    retrieved = _scored(sides[1], scores[1], sides[0], decisive=True)
    return WrongRetrieval(row, other, ranking.own_rank, own, retrieved)


def _descriptions(collected: Collected, row: int, schema: Schema) -> list[Description]:
    primitives = collected.primitives[row][collected.present[row]]
    return [describe(schema, primitive) for primitive in primitives]


def _scored(
    objects: Sequence[Description],
    scores: Sequence[float],
    others: Sequence[Description],
    *,
    decisive: bool,
) -> tuple[ScoredObject, ...]:
    """The objects by score; each of ``others`` is alike to one object at most."""
    unmatched = Counter(one.words for one in others)
    found = []
    for number in sorted(range(len(objects)), key=lambda number: -scores[number]):
        words = objects[number].words
        alike = bool(words) and unmatched[words] > 0
        unmatched[words] -= alike
        decides = decisive and not alike
        decisive = decisive and not decides
        found.append(ScoredObject(objects[number], scores[number], alike, decides))
    return tuple(found)
