"""The best matches of an image, a schema or a slot in the common space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from nsi_cli.interpretation.pages.collect import Collected


@dataclass(frozen=True)
class Ranking:
    """The best matches of a split for a query, best first, and the rank of the true one."""

    rows: list[int]  # into the collected split
    scores: list[float]
    own: int | None = None  # the row of the true match, None if there is none
    own_rank: int | None = None  # from 1


def schemas_for_image(
    collected: Collected, slots: npt.NDArray[np.float32], top: int, own: int | None = None
) -> Ranking:
    """The schemas with the highest scores for the slot embeddings (K, E) of an image."""
    part = collected.embeddings
    query = torch.from_numpy(slots)[None].to(part.slots.device)
    return _ranking(part.scores(query, slice(None))[0], top, own)


def images_for_schema(collected: Collected, own: int, top: int) -> Ranking:
    """The images with the highest scores for the schema of the scene in row ``own``."""
    part = collected.embeddings
    return _ranking(part.scores(part.slots, [own])[:, 0], top, own)


def nearest_primitives(
    collected: Collected, slots: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """For each slot embedding (K, E) the primitive of the whole split that scores highest with it.

    Returns the primitives (K, W).
    """
    part = collected.embeddings
    embeddings = part.primitives[part.present]  # (all objects, E)
    best = (torch.from_numpy(slots).to(embeddings.device) @ embeddings.T).argmax(1).cpu().numpy()
    nearest: npt.NDArray[np.float32] = collected.primitives[collected.present][best]
    return nearest


def _ranking(scores: torch.Tensor, top: int, own: int | None) -> Ranking:
    values, rows = scores.topk(min(top, len(scores)))
    rank = None if own is None else int((scores > scores[own]).sum()) + 1
    return Ranking(rows.tolist(), values.tolist(), own, rank)
