"""The best matches of an image, a schema or a slot in the common space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from nsi_cli.interpretation.collect import Collected


@dataclass(frozen=True)
class Ranking:
    """The best of a split for one query, best first, and where the true answer came."""

    rows: list[int]  # into the collected split
    scores: list[float]
    own: int | None = None  # the true answer's row, None if nobody knows it
    own_rank: int | None = None  # from 1


def schemas_for_image(
    collected: Collected, slots: npt.NDArray[np.float32], top: int, own: int | None = None
) -> Ranking:
    """The schemas that fit slot embeddings (K, E) best."""
    part = collected.embeddings
    query = torch.from_numpy(slots)[None].to(part.slots.device)
    return _ranking(part.scores(query, slice(None))[0], top, own)


def images_for_schema(collected: Collected, own: int, top: int) -> Ranking:
    """The images that fit the schema of a scene of the split best."""
    part = collected.embeddings
    return _ranking(part.scores(part.slots, [own])[:, 0], top, own)


def nearest_primitives(
    collected: Collected, slots: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """For each slot embedding (K, E) the primitive of the whole split that scores highest with it.

    Returns the primitives (K, W).
    """
    part = collected.embeddings
    there = part.primitives[part.present]  # (all objects, E)
    best = (torch.from_numpy(slots).to(there.device) @ there.T).argmax(1).cpu().numpy()
    found: npt.NDArray[np.float32] = collected.primitives[collected.present][best]
    return found


def _ranking(scores: torch.Tensor, top: int, own: int | None) -> Ranking:
    values, rows = scores.topk(min(top, len(scores)))
    rank = None if own is None else int((scores > scores[own]).sum()) + 1
    return Ranking(rows.tolist(), values.tolist(), own, rank)
