"""Set matching: a slot of its own for each primitive, and the best sum that this allows."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nsi_cli.models.alignment import align, contrastive_loss, score_matrix
from nsi_cli.models.assignment import NO_SLOT, assign


def sample(seed: int, slots: int = 4, most: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    one = torch.randn(3, slots, 3, generator=generator, dtype=torch.float64)
    other = torch.randn(4, most, 3, generator=generator, dtype=torch.float64)
    return one, other, torch.rand(4, most, generator=generator) < 0.7


def matched(slots: Tensor, primitives: Tensor, present: Tensor) -> Tensor:
    return score_matrix(slots, primitives, present, alignment="hungarian")


def brute(slots: Tensor, primitives: Tensor, present: Tensor) -> Tensor:
    """The largest sum over every way to give the primitives slots, as many as there can be."""
    products = torch.einsum("ike,jte->ijkt", slots, primitives)
    scores = torch.zeros(products.shape[:2], dtype=products.dtype)
    for i, j in itertools.product(*map(range, scores.shape)):
        there = present[j].nonzero().flatten().tolist()
        count = min(len(there), products.shape[2])
        sums = [
            sum((products[i, j, k, t] for k, t in zip(rows, chosen, strict=True)), torch.zeros(()))
            for chosen in itertools.combinations(there, count)
            for rows in itertools.permutations(range(products.shape[2]), count)
        ]
        scores[i, j] = max(sums)
    return scores


def test_two_that_want_one_slot_share_the_sum_best() -> None:
    slots = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    primitives = torch.tensor([[[5.0, 4.0], [3.0, 0.0]]])  # both want slot 0
    found = align(slots, primitives, alignment="hungarian")
    assert found.slot.tolist() == [[1, 0]]
    assert found.score.tolist() == [[4.0, 3.0]]
    assert align(slots, primitives).slot.tolist() == [[0, 0]]


@settings(max_examples=30)
@given(seed=st.integers(0, 9999), slots=st.integers(1, 4), most=st.integers(1, 4))
def test_the_sum_is_the_best_of_all_assignments(seed: int, slots: int, most: int) -> None:
    given_ = sample(seed, slots, most)
    torch.testing.assert_close(matched(*given_), brute(*given_))


@settings(max_examples=30)
@given(seed=st.integers(0, 9999), slots=st.integers(4, 8))
def test_it_is_never_above_the_score_in_which_slots_are_shared(seed: int, slots: int) -> None:
    given_ = sample(seed, slots)
    assert (matched(*given_) <= score_matrix(*given_) + 1e-12).all()


@settings(max_examples=30)
@given(seed=st.integers(0, 9999))
def test_it_is_that_score_where_the_best_slots_are_different_ones(seed: int) -> None:
    slots, primitives, present = sample(seed, slots=16, most=3)
    products = torch.einsum("ike,jte->ijkt", slots, primitives)
    best = products.argmax(2)  # (3, 4, 3)
    picked = best.masked_fill(~present, -1).sort(-1).values
    differ = ((picked.diff(dim=-1) != 0) | (picked[..., 1:] < 0)).all(-1)
    torch.testing.assert_close(
        matched(slots, primitives, present)[differ],
        score_matrix(slots, primitives, present)[differ],
    )
    torch.testing.assert_close(
        assign(products, present)[differ], best.masked_fill(~present, NO_SLOT)[differ]
    )


@settings(max_examples=30)
@given(seed=st.integers(0, 9999), slots=st.integers(1, 5))
def test_no_slot_is_given_twice_and_absent_primitives_take_none(seed: int, slots: int) -> None:
    one, other, present = sample(seed, slots)
    found = assign(torch.einsum("ike,jte->ijkt", one, other), present)
    for j, rows in enumerate(found.unbind(1)):
        assert (rows[:, ~present[j]] == NO_SLOT).all()
        for row in rows:
            taken = row[row >= 0].tolist()
            assert len(set(taken)) == len(taken) == min(slots, int(present[j].sum()))


@pytest.mark.parametrize("slots", [2, 4])
def test_gradients_go_through_the_chosen_products_alone(slots: int) -> None:
    one, other, present = sample(2, slots)
    one.requires_grad_()
    other.requires_grad_()
    assert torch.autograd.gradcheck(lambda s, p: matched(s, p, present), (one, other))
    chosen = assign(torch.einsum("ike,jte->ijkt", one, other), present)
    (gradient,) = torch.autograd.grad(matched(one, other, present).sum(), one)
    by_hand = torch.zeros_like(one)
    for i, j, t in itertools.product(range(3), range(4), range(4)):
        if chosen[i, j, t] >= 0:
            by_hand[i, chosen[i, j, t]] += other[j, t].detach()
    torch.testing.assert_close(gradient, by_hand)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_chunks_change_nothing(chunk: int) -> None:
    one, other, present = sample(5)
    cut = score_matrix(one, other, present, alignment="hungarian", chunk=chunk)
    torch.testing.assert_close(cut, matched(one, other, present))


def test_alignment_adds_up_to_the_diagonal_of_the_scores() -> None:
    one, other, present = sample(6)
    found = align(one, other[:3], present[:3], alignment="hungarian")
    diagonal = matched(one, other[:3], present[:3]).diagonal()
    torch.testing.assert_close(found.score.sum(1), diagonal)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_of_embeddings_that_are_not_finite_is_not_finite(value: float) -> None:
    one, other, _ = sample(7)
    one[0, 0, 0] = value
    everyone = torch.ones(4, 4, dtype=torch.bool)
    assert not matched(one, other, everyone)[0].isfinite().any()


def test_an_empty_scene_scores_nothing() -> None:
    one, other, present = sample(8)
    present[0] = False
    assert not matched(one, other, present)[:, 0].any()


def test_scores_stay_in_full_precision_under_autocast() -> None:
    one, other, present = sample(9)
    with torch.autocast("cpu", torch.bfloat16):
        have = matched(one.float(), other.float(), present)
        assert have.dtype == torch.float32
        assert align(one.float(), other[:3].float(), alignment="hungarian").score.dtype == (
            torch.float32
        )
    torch.testing.assert_close(have, matched(one, other, present).float())


def test_a_training_step_on_it_lowers_the_loss() -> None:
    one, other, present = sample(10)
    other, present = other[:3], present[:3]
    one.requires_grad_()
    loss = contrastive_loss(matched(one, other, present), 1.0)
    (gradient,) = torch.autograd.grad(loss, one)
    after = contrastive_loss(matched(one - 0.01 * gradient, other, present), 1.0)
    assert after < loss
