"""The schema encoder looks at the primitives that are there, in no order."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.support.errors import NsiError

SCHEMA = Schema(
    (Continuous("place", 2, -1.0, 3.0), Categorical("kind", ("a", "b", "c"))), max_objects=6
)
CONFIG = ModelConfig(d_model=16, num_blocks=2, num_heads=4, embed_dim=8)


def encoder(config: ModelConfig = CONFIG) -> PropertySchemaEncoder:
    return PropertySchemaEncoder(SCHEMA, config).double().eval()


def scenes(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(3, (2, 6, 1), generator=generator)
    places = torch.rand(2, 6, 2, generator=generator) * 4 - 1
    present = torch.rand(2, 6, generator=generator) < 0.6
    present[:, 0] = True
    return torch.cat([kinds, places], -1).double(), present


@settings(max_examples=20)
@given(seed=st.integers(0, 999))
def test_absent_primitives_do_not_matter(seed: int) -> None:
    model = encoder()
    rows, present = scenes(seed)
    other = torch.where(present[..., None], rows, rows.new_tensor([-1.0, torch.nan, 1e6]))
    torch.testing.assert_close(model(rows, present)[present], model(other, present)[present])


@settings(max_examples=20)
@given(seed=st.integers(0, 999), order=st.permutations(range(6)))
def test_primitives_have_no_order(seed: int, order: list[int]) -> None:
    model = encoder()
    rows, present = scenes(seed)
    moved = model(rows[:, order], present[:, order])
    torch.testing.assert_close(moved, model(rows, present)[:, order])


def test_other_primitives_of_a_scene_are_context_unless_there_are_no_blocks() -> None:
    rows, _ = scenes()
    other = rows.clone()
    other[:, 1:, 1:] += 1
    present = torch.ones(2, 6, dtype=torch.bool)
    for blocks, same in ((0, True), (2, False)):
        model = encoder(dataclasses.replace(CONFIG, num_blocks=blocks))
        first, second = model(rows, present)[:, 0], model(other, present)[:, 0]
        assert torch.allclose(first, second) == same


def test_a_missing_id_is_a_zero_vector_and_a_missing_number_the_lower_bound() -> None:
    model = encoder()
    kind, place = model.properties
    ids = torch.tensor([[[-1.0], [0.0]]], dtype=torch.float64)
    vectors = kind(ids)
    assert not vectors[0, 0].any()
    assert vectors[0, 1].any()
    missing = torch.tensor([[[torch.nan, 3.0]]], dtype=torch.float64)
    lower = torch.tensor([[[-1.0, 3.0]]], dtype=torch.float64)
    assert torch.equal(place(missing), place(lower))


def test_an_empty_scene_gives_finite_embeddings_and_gradients() -> None:
    model = encoder()
    rows, present = scenes()
    present[0] = False
    embeddings = model(rows, present)
    embeddings.sum().backward()
    assert embeddings.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_primitives_of_another_schema_are_refused() -> None:
    with pytest.raises(NsiError, match=r"primitives must have the shape \(B, T, W=3\)"):
        encoder()(torch.zeros(2, 6, 5), torch.ones(2, 6, dtype=torch.bool))
    with pytest.raises(NsiError, match="present"):
        encoder()(torch.zeros(2, 6, 3), torch.ones(2, 5, dtype=torch.bool))


def test_layers_that_write_to_the_residual_stream_start_small() -> None:
    model = PropertySchemaEncoder(SCHEMA, dataclasses.replace(CONFIG, num_blocks=3))
    bounds = {"out": (6 / 32) ** 0.5 / 3, "query": (6 / 32) ** 0.5}  # gain (3·3)^-½ = 1/3
    for block in model.blocks:
        for name, bound in bounds.items():
            largest = getattr(block.attention, name).weight.abs().max()
            assert 0.8 * bound < largest <= bound
        assert block.mlp[2].weight.abs().max() <= (6 / 80) ** 0.5 / 3
