"""The broadcast decoder computes what the plain one would, gradients included."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.decoder import AttentionDecoder, SlotDecoder


def plain(decoder: SlotDecoder, slots: Tensor) -> tuple[Tensor, Tensor]:
    """Every slot at every position through the whole MLP, mixed at the very end."""
    outputs = decoder.mlp(slots[:, :, None] + decoder.position)  # (B, K, N, 1 + C)
    masks = outputs[..., 0].softmax(1)
    return (masks[..., None] * outputs[..., 1:]).sum(1), masks


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_decoder_equals_the_plain_one(
    small: ModelConfig, dtype: torch.dtype, tolerance: float
) -> None:
    decoder = SlotDecoder(small, num_tokens=30, channels=12).to(dtype)
    slots = torch.randn(3, 4, small.slot_dim, dtype=dtype, requires_grad=True)
    aim, aim_masks = torch.randn(3, 30, 12, dtype=dtype), torch.randn(3, 4, 30, dtype=dtype)
    found = []
    for reconstruction, masks in (decoder(slots), plain(decoder, slots)):
        loss = (reconstruction * aim).sum() + (masks * aim_masks).sum()
        gradients = torch.autograd.grad(loss, [slots, *decoder.parameters()])
        found.append([reconstruction, masks, *gradients])
    for have, want in zip(*found, strict=True):
        assert (have - want).abs().max() <= tolerance * max(1.0, want.abs().max().item())


def test_slot_masks_sum_to_one_over_slots(small: ModelConfig) -> None:
    _, masks = SlotDecoder(small, 30, 12)(torch.randn(2, 4, small.slot_dim))
    assert masks.shape == (2, 4, 30)
    torch.testing.assert_close(masks.sum(1), torch.ones(2, 30))


def test_attention_decoder_paints_a_slot_only_where_it_attends(small: ModelConfig) -> None:
    decoder = AttentionDecoder(dataclasses.replace(small, reconstruct="attention"), channels=12)
    slots = torch.randn(1, 2, small.slot_dim)
    masks = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]])
    painted = decoder(slots, masks)[0]
    first, second = decoder.mlp(slots)[0]
    torch.testing.assert_close(painted, torch.stack([first, second, (first + second) / 2]))
