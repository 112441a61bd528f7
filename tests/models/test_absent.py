"""With `mask_absent` off, absent primitives are attended to as rows of zeros, up to a length."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from nsi_cli.models.ablation import build_schema_encoder
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.schema import Categorical, Continuous, Schema

SCHEMA = Schema(
    (Continuous("place", 2, -1.0, 3.0), Categorical("kind", ("a", "b", "c"))), max_objects=6
)
CONFIG = ModelConfig(
    d_model=16, num_blocks=2, num_heads=4, embed_dim=8, mask_absent=False, max_program_len=6
)
ROWS = torch.tensor([[2.0, 0.5, 1.5], [1.0, -0.5, 2.5], [0.0, 3.0, 0.0]]).double()


def encoder(**options: Any) -> nn.Module:
    """An encoder with the same weights each time."""
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIG, **options)
    return build_schema_encoder(config, SCHEMA, PropertySchemaEncoder).double().eval()


def scene(count: int, rows: int) -> tuple[Tensor, Tensor]:
    """A scene of ``count`` objects among so many ``rows``: primitives (1, T, W), present (1, T)."""
    return F.pad(ROWS[:count], (0, 0, 0, rows - count))[None], torch.arange(rows)[None] < count


@settings(max_examples=20)
@given(
    count=st.integers(1, 3), rows=st.integers(3, 6), absent=st.sampled_from([-1.0, 2.0, torch.nan])
)
def test_neither_the_batch_nor_what_stands_in_absent_rows_matters(
    count: int, rows: int, absent: float
) -> None:
    model = encoder()
    primitives, present = scene(count, rows)
    primitives = primitives.masked_fill(~present[..., None], absent)
    want = model(*scene(count, 6))[:, :count]
    torch.testing.assert_close(model(primitives, present)[:, :count], want)


def test_a_scene_is_embedded_like_one_padded_with_present_rows_of_zeros() -> None:
    primitives, _ = scene(2, 6)
    want = encoder(mask_absent=True)(primitives, torch.ones(1, 6, dtype=torch.bool))
    torch.testing.assert_close(encoder()(*scene(2, 3)), want[:, :3])


@pytest.mark.slow
@pytest.mark.parametrize(("mask_absent", "same"), [(True, True), (False, False)])
def test_embeddings_depend_on_the_length_only_where_absent_rows_are_attended_to(
    mask_absent: bool, same: bool
) -> None:
    six, nine = (
        encoder(mask_absent=mask_absent, max_program_len=length)(*scene(2, 6))[:, :2]
        for length in (6, 9)
    )
    assert torch.allclose(six, nine) == same


def test_a_scene_of_as_many_objects_as_the_length_or_more_is_not_padded() -> None:
    given = scene(3, 6)
    want = encoder(mask_absent=True)(*given)[:, :3]
    for length in (2, 3):
        torch.testing.assert_close(encoder(max_program_len=length)(*given)[:, :3], want)
    assert not torch.allclose(encoder(max_program_len=4)(*given)[:, :3], want)


def test_it_goes_with_properties_left_out() -> None:
    model = encoder(exclude_properties="place")
    primitives, present = scene(2, 6)
    moved = primitives.clone()
    moved[..., 1:] += 1
    torch.testing.assert_close(model(moved, present), model(primitives, present))
    assert not torch.allclose(
        model(primitives, present)[:, :2],
        encoder(exclude_properties="place", mask_absent=True)(primitives, present)[:, :2],
    )
