"""A backbone and the model that fits it, built from one configuration."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from nsi_cli.models.backbones.base import TEXTURE, Backbone
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.nsi import NSI, build_nsi
from nsi_cli.schema import Schema

_MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
_FEATURES = {"16": torch.float16, "32": torch.float32}


def build_backbone(config: ModelConfig, precision: str = "32") -> Backbone:
    """The frozen backbone that ``config.backbone`` names.

    In a mixed ``precision`` (bf16-mixed, 16-mixed) its matrices are multiplied in half precision
    too, which is part of its fingerprint. Texture statistics are always computed in float32.
    Raises `NsiError` for an unknown name, or weights that cannot be loaded.
    """
    backbone = _build(config, precision)
    backbone.feature_dtype = _FEATURES[config.feature_precision]
    return backbone


def _build(config: ModelConfig, precision: str) -> Backbone:
    if config.backbone == TEXTURE:
        from nsi_cli.models.backbones.texture import TextureBackbone

        return TextureBackbone(config.image_size, config.texture_grid, config.texture_position)
    from nsi_cli.models.backbones.timm import TimmBackbone

    return TimmBackbone(
        config.backbone,
        config.backbone_weights,
        config.image_size,
        _MIXED.get(precision, torch.float32),
        normalize=config.normalize == "backbone",
    )


def build(
    config: ModelConfig,
    schema: Schema,
    make_schema_encoder: Callable[[Schema, ModelConfig], nn.Module],
    *,
    precision: str,
    seed: int,
) -> tuple[Backbone, NSI]:
    """The frozen backbone of a configuration, and a new model on top of it.

    ``precision`` is that of the backbone, see `build_backbone`; the model's weights are float32,
    drawn from ``seed``. Both are on the CPU. Raises `NsiError` if the backbone cannot be loaded.
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
