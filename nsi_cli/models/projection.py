"""The projection head, which both encoders end in: into the common space."""

from __future__ import annotations

from torch import Tensor, nn

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.layers import LayerNorm, default_mlp


class ProjectionHead(nn.Module):
    """p = Linear(x) to E dims; p + Dropout(MLP(LayerNorm(p))), the MLP E → 4E → E with a ReLU."""

    def __init__(self, inputs: int, config: ModelConfig) -> None:
        super().__init__()
        width = config.embed_dim
        self.project = nn.Linear(inputs, width)
        self.refine = nn.Sequential(
            LayerNorm(width), default_mlp(width, 4 * width, width), nn.Dropout(config.dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) → embeddings (…, E)."""
        projected = self.project(x)
        embeddings: Tensor = projected + self.refine(projected)
        return embeddings
