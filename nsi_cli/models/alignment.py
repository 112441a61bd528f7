"""The score that ties slots to primitives, and the losses (Dedhia & Jha, arXiv 2403.07887)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nsi_cli.errors import NsiError
from nsi_cli.models.layers import check_shape, precise

_MOST_PRODUCTS = 2**24
"""Dot products held at once where no gradient is wanted: 64 MiB of float32."""


@dataclass(frozen=True)
class Alignment:
    """For each primitive of B scenes its best slot."""

    slot: Tensor  # (B, T) int64
    score: Tensor  # (B, T)


def align(slot_embeddings: Tensor, primitive_embeddings: Tensor) -> Alignment:
    """Slots (B, K, E) and primitives (B, T, E) of the same scenes → `Alignment`.

    The score is the raw dot product.
    """
    with torch.autocast(slot_embeddings.device.type, enabled=False):
        products = torch.einsum(
            "bke,bte->bkt", precise(slot_embeddings), precise(primitive_embeddings)
        )
        score, slot = products.max(1)
    return Alignment(slot, score)


def score_matrix(
    slots: Tensor, primitives: Tensor, present: Tensor, *, chunk: int | None = None
) -> Tensor:
    """How well each image fits each scene: S_ij = Σ_t present_jt · max_k ⟨slot_ik, primitive_jt⟩.

    Slot embeddings (Bi, K, E), primitive embeddings (Bj, T, E) and present (Bj, T) bool →
    (Bi, Bj), at least float32. ``chunk`` images are scored at a time; left out, it is what keeps
    the dot products at hand below 64 MiB, or all where a gradient is wanted.
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
        rows = [_score(part, columns, present) for part in parts]
    return torch.cat(rows)


def _score(slots: Tensor, columns: Tensor, present: Tensor) -> Tensor:
    """Slots (Bi, K, E), primitives as columns (E, Bj·T), zero where absent → scores (Bi, Bj)."""
    products = slots.flatten(0, 1) @ columns  # (Bi·K, Bj·T)
    best = products.view(*slots.shape[:2], -1).max(1).values  # (Bi, Bj·T)
    return best.view(-1, *present.shape).sum(-1)


def contrastive_loss(scores: Tensor, tau: float) -> Tensor:
    """½ (cross-entropy over rows + over columns) of scores (B, B) / τ; the diagonal is the target.

    At chance, that is with equal scores, it is log B.
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise NsiError(
            f"scores must be as many rows as columns, not {tuple(scores.shape)}",
            "score each image against each scene of the same batch",
        )
    with torch.autocast(scores.device.type, enabled=False):
        logits = precise(scores) / tau
        target = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def reconstruction_loss(reconstruction: Tensor, features: Tensor) -> Tensor:
    """Σ_c (reconstruction − features)², mean over images and tokens; both (B, N, C)."""
    return (precise(reconstruction) - precise(features)).square().sum(-1).mean()
