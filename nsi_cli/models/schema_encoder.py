"""The schema encoder: a transformer over the primitives of a scene, derived from its schema."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.layers import (
    LayerNorm,
    ProjectionHead,
    check_shape,
    default_mlp,
    linear,
    mlp,
    precise,
)
from nsi_cli.schema import Categorical, Continuous, Schema


class CategoricalEmbedding(nn.Module):
    """A learned vector for each id; zero for a missing value."""

    def __init__(self, item: Categorical, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(len(item.values), width)

    def forward(self, columns: Tensor) -> Tensor:
        """The property's column (B, T, 1) → (B, T, d_model)."""
        ids = columns.squeeze(-1).long()
        vectors: Tensor = self.table(ids.clamp(min=0))
        return vectors.masked_fill((ids < 0).unsqueeze(-1), 0.0)


class ContinuousEmbedding(nn.Module):
    """(x − low) / (high − low), a missing value 0, through Linear and ReLU."""

    low: Tensor
    span: Tensor

    def __init__(self, item: Continuous, width: int) -> None:
        super().__init__()
        low, high = torch.tensor(item.lows), torch.tensor(item.highs)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("span", high - low, persistent=False)
        self.project = nn.Linear(item.size, width)

    def forward(self, columns: Tensor) -> Tensor:
        """The property's columns (B, T, size) → (B, T, d_model)."""
        scaled = (columns - self.low) / self.span
        vectors: Tensor = self.project(scaled.masked_fill(scaled.isnan(), 0.0)).relu()
        return vectors


class SelfAttention(nn.Module):
    """Multi-head attention among the primitives of a scene; bias-free (Vaswani et al. 2017)."""

    def __init__(self, config: ModelConfig, gain: float) -> None:
        super().__init__()
        width = config.d_model
        self.heads = config.num_heads
        self.scale = (width // config.num_heads) ** -0.5
        self.query = linear(width, width, bias=False)
        self.key = linear(width, width, bias=False)
        self.value = linear(width, width, bias=False)
        self.out = linear(width, width, bias=False, gain=gain)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        """(B, T, d_model), attending only to the ``visible`` (B, T) → (B, T, d_model)."""
        query, key, value = (
            project(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2)  # (B, heads, T, width)
            for project in (self.query, self.key, self.value)
        )
        logits = precise(torch.einsum("bhqd,bhkd->bhqk", query * self.scale, key))
        weights = logits.masked_fill(~visible[:, None, None], -torch.inf).softmax(-1)
        mixed = torch.einsum("bhqk,bhkd->bqhd", weights, value.to(weights.dtype)).flatten(2)
        out: Tensor = self.out(mixed)
        return out


class Block(nn.Module):
    """A pre-norm transformer block without dropout.

    In the first block the attention norm's output replaces the residual stream.
    """

    def __init__(self, config: ModelConfig, *, first: bool) -> None:
        super().__init__()
        gain = (3 * config.num_blocks) ** -0.5
        self.first = first
        self.norm_attention = LayerNorm(config.d_model)
        self.attention = SelfAttention(config, gain)
        self.norm_mlp = LayerNorm(config.d_model)
        self.mlp = mlp(config.d_model, 4 * config.d_model, config.d_model, gain=gain)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        """(B, T, d_model) → (B, T, d_model)."""
        normed = self.norm_attention(x)
        x = (normed if self.first else x) + self.attention(normed, visible)
        changed: Tensor = x + self.mlp(self.norm_mlp(x))
        return changed


class PropertySchemaEncoder(nn.Module):
    """Embeds the primitives of scenes, for any schema.

    A vector for each property, concatenated (categorical ones first, as in a primitive) and mixed
    by an MLP; a transformer over the primitives of a scene, without position encoding; a
    projection head. Absent primitives are masked.
    """

    def __init__(self, schema: Schema, config: ModelConfig) -> None:
        super().__init__()
        width = config.d_model
        self.width = schema.width
        self.columns = list(schema.columns.values())
        self.properties = nn.ModuleList(
            [CategoricalEmbedding(item, width) for item in schema.categorical]
            + [ContinuousEmbedding(item, width) for item in schema.continuous]
        )
        self.mix = default_mlp(len(self.properties) * width, width, width)
        self.blocks = nn.ModuleList(
            Block(config, first=index == 0) for index in range(config.num_blocks)
        )
        self.norm = LayerNorm(width)
        self.head = ProjectionHead(width, config)

    def forward(self, primitives: Tensor, present: Tensor) -> Tensor:
        """Primitives (B, T, W) and present (B, T) bool → embeddings (B, T, E).

        Raises `NsiError` if the primitives do not fit the schema.
        """
        hint = "the store and the model must be of one schema"
        check_shape("primitives", primitives, hint, B=None, T=None, W=self.width)
        batch, most = primitives.shape[:2]
        check_shape("present", present, hint, B=batch, T=most)
        vectors = [
            embed(primitives[..., columns])
            for embed, columns in zip(self.properties, self.columns, strict=True)
        ]
        x = self.mix(torch.cat(vectors, -1))  # (B, T, d_model)
        visible = present | ~present.any(1, keepdim=True)  # an empty scene attends to itself
        for block in self.blocks:
            x = block(x, visible)
        embeddings: Tensor = self.head(self.norm(x))
        return embeddings


class AttendsToAbsent(nn.Module):
    """Pads scenes to ``length`` primitives, all present, for a schema encoder.

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
