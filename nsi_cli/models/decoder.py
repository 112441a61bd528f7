"""Decoders: tokens reconstructed from slots, by a broadcast decoder or by the attention weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nsi_cli.models.alignment import reconstruction_loss
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.decoder_error import Terms, mean_error
from nsi_cli.models.layers import computing_dtype, default_mlp, precise
from nsi_cli.models.token_sample import rows_of

_MOST_ACTIVATIONS = 2**26
"""Numbers of one activation held at once where no gradient is wanted."""


class SlotDecoder(nn.Module):
    """The spatial broadcast decoder (Watters et al. 2019; DINOSAUR, Seitzer et al. 2023).

    Each slot plus a learned position embedding goes through an MLP
    D → hidden → hidden → hidden → 1 + C; the first channel, after a softmax over slots, is the
    slot mask α, and the reconstruction is Σ_k α_k f_k. Three facts make the same function cheap:
    the first layer is linear, so slots and positions go through it separately; after the last ReLU
    everything is linear and Σ_k α_k = 1, so the last layer is applied once, to the α-mixed hidden
    state; and the logits of α need only one row of it.
    """

    def __init__(self, config: ModelConfig, num_tokens: int, channels: int) -> None:
        super().__init__()
        width, hidden = config.slot_dim, config.decoder_hidden_size
        self.position = nn.Parameter(torch.randn(num_tokens, width))
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1 + channels),
        )

    def forward(self, slots: Tensor, sample: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Slots (B, K, D) → reconstruction (B, N, C) and slot masks (B, K, N).

        With a ``sample`` of tokens (B, n), N is n and only those are decoded.
        """
        first, second, third, last = self._layers()
        at_positions = F.linear(self.position, first.weight)  # (N, hidden)
        at_once = self._images_at_once(slots)
        parts = torch.split(slots, at_once)
        samples = [None] * len(parts) if sample is None else torch.split(sample, at_once)
        found = []
        for part, rows in zip(parts, samples, strict=True):
            # Slots vary fastest, so that mixing copies nothing; each ReLU overwrites its
            # input, which no gradient needs.
            added = at_positions if rows is None else F.embedding(rows, at_positions)
            hidden = F.relu_(first(part)[:, None] + added.unsqueeze(-2))  # (b, N, K, hidden)
            hidden = F.relu_(third(F.relu_(second(hidden))))
            logits = F.linear(hidden, last.weight[:1], last.bias[:1]).squeeze(-1)  # (b, N, K)
            masks = precise(logits).softmax(-1)
            mixed = (masks.to(hidden.dtype).unsqueeze(-2) @ hidden).squeeze(-2)  # (b, N, hidden)
            found.append((F.linear(mixed, last.weight[1:], last.bias[1:]), masks.mT))
        reconstruction, slot_masks = zip(*found, strict=True)
        return torch.cat(reconstruction), torch.cat(slot_masks)

    def error(self, slots: Tensor, features: Tensor, sample: Tensor | None = None) -> Tensor:
        """The mean error of the reconstruction of features (B, N, C), without the reconstruction.

        With a ``sample`` of tokens (B, n), their mean error. A training step needs only this
        scalar, and one pass computes it with its gradients. In float16 the loss scale must be
        applied before the backward pass, so autograd is used.
        """
        dtype = computing_dtype(slots)
        features = rows_of(features, sample)
        if dtype == torch.float16:
            return reconstruction_loss(self(slots, sample)[0], features)
        first, *later = self._layers()
        with torch.autocast(slots.device.type, enabled=False):
            at_slots = first(slots.to(self.position.dtype))
            at_positions = F.linear(self.position, first.weight)
        weights = [term for layer in later for term in (layer.weight, layer.bias)]
        return mean_error(Terms(at_slots, at_positions, *weights), features, dtype, sample)

    def _layers(self) -> list[nn.Linear]:
        return [step for step in self.mlp if isinstance(step, nn.Linear)]

    def _images_at_once(self, slots: Tensor) -> int:
        """The images to decode together: all if gradients are needed, else what fits the bound."""
        if torch.is_grad_enabled() or not len(slots):
            return max(1, len(slots))
        an_image = slots.shape[1] * len(self.position) * self._layers()[0].out_features
        return max(1, _MOST_ACTIVATIONS // an_image)


class AttentionDecoder(nn.Module):
    """Reconstructs token n as Σ_k attention_kn · MLP(slot_k), MLP D → hidden → C.

    A slot reconstructs only tokens that it attends to, and with one vector. On small feature maps
    this binds slots to objects, while the broadcast decoder lets one slot reconstruct everything.
    """

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        self.mlp = default_mlp(config.slot_dim, config.decoder_hidden_size, channels)

    def forward(self, slots: Tensor, attention_masks: Tensor) -> Tensor:
        """Slots (B, K, D) and attention masks (B, K, N) → reconstruction (B, N, C)."""
        return torch.einsum("bkn,bkc->bnc", attention_masks, precise(self.mlp(slots)))

    def error(
        self,
        slots: Tensor,
        attention_masks: Tensor,
        features: Tensor,
        sample: Tensor | None = None,
    ) -> Tensor:
        """The mean error of the reconstruction of features (B, N, C), or of a sample (B, n)."""
        masks = rows_of(attention_masks.mT, sample).mT
        return reconstruction_loss(self(slots, masks), rows_of(features, sample))
