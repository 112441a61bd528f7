"""The score that ties slots to primitives, and the losses (Dedhia & Jha, arXiv 2403.07887)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nsi_cli.models.assignment import assign
from nsi_cli.models.layers import check_shape, precise
from nsi_cli.support.errors import NsiError

_MOST_PRODUCTS = 2**24
"""Dot products held at once where no gradient is wanted: 64 MiB of float32."""


HUNGARIAN = "hungarian"
"""The alignment that gives no two primitives one slot; any other is each one's best slot."""


@dataclass(frozen=True)
class Alignment:
    """The slot of each primitive of B scenes, and the score of the pair.

    With one-to-one alignment, a primitive without a slot has slot −1 and score 0.
    """

    slot: Tensor  # (B, T) int64
    score: Tensor  # (B, T)


def align(
    slot_embeddings: Tensor,
    primitive_embeddings: Tensor,
    present: Tensor | None = None,
    *,
    alignment: str = "max",
) -> Alignment:
    """Slots (B, K, E) and primitives (B, T, E) of the same scenes → `Alignment`.

    The score is the raw dot product. ``alignment`` is max, each primitive's best slot, or
    hungarian, a different slot for each ``present`` (B, T) primitive; None means all.
    """
    with torch.autocast(slot_embeddings.device.type, enabled=False):
        products = torch.einsum(
            "bke,bte->bkt", precise(slot_embeddings), precise(primitive_embeddings)
        )
        if alignment != HUNGARIAN:
            score, slot = products.max(1)
            return Alignment(slot, score)
        if present is None:
            present = torch.ones_like(products[:, 0], dtype=torch.bool)
        slot = assign(products, present)
        return Alignment(slot, _chosen(products, slot))


def _chosen(products: Tensor, slot: Tensor) -> Tensor:
    """The product (…, T) of each primitive with its slot, out of (…, K, T); 0 without a slot."""
    found = products.gather(-2, slot.clamp(min=0).unsqueeze(-2)).squeeze(-2)
    return found.masked_fill(slot < 0, 0.0)


def score_matrix(
    slots: Tensor,
    primitives: Tensor,
    present: Tensor,
    *,
    alignment: str = "max",
    floor: Tensor | None = None,
    chunk: int | None = None,
) -> Tensor:
    """Scores of images with scenes: S_ij = Σ_t present_jt · max_k ⟨slot_ik, primitive_jt⟩.

    Slot embeddings (Bi, K, E), primitive embeddings (Bj, T, E) and present (Bj, T) bool →
    (Bi, Bj), at least float32. With ``alignment`` hungarian no two primitives share a slot: the
    largest sum over one-to-one assignments, in which primitives without a slot add nothing. It is
    solved only where an upper bound, the score of max, reaches ``floor`` (Bi, Bj); elsewhere the
    score is −∞. If there are more primitives than slots, the bound has no negative terms.
    ``chunk`` images are scored at a time; None keeps the dot products below 64 MiB, or scores
    all at once if a gradient is needed.
    """
    hint = "both encoders must embed into one space, and present must fit the primitives"
    check_shape("slot embeddings", slots, hint, Bi=None, K=None, E=primitives.shape[-1])
    check_shape("primitive embeddings", primitives, hint, Bj=None, T=None, E=slots.shape[-1])
    check_shape("present", present, hint, Bj=primitives.shape[0], T=primitives.shape[1])
    if chunk is None:
        products = max(1, slots.shape[1] * present.numel())
        whole = torch.is_grad_enabled() and (slots.requires_grad or primitives.requires_grad)
        chunk = len(slots) if whole else _MOST_PRODUCTS // products
    with torch.autocast(slots.device.type, enabled=False):
        columns = precise(primitives).masked_fill(~present[..., None], 0.0).flatten(0, 1).T
        parts = torch.split(precise(slots), max(1, chunk))
        if alignment != HUNGARIAN:
            return torch.cat([_score(part, columns, present) for part in parts])
        floors = [None] * len(parts) if floor is None else torch.split(floor, max(1, chunk))
        matched = zip(parts, floors, strict=True)
        return torch.cat([_matched(part, columns, present, floor) for part, floor in matched])


def _score(slots: Tensor, columns: Tensor, present: Tensor) -> Tensor:
    """Slots (Bi, K, E), primitives as columns (E, Bj·T), zero if absent → scores (Bi, Bj)."""
    products = slots.flatten(0, 1) @ columns  # (Bi·K, Bj·T)
    products = products.view(*slots.shape[:2], columns.shape[1])
    # amax needs a fifth of the time, but would share the gradient among equal products.
    best = products.max(1).values if products.requires_grad else products.amax(1)  # (Bi, Bj·T)
    return best.view(len(slots), *present.shape).sum(-1)


def _matched(slots: Tensor, columns: Tensor, present: Tensor, floor: Tensor | None) -> Tensor:
    """The same with a different slot for each primitive; −∞ where it cannot reach ``floor``."""
    products = (slots.flatten(0, 1) @ columns).view(*slots.shape[:2], *present.shape)
    products = products.transpose(1, 2)  # (Bi, Bj, K, T)
    if floor is None:
        return _chosen(products, assign(products, present)).sum(-1)
    bound = products.amax(2)  # (Bi, Bj, T)
    if present.shape[1] > slots.shape[1]:  # a primitive without a slot adds nothing
        bound = bound.clamp(min=0)
    possible = bound.sum(-1) >= floor
    scores = torch.full_like(floor, -torch.inf)
    wanted = products[possible]  # (P, K, T)
    chosen = assign(wanted, present.expand(*possible.shape, -1)[possible])
    scores[possible] = _chosen(wanted, chosen).sum(-1)
    return scores


def contrastive_loss(scores: Tensor, tau: float) -> Tensor:
    """½ (cross-entropy over rows + over columns) of scores (B, B) / τ; the diagonal is the target.

    With equal scores, that is by chance, it is log B.
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise NsiError(
            f"scores must be as many rows as columns, not {tuple(scores.shape)}",
            "score each image against each scene of the same batch",
        )
    target = torch.arange(len(scores), device=scores.device)
    return contrastive_share(scores, scores.T, target, tau)


def contrastive_share(rows: Tensor, columns: Tensor, target: Tensor, tau: float) -> Tensor:
    """The part that some of B scenes contribute to the contrastive loss; all parts sum to it.

    ``rows`` (a, B) are the scores of a images with all scenes, ``columns`` (a, B) those of the
    same a scenes with all images, ``target`` (a,) the positions of the a among the B.
    """
    with torch.autocast(rows.device.type, enabled=False):
        errors = [
            F.cross_entropy(precise(scores) / tau, target, reduction="sum")
            for scores in (rows, columns)
        ]
    return (errors[0] + errors[1]) / (2 * rows.shape[1])


def reconstruction_loss(reconstruction: Tensor, features: Tensor) -> Tensor:
    """Σ_c (reconstruction − features)², mean over images and tokens; both (B, N, C)."""
    return (precise(reconstruction) - precise(features)).square().sum(-1).mean()
