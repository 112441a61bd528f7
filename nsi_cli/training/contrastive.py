"""The contrast over the whole batch, however many processes and pieces it is spread over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nsi_cli.models.alignment import contrastive_share, score_matrix
from nsi_cli.models.layers import precise
from nsi_cli.training.distributed import ProcessGroup


@dataclass(frozen=True)
class Embedded:
    """What both encoders make of n scenes."""

    slots: Tensor  # (n, K, E)
    primitives: Tensor  # (n, T, E)
    present: Tensor  # (n, T) bool
    annotated: Tensor  # (n,) bool; the others are in no contrast

    def __len__(self) -> int:
        return len(self.slots)

    def only(self, wanted: Tensor) -> Embedded:
        """The scenes that ``wanted`` (n,) bool tells."""
        if bool(wanted.all()):
            return self
        parts = (self.slots, self.primitives, self.present, self.annotated)
        return Embedded(*(part[wanted] for part in parts))

    def leaves(self) -> Embedded:
        """The same numbers, apart from the graph that they came from, wanting a gradient."""
        slots, primitives = (
            precise(part.detach()).requires_grad_() for part in (self.slots, self.primitives)
        )
        return Embedded(slots, primitives, self.present, self.annotated)


@dataclass(frozen=True)
class Contrasted:
    """This process's share of the contrast; over all processes, both sums are the batch's."""

    loss: Tensor  # (), its part of L_con
    hits: Tensor  # (), images that score their own scene highest
    scenes: int  # annotated scenes of the whole batch


def joined(parts: list[Embedded]) -> Embedded:
    """The scenes of several pieces, one after the other."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*((p.slots, p.primitives, p.present, p.annotated) for p in parts), strict=True)
    return Embedded(*(torch.cat(column) for column in columns))


def contrast(
    own: Embedded, group: ProcessGroup, size: int, *, tau: float, alignment: str
) -> Contrasted:
    """Contrast this process's scenes with all ``size`` of the batch.

    Each process takes the rows of its images and the columns of its scenes of the score matrix;
    the gradient flows back through the gathering, so that what it leaves at each embedding is
    that of the whole loss (Dedhia & Jha, arXiv 2403.07887, over the joint batch).
    """
    everyone = _gathered(own, group, size)
    known = everyone.annotated
    first = group.share(size).start
    places = (known.cumsum(0) - 1)[first : first + len(own)][own.annotated]
    mine, others = own.only(own.annotated), everyone.only(known)
    if not len(others):
        nothing = own.slots.new_zeros(())
        return Contrasted(nothing, nothing, 0)
    score = partial(score_matrix, alignment=alignment)
    rows = score(mine.slots, others.primitives, others.present)  # (a, B)
    columns = rows.T  # where this process holds all
    if group.count > 1:
        columns = score(others.slots, mine.primitives, mine.present).T
    loss = contrastive_share(rows, columns, places, tau)
    return Contrasted(loss, (rows.argmax(1) == places).sum(), len(others))


def _gathered(own: Embedded, group: ProcessGroup, size: int) -> Embedded:
    """The scenes of every process, fetched at once."""
    if group.count == 1:
        return own
    tensors = (own.slots, own.primitives, own.present, own.annotated)
    flat = [tensor.reshape(len(own), -1).to(own.slots.dtype) for tensor in tensors]
    rows = group.gather(torch.cat(flat, 1), size)
    parts = torch.split(rows, [part.shape[1] for part in flat], dim=1)
    slots, primitives, present, annotated = (
        part.reshape(size, *tensor.shape[1:]) for part, tensor in zip(parts, tensors, strict=True)
    )
    return Embedded(slots, primitives, present > 0, annotated > 0)
