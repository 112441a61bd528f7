"""The default model is as large as the published one, part by part."""

from __future__ import annotations

from torch import nn

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.nsi import build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.schema import Schema


def size(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_default_model_has_the_published_sizes(schema: Schema) -> None:
    # vit_base_patch8_224.dino: N = (224 / 8)² = 784 tokens of C = 768 channels
    model = build_nsi(ModelConfig(), schema, PropertySchemaEncoder, num_tokens=784, channels=768)

    image = model.image_encoder
    # LayerNorm 2·768, twice Linear 768·768 + 768
    assert size(image.adapter) == 1_182_720
    # μ and log σ 2·192; LayerNorm of tokens 2·768, of slots and before the MLP 2·2·192;
    # key and value 2·768·192, query 192·192; GRU 2·3·192·192 + 2·3·192;
    # MLP 2·(192·192 + 192)
    assert size(image.slot_init, image.slot_attention) == 630_912
    # positions 784·192; Linear 192·1024 + 1024, twice 1024·1024 + 1024, 1024·769 + 769
    assert size(image.decoder) == 3_235_585
    # Linear 192·64 + 64; LayerNorm 2·64; Linear 64·256 + 256 and 256·64 + 64
    assert size(image.head) == 45_568
    assert size(image) == 1_182_720 + 630_912 + 3_235_585 + 45_568 == 5_094_785

    encoder = model.schema_encoder
    assert isinstance(encoder, PropertySchemaEncoder)
    # embeddings (4 + 3 + 60)·192; position Linear 3·192 + 192: 71·192
    assert size(encoder.properties) == 13_632
    # Linear 4·192·192 + 192 and 192·192 + 192
    assert size(encoder.mix) == 184_704
    # two LayerNorms 2·2·192; four projections 192·192; Linear 192·768 + 768 and 768·192 + 192
    assert [size(block) for block in encoder.blocks] == [444_096] * 8
    assert size(encoder.norm) == 384
    assert size(encoder.head) == 45_568
    assert size(encoder) == 13_632 + 184_704 + 8 * 444_096 + 384 + 45_568 == 3_797_056
