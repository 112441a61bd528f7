"""What redraws the tokens from the slots: a broadcast decoder, or the attention weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.layers import linear, linear_before_relu, mlp, precise


class SlotDecoder(nn.Module):
    """The spatial broadcast decoder (Watters et al. 2019; DINOSAUR, Seitzer et al. 2023).

    Each slot plus a learned position embedding goes through an MLP
    D → hidden → hidden → hidden → 1 + C; the first channel, after a softmax over slots, is the
    slot mask α, and the reconstruction is Σ_k α_k f_k. Three facts make the same function cheap:
    the first layer is linear, so slots and positions go through it apart; after the last ReLU all
    is linear and Σ_k α_k = 1, so the last layer is applied once to the α-mixed hidden state; and
    the logits of α need one row of it only.
    """

    def __init__(self, config: ModelConfig, num_tokens: int, channels: int) -> None:
        super().__init__()
        width, hidden = config.slot_dim, config.decoder_hidden_size
        self.position = nn.Parameter(torch.randn(num_tokens, width))
        self.mlp = nn.Sequential(
            linear_before_relu(width, hidden),
            nn.ReLU(),
            linear_before_relu(hidden, hidden),
            nn.ReLU(),
            linear_before_relu(hidden, hidden),
            nn.ReLU(),
            linear(hidden, 1 + channels),
        )

    def forward(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Slots (B, K, D) → reconstruction (B, N, C) and slot masks (B, K, N)."""
        first, second, third, last = (step for step in self.mlp if isinstance(step, nn.Linear))
        at_positions = F.linear(self.position, first.weight)  # (N, hidden)
        # Slots vary faster than positions, so that mixing copies nothing; each ReLU overwrites
        # its input, which no gradient needs.
        hidden = F.relu_(first(slots)[:, None] + at_positions[:, None])  # (B, N, K, hidden)
        hidden = F.relu_(third(F.relu_(second(hidden))))
        logits = F.linear(hidden, last.weight[:1], last.bias[:1]).squeeze(-1)  # (B, N, K)
        masks = precise(logits).softmax(-1)
        mixed = (masks.to(hidden.dtype).unsqueeze(-2) @ hidden).squeeze(-2)  # (B, N, hidden)
        return F.linear(mixed, last.weight[1:], last.bias[1:]), masks.transpose(1, 2)


class AttentionDecoder(nn.Module):
    """Redraws token n as Σ_k attention_kn · MLP(slot_k), MLP D → hidden → C.

    A slot can only paint where it attends, and with one vector: on small feature maps this binds
    where the broadcast decoder lets one slot redraw everything.
    """

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        self.mlp = mlp(config.slot_dim, config.decoder_hidden_size, channels)

    def forward(self, slots: Tensor, attention_masks: Tensor) -> Tensor:
        """Slots (B, K, D) and attention masks (B, K, N) → reconstruction (B, N, C)."""
        return torch.einsum("bkn,bkc->bnc", attention_masks, precise(self.mlp(slots)))
