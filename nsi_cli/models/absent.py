"""Absent primitives that are attended to, as in the published release."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AttendsToAbsent(nn.Module):
    """Hands scenes to a schema encoder padded to ``length`` primitives, all of them present.

    Absent primitives are rows of zeros: the first value of each categorical property, the number 0
    of each continuous one. The release pads so (`dataset_loader/clevrtex_loader.py`) and masks
    nothing in the encoder, so that its embeddings depend on the length. A scene of more primitives
    than ``length`` is not padded.
    """

    def __init__(self, encoder: nn.Module, length: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.length = length

    def forward(self, primitives: Tensor, present: Tensor) -> Tensor:
        """Primitives (B, T, W) and present (B, T) bool → embeddings (B, T, E)."""
        count = primitives.shape[1]
        missing = max(0, self.length - count)
        rows = primitives.masked_fill(~present[..., None], 0.0)
        rows = F.pad(rows, (0, 0, 0, missing))  # (B, max(T, length), W)
        padding = torch.arange(count + missing, device=present.device) < self.length
        embeddings: Tensor = self.encoder(rows, F.pad(present, (0, missing)) | padding)
        return embeddings[:, :count]
