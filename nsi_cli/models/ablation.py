"""Ablation: a schema encoder, the toolkit's or a plugin's, without some of the properties."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.layers import check_shape
from nsi_cli.models.schema_encoder import AttendsToAbsent
from nsi_cli.schema import Schema

MakeSchemaEncoder = Callable[[Schema, ModelConfig], nn.Module]


class WithoutProperties(nn.Module):
    """Selects the columns of an encoder of fewer properties from whole primitives."""

    columns: Tensor

    def __init__(self, encoder: nn.Module, schema: Schema, kept: Schema) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = schema.width
        columns = [
            column for name in kept.columns for column in range(self.width)[schema.columns[name]]
        ]
        self.register_buffer("columns", torch.tensor(columns), persistent=False)

    def forward(self, primitives: Tensor, present: Tensor) -> Tensor:
        """Primitives (B, T, W) of the whole schema and present (B, T) → embeddings (B, T, E)."""
        hint = "the store and the model must be of one schema"
        check_shape("primitives", primitives, hint, B=None, T=None, W=self.width)
        embeddings: Tensor = self.encoder(primitives[..., self.columns], present)
        return embeddings


def build_schema_encoder(config: ModelConfig, schema: Schema, make: MakeSchemaEncoder) -> nn.Module:
    """The schema encoder of a model, built for the schema without ``config.exclude_properties``.

    It takes primitives of the whole schema, and attends to absent ones if ``config.mask_absent``
    is off. Raises `ConfigError` if a name is no property's, or no
    property is left.
    """
    if config.excluded:
        kept = schema.without(config.excluded)
        encoder: nn.Module = WithoutProperties(make(kept, config), schema, kept)
    else:
        encoder = make(schema, config)
    return encoder if config.mask_absent else AttendsToAbsent(encoder, config.max_program_len)
