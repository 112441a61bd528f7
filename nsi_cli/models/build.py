"""A backbone and the model that fits it, built from one configuration."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from nsi_cli.models.backbones.base import Backbone, build_backbone
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.nsi import NSI, build_nsi
from nsi_cli.schema import Schema


def build(
    config: ModelConfig,
    schema: Schema,
    make_schema_encoder: Callable[[Schema, ModelConfig], nn.Module],
    *,
    precision: str,
    seed: int,
) -> tuple[Backbone, NSI]:
    """The frozen backbone that the configuration names, and a fresh model on top of it.

    ``precision`` is what the backbone computes in, see `build_backbone`; the model's weights are
    float32, drawn from ``seed``. Both are on the CPU. Raises `NsiError` where the backbone cannot
    be had.
    """
    backbone = build_backbone(config, precision)
    torch.manual_seed(seed)
    model = build_nsi(
        config,
        schema,
        make_schema_encoder,
        num_tokens=backbone.num_tokens,
        channels=backbone.channels,
    )
    return backbone, model
