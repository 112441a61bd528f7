"""The error of a random sample of tokens estimates the error of all, and so does its gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.decoder import AttentionDecoder, SlotDecoder
from nsi_cli.models.slot_init import slot_noise
from nsi_cli.models.token_sample import token_sample

TOKENS, SAMPLED, DRAWS, SEED = 30, 8, 2000, 3


def test_a_sample_depends_only_on_the_seed_the_step_and_the_position() -> None:
    whole = token_sample(TOKENS, SAMPLED, seed=1, step=3, positions=range(6))
    assert torch.equal(token_sample(TOKENS, SAMPLED, seed=1, step=3, positions=[4, 5]), whole[4:])
    for seed, step in ((1, 4), (2, 3)):
        other = token_sample(TOKENS, SAMPLED, seed=seed, step=step, positions=range(6))
        assert not torch.equal(other, whole)


def test_a_sample_holds_different_tokens_and_all_are_equally_likely() -> None:
    sample = token_sample(TOKENS, SAMPLED, seed=0, step=0, positions=range(DRAWS))
    assert (sample.diff(dim=1) > 0).all()
    counts = torch.bincount(sample.flatten(), minlength=TOKENS)
    share = SAMPLED / TOKENS
    deviation = math.sqrt(DRAWS * share * (1 - share))
    assert len(counts) == TOKENS
    assert (counts - DRAWS * share).abs().max() < 4 * deviation


def test_a_sample_is_drawn_apart_from_slot_noise(small: ModelConfig) -> None:
    """Tokens chosen by the numbers that slots start from would depend on them."""
    noise = slot_noise(small, seed=0, step=0, positions=range(300)).flatten(1)[:, 0]
    sample = token_sample(TOKENS, 1, seed=0, step=0, positions=range(300))[:, 0]
    assert abs(torch.corrcoef(torch.stack([noise, sample.float()]))[0, 1]) < 0.15


def decoders(small: ModelConfig) -> list[tuple[SlotDecoder | AttentionDecoder, tuple[Tensor, ...]]]:
    """Both decoders, and the arguments of their error before the features."""
    slots = torch.randn(1, 4, small.slot_dim, dtype=torch.float64, requires_grad=True)
    masks = torch.randn(1, 4, TOKENS, dtype=torch.float64).softmax(1).requires_grad_()
    return [
        (SlotDecoder(small, TOKENS, 12).double(), (slots,)),
        (AttentionDecoder(small, 12).double(), (slots, masks)),
    ]


@pytest.mark.parametrize("number", [0, 1])
def test_a_sample_of_all_tokens_has_the_error_and_the_gradient_of_all(
    small: ModelConfig, number: int
) -> None:
    decoder, given = decoders(small)[number]
    features = torch.randn(1, TOKENS, 12, dtype=torch.float64)
    sample = token_sample(TOKENS, TOKENS, seed=0, step=0, positions=[0])
    found = []
    for chosen in (sample, None):
        error = decoder.error(*given, features, chosen)
        found.append([error, *torch.autograd.grad(error, [*given, *decoder.parameters()])])
    for have, want in zip(*found, strict=True):
        torch.testing.assert_close(have, want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("number", [0, 1])
def test_the_mean_over_draws_is_within_its_standard_error_of_the_whole(
    small: ModelConfig, number: int
) -> None:
    """For the error, and for its gradient: the distance against the expected distance.

    The error of a sample is the mean of the errors of its tokens, so those are computed once. The
    draws are fixed by the seed; a third of all seeds would be farther than the standard error.
    """
    decoder, given = decoders(small)[number]
    features = torch.randn(1, TOKENS, 12, dtype=torch.float64)
    wanted = [*given, *decoder.parameters()]

    def error_and_gradient(sample: Tensor | None) -> Tensor:
        error = decoder.error(*given, features, sample)
        gradients = torch.autograd.grad(error, wanted)
        return torch.cat([error.detach()[None], *(each.flatten() for each in gradients)])

    samples = [
        token_sample(TOKENS, SAMPLED, seed=SEED, step=step, positions=[0]) for step in range(DRAWS)
    ]
    of_token = torch.stack([error_and_gradient(torch.tensor([[n]])) for n in range(TOKENS)])
    for sample in samples[:5]:
        mean = of_token[sample[0]].mean(0)
        torch.testing.assert_close(error_and_gradient(sample), mean)
    shares = torch.zeros(DRAWS, TOKENS, dtype=torch.float64)
    draws = shares.scatter_(1, torch.cat(samples), 1 / SAMPLED) @ of_token
    whole = error_and_gradient(None)
    for part in (slice(0, 1), slice(1, None)):
        distance = (draws[:, part].mean(0) - whole[part]).norm()
        standard_error = (draws[:, part].var(0).sum() / DRAWS).sqrt()
        assert distance <= standard_error
        assert standard_error < 0.1 * whole[part].norm()
