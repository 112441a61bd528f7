"""The broadcast decoder computes what the plain one would, gradients included."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from nsi_cli.models import decoder as decoder_module
from nsi_cli.models import decoder_error
from nsi_cli.models.alignment import reconstruction_loss
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.decoder import AttentionDecoder, SlotDecoder
from nsi_cli.models.token_sample import rows_of, token_sample


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


A_TOKEN = 4 * 32  # numbers of an activation: slots times hidden width


def drawn(sampled: bool) -> Tensor | None:
    """A sample of 11 of 30 tokens for each of five images, or None."""
    return token_sample(30, 11, seed=0, step=0, positions=range(5)) if sampled else None


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("tokens_at_once", [7, 30, 65, 10**6])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_error_equals_the_plain_ones_however_it_is_chunked(
    small: ModelConfig,
    dtype: torch.dtype,
    tolerance: float,
    tokens_at_once: int,
    sampled: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_once = tokens_at_once * A_TOKEN * dtype.itemsize
    monkeypatch.setattr(decoder_error, "_CHUNK_BYTES", at_once)
    decoder = SlotDecoder(small, num_tokens=30, channels=12).to(dtype)
    slots = torch.randn(5, 4, small.slot_dim, dtype=dtype, requires_grad=True)
    features, sample = torch.randn(5, 30, 12, dtype=dtype), drawn(sampled)
    found = []
    for error in (
        decoder.error(slots, features, sample),
        reconstruction_loss(rows_of(plain(decoder, slots)[0], sample), rows_of(features, sample)),
    ):
        gradients = torch.autograd.grad(3 * error, [slots, *decoder.parameters()])
        found.append([error, *gradients])
    for have, want in zip(*found, strict=True):
        assert (have - want).abs().max() <= tolerance * max(1.0, want.abs().max().item())
    with torch.no_grad():
        assert decoder.error(slots, features, sample) == found[0][0]


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_error_in_half_precision_rounds_no_more_than_the_plain_one(
    small: ModelConfig, half: torch.dtype, sampled: bool
) -> None:
    decoder = SlotDecoder(small, num_tokens=30, channels=12)
    slots = torch.randn(5, 4, small.slot_dim, requires_grad=True)
    features, sample = torch.randn(5, 30, 12), drawn(sampled)
    wanted, aim = [slots, *decoder.parameters()], rows_of(features, sample)
    exact = reconstruction_loss(rows_of(plain(decoder, slots)[0], sample), aim)
    with torch.autocast("cpu", half):
        error = decoder.error(slots, features, sample)
        plain_error = reconstruction_loss(rows_of(plain(decoder, slots)[0], sample), aim)
    assert error.dtype == torch.float32
    torch.testing.assert_close(error, exact, rtol=0.02, atol=0)
    gradients = [torch.autograd.grad(loss, wanted) for loss in (error, plain_error, exact)]
    for have, rounded, want in zip(*gradients, strict=True):
        assert have.dtype == torch.float32
        assert (have - want).norm() <= 1.5 * (rounded - want).norm() + 1e-3 * want.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_has_the_bits_of_a_product_a_bias_and_a_relu(dtype: torch.dtype) -> None:
    for rows, hidden in ((7, 32), (2940, 128), (96, 1024)):
        x, bias = torch.randn(rows, hidden).to(dtype), torch.randn(hidden).to(dtype)
        weight = torch.randn(hidden, hidden).div(hidden**0.5).to(dtype)
        want = torch.addmm(bias, x, weight.T).relu()
        assert torch.equal(decoder_error._layer(x, weight, bias), want)


def test_without_gradients_images_are_decoded_a_few_at_a_time(
    small: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = SlotDecoder(small, num_tokens=30, channels=12)
    slots = torch.randn(5, 4, small.slot_dim)
    whole = decoder(slots)
    monkeypatch.setattr(decoder_module, "_MOST_ACTIVATIONS", 2 * 30 * A_TOKEN)
    with torch.no_grad():
        for have, want in zip(decoder(slots), whole, strict=True):
            torch.testing.assert_close(have, want)
        assert decoder(slots[:0])[0].shape == (0, 30, 12)


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
