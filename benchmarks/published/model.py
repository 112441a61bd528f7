"""A plain reimplementation of the encoders of the published Neural Slot Interpreters.

It follows the description of the method (Dedhia & Jha, arXiv 2403.07887) and the computations of
the release's code, in the same order: the whole decoder is applied to every slot at every position,
every forward pass computes the images under each slot's decoder mask, and the schema encoder does
not mask absent primitives. It shares no code with the toolkit. The sizes default to the published
ones. Weights have PyTorch's default initialisation; the time of a step does not depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NEAR, FAR = -3.0, 3.0  # bounds used to normalise positions


@dataclass(frozen=True)
class Sizes:
    """Sizes of the model; the defaults are those of the release."""

    slots: int = 15
    width: int = 192
    rounds: int = 5
    slot_hidden: int = 192
    decoder_hidden: int = 1024
    model: int = 192
    heads: int = 8
    blocks: int = 8
    embed: int = 64
    dropout: float = 0.1


PUBLISHED = Sizes()


def two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Head(nn.Module):
    """Projects into the shared embedding space."""

    def __init__(self, inputs: int, sizes: Sizes) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, sizes.embed)
        self.norm = nn.LayerNorm(sizes.embed)
        self.mlp = two_layers(sizes.embed, 4 * sizes.embed, sizes.embed)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, x: Tensor) -> Tensor:
        p = self.project(x)
        return p + self.dropout(self.mlp(self.norm(p)))


class SlotAttention(nn.Module):
    def __init__(self, channels: int, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.slots, self.rounds, self.width = sizes.slots, sizes.rounds, width
        self.mean = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.log_scale = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.norm_tokens = nn.LayerNorm(channels)
        self.norm_slots, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.key = nn.Linear(channels, width, bias=False)
        self.value = nn.Linear(channels, width, bias=False)
        self.query = nn.Linear(width, width, bias=False)
        self.gru = nn.GRUCell(width, width)
        self.mlp = two_layers(width, sizes.slot_hidden, width)

    def forward(self, tokens: Tensor, noise: Tensor | None) -> Tensor:
        shape = (len(tokens), self.slots, self.width)
        if noise is None:
            noise = torch.randn(shape, device=tokens.device)
        slots = self.mean + self.log_scale.exp() * noise
        tokens = self.norm_tokens(tokens)
        keys, values = self.key(tokens) * self.width**-0.5, self.value(tokens)
        for _ in range(self.rounds):
            before = slots
            queries = self.query(self.norm_slots(slots))
            attention = torch.softmax(keys @ queries.transpose(1, 2), dim=-1)  # (B, N, K)
            weights = attention + 1e-8
            weights = weights / weights.sum(1, keepdim=True)
            updates = weights.transpose(1, 2) @ values
            slots = self.gru(updates.flatten(0, 1), before.flatten(0, 1)).view(shape)
            slots = slots + self.mlp(self.norm_mlp(slots))
        return slots


class Decoder(nn.Module):
    def __init__(self, tokens: int, channels: int, sizes: Sizes) -> None:
        super().__init__()
        hidden = sizes.decoder_hidden
        self.tokens = tokens
        self.position = nn.Parameter(torch.randn(tokens, sizes.width))
        self.mlp = nn.Sequential(
            nn.Linear(sizes.width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1 + channels),
        )

    def forward(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        repeated = slots.unsqueeze(2).repeat(1, 1, self.tokens, 1)  # (B, K, N, D)
        out = self.mlp(repeated + self.position)
        masks = torch.softmax(out[..., :1], dim=1)  # (B, K, N, 1)
        return (masks * out[..., 1:]).sum(1), masks.squeeze(-1)


class ImageEncoder(nn.Module):
    """The image encoder without its backbone."""

    def __init__(self, tokens: int, channels: int, sizes: Sizes) -> None:
        super().__init__()
        self.adapter = nn.Sequential(
            nn.LayerNorm(channels), *two_layers(channels, channels, channels)
        )
        self.slot_attention = SlotAttention(channels, sizes)
        self.decoder = Decoder(tokens, channels, sizes)
        self.head = Head(sizes.width, sizes)

    def forward(
        self, images: Tensor, features: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return slot embeddings, the reconstruction error, and the images under each mask."""
        slots = self.slot_attention(self.adapter(features), noise)
        reconstruction, masks = self.decoder(slots)
        pictures = masked(images, masks)
        error = (reconstruction - features).square().sum(-1).mean()
        return self.head(slots), error, pictures


def masked(images: Tensor, masks: Tensor) -> Tensor:
    """Apply decoder masks (B, K, N) to images (B, 3, S, S), white elsewhere: (B, K, 3, S, S)."""
    batch, slots, tokens = masks.shape
    side = round(tokens**0.5)
    cell = images.shape[-1] // side
    masks = masks.reshape(batch, slots, 1, side, side)
    masks = masks.repeat_interleave(cell, dim=-2).repeat_interleave(cell, dim=-1)
    return images.unsqueeze(1) * masks + (1 - masks)


class Block(nn.Module):
    def __init__(self, sizes: Sizes, *, first: bool) -> None:
        super().__init__()
        width = sizes.model
        self.first, self.heads = first, sizes.heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.mlp = two_layers(width, 4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm_attention(x)
        query, key, value = (
            project(normed).view(*x.shape[:2], self.heads, -1).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        query = query * query.shape[-1] ** -0.5
        weights = torch.softmax(query @ key.transpose(2, 3), dim=-1)
        mixed = (weights @ value).transpose(1, 2).flatten(2)
        x = (normed if self.first else x) + self.out(mixed)
        return x + self.mlp(self.norm_mlp(x))


class SchemaEncoder(nn.Module):
    """Encodes primitives: one id column for each entry of ``values``, then a position."""

    def __init__(self, values: tuple[int, ...], sizes: Sizes) -> None:
        super().__init__()
        width = sizes.model
        self.tables = nn.ModuleList(nn.Embedding(count, width) for count in values)
        self.position = nn.Linear(3, width)
        self.mix = two_layers((1 + len(values)) * width, width, width)
        self.blocks = nn.ModuleList(Block(sizes, first=not i) for i in range(sizes.blocks))
        self.norm = nn.LayerNorm(width)
        self.head = Head(width, sizes)

    def forward(self, primitives: Tensor) -> Tensor:
        vectors = [table(primitives[..., i].long()) for i, table in enumerate(self.tables)]
        place = (primitives[..., -3:] - NEAR) / (FAR - NEAR)
        vectors.append(F.relu(self.position(place)))
        x = self.mix(torch.cat(vectors, dim=-1))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))
