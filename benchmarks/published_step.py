"""The published training step of Neural Slot Interpreters, restated plainly: what we measure by.

Written from the description of the method (Dedhia & Jha, arXiv 2403.07887), in the order that it
is told in: the frozen backbone on the images of every step, in float32; adapter and slot
attention; every slot at every position through the whole decoder; the pictures of what each slot
attends to, made in every forward pass; the schema encoder; score, loss, clipping and Adam. It
shares no code with the toolkit. Sizes are the published ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOTS, WIDTH, ROUNDS, EMBED = 15, 192, 5, 64
HIDDEN, MODEL, HEADS, BLOCKS = 1024, 192, 8, 8
TAU, BETA, LEARNING_RATE, CLIP = 0.1, 1.0, 4e-4, 1.0


def two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Head(nn.Module):
    """Into the common space."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(WIDTH, EMBED)
        self.norm = nn.LayerNorm(EMBED)
        self.mlp = two_layers(EMBED, 4 * EMBED, EMBED)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        p = self.project(x)
        return p + self.dropout(self.mlp(self.norm(p)))


class SlotAttention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.1)
        self.log_scale = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.1)
        self.norm_tokens = nn.LayerNorm(channels)
        self.norm_slots, self.norm_mlp = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.key = nn.Linear(channels, WIDTH, bias=False)
        self.value = nn.Linear(channels, WIDTH, bias=False)
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gru = nn.GRUCell(WIDTH, WIDTH)
        self.mlp = two_layers(WIDTH, WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        batch = len(tokens)
        noise = torch.randn(batch, SLOTS, WIDTH, device=tokens.device)
        slots = self.mean + self.log_scale.exp() * noise
        tokens = self.norm_tokens(tokens)
        keys, values = self.key(tokens) * WIDTH**-0.5, self.value(tokens)
        for _ in range(ROUNDS):
            before = slots
            queries = self.query(self.norm_slots(slots))
            attention = torch.softmax(keys @ queries.transpose(1, 2), dim=-1)  # (B, N, K)
            weights = attention + 1e-8
            weights = weights / weights.sum(1, keepdim=True)
            updates = weights.transpose(1, 2) @ values
            slots = self.gru(updates.reshape(-1, WIDTH), before.reshape(-1, WIDTH))
            slots = slots.view(batch, SLOTS, WIDTH)
            slots = slots + self.mlp(self.norm_mlp(slots))
        return slots, attention


class Decoder(nn.Module):
    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.position = nn.Parameter(torch.randn(1, tokens, WIDTH))
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, 1 + channels),
        )

    def forward(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        repeated = slots.flatten(0, 1).unsqueeze(1).repeat(1, self.tokens, 1)  # (B·K, N, D)
        out = self.mlp(repeated + self.position)
        out = out.view(len(slots), SLOTS, self.tokens, -1)
        alpha, features = out[..., :1], out[..., 1:]
        masks = torch.softmax(alpha, dim=1)
        return (masks * features).sum(1), masks


class Block(nn.Module):
    def __init__(self, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.norm_attention, self.norm_mlp = nn.LayerNorm(MODEL), nn.LayerNorm(MODEL)
        self.query, self.key, self.value, self.out = (
            nn.Linear(MODEL, MODEL, bias=False) for _ in range(4)
        )
        self.mlp = two_layers(MODEL, 4 * MODEL, MODEL)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm_attention(x)
        query, key, value = (
            project(normed).view(*x.shape[:2], HEADS, -1).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        weights = torch.softmax(query @ key.transpose(2, 3) * (MODEL // HEADS) ** -0.5, dim=-1)
        mixed = (weights @ value).transpose(1, 2).flatten(2)
        x = (normed if self.first else x) + self.out(mixed)
        return x + self.mlp(self.norm_mlp(x))


class SchemaEncoder(nn.Module):
    """Of primitives whose first columns are ids of so many values, the last three a position."""

    def __init__(self, values: tuple[int, ...]) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(count, MODEL) for count in values)
        self.position = nn.Linear(3, MODEL)
        self.mix = two_layers((1 + len(values)) * MODEL, MODEL, MODEL)
        self.blocks = nn.ModuleList(Block(first=not place) for place in range(BLOCKS))
        self.norm = nn.LayerNorm(MODEL)
        self.head = Head()

    def forward(self, primitives: Tensor) -> Tensor:
        vectors = [table(primitives[..., i].long()) for i, table in enumerate(self.tables)]
        vectors.append(F.relu(self.position(primitives[..., -3:])))
        x = self.mix(torch.cat(vectors, dim=-1))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class PublishedModel(nn.Module):
    """Both encoders; the backbone stands beside them, frozen."""

    def __init__(self, tokens: int, channels: int, values: tuple[int, ...]) -> None:
        super().__init__()
        self.adapter = nn.Sequential(
            nn.LayerNorm(channels), *two_layers(channels, channels, channels)
        )
        self.slot_attention = SlotAttention(channels)
        self.decoder = Decoder(tokens, channels)
        self.head = Head()
        self.schema_encoder = SchemaEncoder(values)

    def forward(self, images: Tensor, features: Tensor, primitives: Tensor) -> tuple[Tensor, ...]:
        slots, attention = self.slot_attention(self.adapter(features))
        reconstruction, _ = self.decoder(slots)
        pictures = attended(images, attention)
        return self.head(slots), self.schema_encoder(primitives), reconstruction, pictures


def attended(images: Tensor, attention: Tensor) -> Tensor:
    """Images (B, 3, S, S) as each slot sees them, white elsewhere: (B, K, 3, S, S)."""
    batch, tokens, slots = attention.shape
    side = round(tokens**0.5)
    cell = images.shape[-1] // side
    masks = attention.transpose(1, 2).reshape(batch, slots, 1, side, side)
    masks = masks.repeat_interleave(cell, dim=-2).repeat_interleave(cell, dim=-1)
    return images.unsqueeze(1) * masks + (1 - masks)


class PublishedStep:
    """One training step on images (B, 3, S, S) uint8, primitives (B, T, W), present (B, T)."""

    def __init__(self, backbone: Any, tokens: int, values: tuple[int, ...], device: str) -> None:
        self.backbone = backbone.to(device).eval().requires_grad_(False)
        self.model = PublishedModel(tokens, backbone.num_features, values).to(device)
        self.adam = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        self.device = device

    def __call__(self, images: Tensor, primitives: Tensor, present: Tensor) -> float:
        images, primitives = images.to(self.device) / 255, primitives.to(self.device)
        present = present.to(self.device)
        with torch.no_grad():
            tokens = self.backbone.forward_features(images)
            features = tokens[:, self.backbone.num_prefix_tokens :]
        slots, embeddings, reconstruction, _ = self.model(images, features, primitives)
        products = torch.einsum("ike,jte->ijkt", slots, embeddings)
        scores = (products.max(2).values * present).sum(-1) / TAU
        target = torch.arange(len(scores), device=self.device)
        contrastive = (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
        loss = contrastive + BETA * (reconstruction - features).square().sum(-1).mean()
        self.adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.adam.step()
        return loss.item()
