"""Properties left out: the schema encoder, of the toolkit or a plugin, does not see them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from nsi_cli.models.ablation import build_schema_encoder
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.nsi import build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.schema import Schema
from nsi_cli.support.errors import ConfigError, NsiError

Primitives = tuple[Tensor, Tensor]


def encoder_of(config: ModelConfig, schema: Schema, names: str) -> nn.Module:
    config = dataclasses.replace(config, exclude_properties=names)
    return build_schema_encoder(config, schema, PropertySchemaEncoder).eval()


@pytest.mark.parametrize("names", ["position", "size", "shape, position", "material,size,shape"])
def test_embeddings_follow_what_is_seen_and_nothing_else(
    names: str, small: ModelConfig, schema: Schema, primitives: Primitives
) -> None:
    rows, present = primitives
    encoder = encoder_of(small, schema, names)
    embeddings = encoder(rows, present)
    for item in schema.properties:
        other = rows.clone()
        columns = other[..., schema.columns[item.name]]
        columns.copy_(torch.where(columns > 0, 0.0, 1.0))
        same = torch.equal(encoder(other, present), embeddings)
        assert same == (item.name in names), item.name


def test_it_is_the_encoder_of_the_smaller_schema(
    small: ModelConfig, schema: Schema, primitives: Primitives
) -> None:
    rows, present = primitives
    torch.manual_seed(3)
    encoder = encoder_of(small, schema, "size")
    torch.manual_seed(3)
    plain = PropertySchemaEncoder(schema.without(["size"]), small).eval()
    assert torch.equal(encoder(rows, present), plain(rows[..., [0, 2, 3, 4, 5]], present))


def test_a_plugins_encoder_gets_the_smaller_schema_and_its_columns(
    small: ModelConfig, schema: Schema, primitives: Primitives
) -> None:
    seen: list[Tensor] = []

    class Plugins(nn.Module):
        def __init__(self, schema: Schema, config: ModelConfig) -> None:
            super().__init__()
            self.schema, self.out = schema, nn.Linear(schema.width, config.embed_dim)

        def forward(self, primitives: Tensor, present: Tensor) -> Tensor:
            seen.append(primitives)
            embeddings: Tensor = self.out(primitives.nan_to_num())
            return embeddings

    config = dataclasses.replace(small, exclude_properties="material")
    model = build_nsi(config, schema, Plugins, num_tokens=16, channels=12)
    model(torch.randn(3, 16, 12), *primitives)
    assert torch.equal(seen[0].nan_to_num(), primitives[0][..., [0, 1, 3, 4, 5]].nan_to_num())


def test_nothing_left_out_is_the_encoder_itself(small: ModelConfig, schema: Schema) -> None:
    assert isinstance(encoder_of(small, schema, " , "), PropertySchemaEncoder)


def test_an_unknown_property_and_all_of_them_are_refused(
    small: ModelConfig, schema: Schema
) -> None:
    with pytest.raises(ConfigError, match="no property 'positon' to exclude") as result:
        encoder_of(small, schema, "shape,positon")
    assert "position" in result.value.hint
    with pytest.raises(ConfigError, match="every property is excluded"):
        encoder_of(small, schema, "shape,size,material,position")


def test_primitives_of_another_width_are_refused(
    small: ModelConfig, schema: Schema, primitives: Primitives
) -> None:
    with pytest.raises(NsiError, match=r"primitives must have the shape \(B, T, W=6\)"):
        encoder_of(small, schema, "size")(primitives[0][..., :5], primitives[1])
