"""Where slots start, how they compete, and the noise they are given."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.image_encoder import ImageEncoder
from nsi_cli.models.layers import GRUCell
from nsi_cli.models.slot_init import TokensInit, farthest_points, slot_noise
from nsi_cli.support.errors import NsiError

SMALL = ModelConfig(
    num_slots=5, slot_dim=16, num_iterations=2, mlp_hidden_size=8, decoder_hidden_size=16
)


@settings(max_examples=20)
@given(order=st.permutations(range(5)), heads=st.sampled_from([1, 2]), seed=st.integers(0, 99))
def test_permuted_noise_permutes_slots_and_masks(order: list[int], heads: int, seed: int) -> None:
    torch.manual_seed(seed)
    config = dataclasses.replace(SMALL, num_slot_heads=heads)
    encoder = ImageEncoder(config, num_tokens=9, channels=7).double().eval()
    features, noise = torch.randn(2, 9, 7).double(), torch.randn(2, 5, 16).double()
    plain, permuted = encoder(features, noise), encoder(features, noise[:, order])
    assert plain.slot_masks is not None
    assert permuted.slot_masks is not None
    torch.testing.assert_close(permuted.slots, plain.slots[:, order])
    torch.testing.assert_close(permuted.attention_masks, plain.attention_masks[:, order])
    torch.testing.assert_close(permuted.slot_masks, plain.slot_masks[:, order])
    torch.testing.assert_close(permuted.embeddings, plain.embeddings[:, order])
    torch.testing.assert_close(permuted.reconstruction, plain.reconstruction)


@settings(max_examples=20)
@given(
    heads=st.sampled_from([1, 2, 4]), seed=st.integers(0, 99), scale=st.sampled_from([0, 1, 1e4])
)
def test_masks_sum_to_one_over_slots(heads: int, seed: int, scale: float) -> None:
    torch.manual_seed(seed)
    encoder = ImageEncoder(dataclasses.replace(SMALL, num_slot_heads=heads), 9, 7)
    encoding = encoder(torch.randn(2, 9, 7) * scale, torch.randn(2, 5, 16))
    for masks in (encoding.attention_masks, encoding.slot_masks):
        assert masks is not None
        assert masks.shape == (2, 5, 9)
        assert (masks >= 0).all()
        torch.testing.assert_close(masks.sum(1), torch.ones(2, 9))


def test_features_of_another_shape_are_refused() -> None:
    encoder = ImageEncoder(SMALL, num_tokens=9, channels=7)
    with pytest.raises(NsiError, match=r"features must have the shape \(B, N=9, C=7\)"):
        encoder(torch.zeros(2, 16, 7))
    with pytest.raises(NsiError, match=r"slot noise must have the shape \(B=2, K=5, D=16\)"):
        encoder(torch.zeros(2, 9, 7), torch.zeros(1, 5, 16))


def test_gru_cell_is_torchs() -> None:
    ours, theirs = GRUCell(6), torch.nn.GRUCell(6, 6)
    theirs.load_state_dict(ours.state_dict())
    inputs, state = torch.randn(5, 6), torch.randn(5, 6)
    torch.testing.assert_close(ours(inputs, state), theirs(inputs, state))


def test_gru_cell_starts_xavier_orthogonal_and_without_bias() -> None:
    cell = GRUCell(12)
    torch.testing.assert_close(cell.weight_hh.T @ cell.weight_hh, torch.eye(12))
    bound = (6 / (12 + 36)) ** 0.5  # Xavier uniform of (36, 12)
    assert 0.9 * bound < cell.weight_ih.abs().max() <= bound
    assert not cell.bias_ih.any()
    assert not cell.bias_hh.any()


def test_farthest_points_are_a_corner_then_its_opposite() -> None:
    line = torch.tensor([0.0, 1.0, 2.0, 3.0, 10.0])[None, :, None]
    # the mean is 3.2, so 10 lies farthest; then 0, then 3 in between
    assert farthest_points(line, 3).tolist() == [[4, 0, 3]]


@settings(max_examples=20)
@given(seed=st.integers(0, 999), count=st.integers(1, 12))
def test_farthest_points_never_repeat_while_there_are_others(seed: int, count: int) -> None:
    points = torch.randn(3, 12, 4, generator=torch.Generator().manual_seed(seed))
    points[1] = points[1, :1]  # all the same
    assert all(len(set(row)) == count for row in farthest_points(points, count).tolist())


def test_slots_from_tokens_need_no_noise_and_carry_gradients() -> None:
    config = dataclasses.replace(SMALL, slot_init="tokens")
    start = TokensInit(config, channels=7)
    tokens = torch.randn(2, 9, 7, requires_grad=True)
    slots = start(tokens, None)
    assert torch.equal(slots, start(tokens, torch.zeros(2, 5, 16)))
    (gradient,) = torch.autograd.grad(slots.sum(), tokens)
    assert (gradient.abs().sum(-1) > 0).sum(1).tolist() == [5, 5]  # the chosen tokens only


def test_slots_from_tokens_start_with_a_tenth_of_the_noise() -> None:
    start = TokensInit(dataclasses.replace(SMALL, slot_init="tokens"), channels=7)
    tokens, noise = torch.randn(2, 9, 7), torch.randn(2, 5, 16)
    torch.testing.assert_close(
        start(tokens, noise) - start(tokens, None), noise / 10, rtol=0.01, atol=1e-6
    )


def test_noise_depends_on_seed_step_and_position_alone() -> None:
    whole = slot_noise(SMALL, seed=1, step=5, positions=range(8))
    assert whole.shape == (8, 5, 16)
    assert whole.dtype == torch.float32
    half = slot_noise(SMALL, seed=1, step=5, positions=range(4, 8))
    assert torch.equal(whole[4:], half)
    for other in (
        slot_noise(SMALL, seed=2, step=5, positions=range(8)),
        slot_noise(SMALL, seed=1, step=6, positions=range(8)),
        slot_noise(SMALL, seed=1, step=None, positions=range(8)),
        slot_noise(SMALL, seed=1, step=5, positions=range(1, 9)),
    ):
        assert not torch.isclose(whole, other).flatten(1).all(1).any()


def test_the_first_step_and_an_evaluation_draw_different_noise() -> None:
    training = slot_noise(SMALL, seed=1, step=0, positions=range(2))
    evaluation = slot_noise(SMALL, seed=1, step=None, positions=range(2))
    assert not torch.equal(training, evaluation)


def test_noise_is_standard_normal() -> None:
    noise = slot_noise(ModelConfig(), seed=0, step=0, positions=range(64))
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    rows = noise.flatten(1)
    assert torch.corrcoef(rows).fill_diagonal_(0).abs().max() < 0.1
