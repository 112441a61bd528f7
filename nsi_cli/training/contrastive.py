"""The contrastive loss of a global batch that is split among processes and micro-batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nsi_cli.models.alignment import contrastive_share, score_matrix
from nsi_cli.models.layers import precise
from nsi_cli.training.distributed import ProcessGroup


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of n scenes from both encoders."""

    slots: Tensor  # (n, K, E)
    primitives: Tensor  # (n, T, E)
    present: Tensor  # (n, T) bool
    annotated: Tensor | None  # (n,) bool, the scenes to contrast; None for all

    def __len__(self) -> int:
        return len(self.slots)

    def contrasted(self) -> Embeddings:
        """The annotated scenes."""
        if self.annotated is None:
            return self
        slots, primitives, present = (
            part[self.annotated] for part in (self.slots, self.primitives, self.present)
        )
        return Embeddings(slots, primitives, present, None)

    def leaves(self) -> Embeddings:
        """The same values, detached from their graph, as leaves that require a gradient."""
        slots, primitives = (
            precise(part.detach()).requires_grad_() for part in (self.slots, self.primitives)
        )
        return Embeddings(slots, primitives, self.present, self.annotated)


@dataclass(frozen=True)
class ContrastiveShare:
    """This process's share; the sums over all processes are those of the batch."""

    loss: Tensor  # (), its part of L_con
    hits: Tensor  # (), images that score their own scene highest
    scenes: int  # annotated scenes of the whole batch


def concatenate(parts: list[Embeddings]) -> Embeddings:
    """The scenes of several micro-batches, in order."""
    if len(parts) == 1:
        return parts[0]
    known = [part.annotated for part in parts if part.annotated is not None]
    return Embeddings(
        torch.cat([part.slots for part in parts]),
        torch.cat([part.primitives for part in parts]),
        torch.cat([part.present for part in parts]),
        torch.cat(known) if known else None,
    )


def contrast(
    own: Embeddings, group: ProcessGroup, size: int, *, tau: float, alignment: str
) -> ContrastiveShare:
    """Contrast this process's scenes with all ``size`` of the batch.

    Each process computes the rows of its images and the columns of its scenes in the score matrix.
    The gradient flows back through the gathering, so that at each embedding it is that of the
    whole loss (Dedhia & Jha, arXiv 2403.07887, over the joint batch).
    """
    gathered, share = _gather(own, group, size), group.share(size)
    target = torch.arange(share.start, share.stop, device=own.slots.device)
    if own.annotated is not None and gathered.annotated is not None:
        target = (gathered.annotated.cumsum(0) - 1)[target][own.annotated]
    local, others = own.contrasted(), gathered.contrasted()
    if not len(others):
        zero = own.slots.new_zeros(())
        return ContrastiveShare(zero, zero, 0)
    score = partial(score_matrix, alignment=alignment)
    rows = score(local.slots, others.primitives, others.present)  # (a, B)
    columns = rows.T  # if this process holds all
    if group.count > 1:
        columns = score(others.slots, local.primitives, local.present).T
    loss = contrastive_share(rows, columns, target, tau)
    return ContrastiveShare(loss, (rows.argmax(1) == target).sum(), len(others))


def _gather(own: Embeddings, group: ProcessGroup, size: int) -> Embeddings:
    """The scenes of every process, gathered in one call."""
    if group.count == 1:
        return own
    tensors = [own.slots, own.primitives, own.present]
    tensors += [] if own.annotated is None else [own.annotated]
    flat = [tensor.reshape(len(own), -1).to(own.slots.dtype) for tensor in tensors]
    rows = group.gather(torch.cat(flat, 1), size)
    parts = torch.split(rows, [part.shape[1] for part in flat], dim=1)
    slots, primitives, present, *annotated = (
        part.reshape(size, *tensor.shape[1:]) for part, tensor in zip(parts, tensors, strict=True)
    )
    return Embeddings(slots, primitives, present > 0, annotated[0] > 0 if annotated else None)
