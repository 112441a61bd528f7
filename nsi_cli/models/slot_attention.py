"""Slot attention: slots compete for tokens over several rounds (Locatello et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.layers import GRUCell, LayerNorm, linear, mlp, precise

EPSILON = 1e-8
"""Added to the attention weights before they are renormalised over tokens."""


class SlotAttention(nn.Module):
    """Binds K slots to tokens in ``config.num_iterations`` rounds of shared weights."""

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        width = config.slot_dim
        self.num_iterations = config.num_iterations
        self.heads = config.num_slot_heads
        self.scale = (width / config.num_slot_heads) ** -0.5
        self.norm_tokens = LayerNorm(channels)
        self.norm_slots = LayerNorm(width)
        self.norm_mlp = LayerNorm(width)
        self.key = linear(channels, width, bias=False)
        self.value = linear(channels, width, bias=False)
        self.query = linear(width, width, bias=False)
        self.gru = GRUCell(width)
        self.mlp = mlp(width, config.mlp_hidden_size, width)

    def forward(self, tokens: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, N, C) and initial slots (B, K, D) → slots and attention masks.

        The attention masks (B, K, N) are the last round's weights, summed over heads; at each
        token they sum to one over the slots.
        """
        tokens = self.norm_tokens(tokens)
        keys = self._split(self.key(tokens).mul_(self.scale))  # (B, heads, N, D/heads)
        values = self._split(self.value(tokens))
        for _ in range(self.num_iterations):
            queries = self._split(self.query(self.norm_slots(slots)))  # (B, heads, K, D/heads)
            weights = self._compete(torch.einsum("bhkd,bhnd->bhkn", queries, keys))
            means = weights + EPSILON
            means = means / means.sum(-1, keepdim=True)
            updates = torch.einsum("bhkn,bhnd->bkhd", means, values.to(means.dtype)).flatten(2)
            slots = self.gru(updates, slots)
            slots = slots + self.mlp(self.norm_mlp(slots))
        return slots, weights.sum(1)

    def _split(self, x: Tensor) -> Tensor:
        """(B, L, D) → (B, heads, L, D/heads)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    @staticmethod
    def _compete(logits: Tensor) -> Tensor:
        """Softmax of (B, heads, K, N) over heads and slots together."""
        return precise(logits).flatten(1, 2).softmax(1).view(logits.shape)
