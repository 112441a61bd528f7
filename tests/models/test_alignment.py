"""Scores, alignments and losses, worked by hand and by invariants."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nsi_cli.models.alignment import align, contrastive_loss, reconstruction_loss, score_matrix
from nsi_cli.models.assignment import assign
from nsi_cli.support.errors import NsiError

ORDERS = st.permutations(range(4))


def sample(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    slots = torch.randn(4, 4, 3, generator=generator, dtype=torch.float64)
    primitives = torch.randn(4, 4, 3, generator=generator, dtype=torch.float64)
    return slots, primitives, torch.rand(4, 4, generator=generator) < 0.7


def split(objects: int, share: float) -> tuple[Tensor, Tensor, Tensor]:
    """20 images with 4 slots, and 30 scenes of up to ``objects`` objects, a ``share`` present."""
    generator = torch.Generator().manual_seed(0)
    slots = torch.randn(20, 4, 6, generator=generator)
    primitives = torch.randn(30, objects, 6, generator=generator)
    return slots, primitives, torch.rand(30, objects, generator=generator) < share


def test_score_adds_up_each_present_primitives_best_slot() -> None:
    slots = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[-1.0, 0.0], [0.0, -1.0]]])
    primitives = torch.tensor([[[3.0, 1.0], [9.0, 9.0]], [[0.0, 1.0], [1.0, 0.0]]])
    present = torch.tensor([[True, False], [True, True]])
    # image 0: ⟨(1,0),(3,1)⟩ = 3 beats 2; then 2 + 1. image 1: max(−3, −1); then 0 + 0
    assert score_matrix(slots, primitives, present).tolist() == [[3.0, 3.0], [-1.0, 0.0]]


def test_alignment_names_the_best_slot_and_its_score() -> None:
    slots = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    found = align(slots, torch.tensor([[[3.0, 1.0], [0.5, 1.0]]]))
    assert found.slot.tolist() == [[0, 1]]
    assert found.score.tolist() == [[3.0, 2.0]]


def test_alignment_adds_up_to_the_diagonal_of_the_scores() -> None:
    slots, primitives, present = sample(0)
    scores = (align(slots, primitives).score * present).sum(1)
    torch.testing.assert_close(scores, score_matrix(slots, primitives, present).diagonal())


@settings(max_examples=25)
@given(seed=st.integers(0, 999), slot_order=ORDERS, primitive_order=ORDERS)
def test_score_knows_no_order_of_slots_or_primitives(
    seed: int, slot_order: list[int], primitive_order: list[int]
) -> None:
    slots, primitives, present = sample(seed)
    plain = score_matrix(slots, primitives, present)
    moved = score_matrix(
        slots[:, slot_order], primitives[:, primitive_order], present[:, primitive_order]
    )
    torch.testing.assert_close(moved, plain)


@settings(max_examples=25)
@given(seed=st.integers(0, 999), order=ORDERS)
def test_scores_and_loss_follow_a_relabelling_of_the_scenes(seed: int, order: list[int]) -> None:
    slots, primitives, present = sample(seed)
    plain = score_matrix(slots, primitives, present)
    moved = score_matrix(slots[order], primitives[order], present[order])
    torch.testing.assert_close(moved, plain[order][:, order])
    torch.testing.assert_close(contrastive_loss(moved, 0.1), contrastive_loss(plain, 0.1))
    torch.testing.assert_close(contrastive_loss(plain.T, 0.1), contrastive_loss(plain, 0.1))


@settings(max_examples=25)
@given(seed=st.integers(0, 999), value=st.sampled_from([0.0, 1e30, math.nan, math.inf]))
def test_absent_primitives_add_nothing(seed: int, value: float) -> None:
    slots, primitives, present = sample(seed)
    other = torch.where(present[..., None], primitives, value)
    torch.testing.assert_close(
        score_matrix(slots, other, present), score_matrix(slots, primitives, present)
    )


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_change_neither_scores_nor_gradients(chunk: int) -> None:
    slots, primitives, present = sample(1)
    slots.requires_grad_()
    primitives.requires_grad_()
    found = []
    for size in (None, chunk):
        scores = score_matrix(slots, primitives, present, chunk=size)
        aim = contrastive_loss(scores, 0.1)
        found.append([scores, *torch.autograd.grad(aim, [slots, primitives])])
    for have, want in zip(*found, strict=True):
        torch.testing.assert_close(have, want)


def test_score_gradients_are_exact() -> None:
    slots, primitives, present = sample(2)
    slots.requires_grad_()
    primitives.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s, p: contrastive_loss(score_matrix(s, p, present), 0.5), (slots, primitives)
    )


@pytest.mark.slow
@settings(max_examples=25)
@given(size=st.integers(1, 50), score=st.floats(-100, 100), tau=st.sampled_from([0.05, 0.1, 1.0]))
def test_loss_at_chance_is_the_logarithm_of_the_batch(size: int, score: float, tau: float) -> None:
    scores = torch.full((size, size), score, dtype=torch.float64)
    assert contrastive_loss(scores, tau).item() == pytest.approx(math.log(size), abs=1e-9)


def test_loss_by_hand() -> None:
    # logits [[2, 0], [1, 1]]: rows log(1 + e⁻²) and log 2, columns log(1 + e⁻¹) and log(1 + e⁻¹)
    scores = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    rows = (math.log1p(math.exp(-2)) + math.log(2)) / 2
    columns = math.log1p(math.exp(-1))
    assert contrastive_loss(scores, 0.5).item() == pytest.approx((rows + columns) / 2)


def test_reconstruction_loss_sums_over_channels_and_averages_the_rest() -> None:
    features = torch.zeros(2, 3, 4)
    assert reconstruction_loss(features + 2, features).item() == 4 * 2**2


def test_scores_and_losses_stay_in_full_precision_under_autocast() -> None:
    slots, primitives, present = (item.float() if item.is_floating_point() else item
                                  for item in sample(3))  # fmt: skip
    want = score_matrix(slots, primitives, present)
    with torch.autocast("cpu", torch.bfloat16):
        have = score_matrix(slots, primitives, present)
        assert have.dtype == torch.float32
        assert align(slots, primitives).score.dtype == torch.float32
        assert contrastive_loss(have.bfloat16(), 0.1).dtype == torch.float32
        assert reconstruction_loss(slots.bfloat16(), slots).dtype == torch.float32
    assert torch.equal(have, want)


def test_scores_that_do_not_fit_are_refused() -> None:
    slots, primitives, present = sample(0)
    with pytest.raises(NsiError, match="slot embeddings"):
        score_matrix(slots[..., :2], primitives, present)
    with pytest.raises(NsiError, match="as many rows as columns"):
        contrastive_loss(torch.zeros(2, 3), 0.1)


def test_pairs_that_cannot_reach_the_floor_are_not_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    slots, primitives, present = split(objects=3, share=0.8)
    whole = score_matrix(slots, primitives, present, alignment="hungarian")
    floor = whole.quantile(0.9).expand(20, 30)
    solved = 0

    def count(products: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        nonlocal solved
        solved += len(products)
        return assign(products, mask)

    monkeypatch.setattr("nsi_cli.models.alignment.assign", count)
    bounded = score_matrix(slots, primitives, present, alignment="hungarian", floor=floor, chunk=7)
    reached = bounded > -torch.inf
    assert torch.equal(bounded[reached], whole[reached])
    assert (whole[~reached] < floor[~reached]).all()
    assert 60 <= int(reached.sum()) == solved < 300


def test_a_primitive_without_a_slot_lowers_no_bound() -> None:
    slots, primitives, present = split(objects=6, share=0.9)
    whole = score_matrix(slots, primitives, present, alignment="hungarian")
    floor = whole.quantile(0.5).expand(20, 30)
    bounded = score_matrix(slots, primitives, present, alignment="hungarian", floor=floor)
    assert torch.equal(bounded >= floor, whole >= floor)
    # The largest product of the second is negative, but it has no slot and adds nothing.
    slot, two = torch.tensor([[[1.0]]]), torch.tensor([[[3.0], [-5.0]]])
    everywhere = torch.ones(1, 2, dtype=torch.bool)
    floor = torch.zeros(1, 1)
    assert score_matrix(slot, two, everywhere, alignment="hungarian", floor=floor).item() == 3


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("alignment", ["max", "hungarian"])
@pytest.mark.parametrize(("images", "scenes"), [(0, 3), (2, 0), (0, 0)])
def test_no_images_or_no_scenes_have_no_scores(
    images: int, scenes: int, alignment: str, gradient: bool
) -> None:
    slots = torch.randn(images, 4, 6, requires_grad=gradient)
    primitives, present = torch.randn(scenes, 3, 6), torch.ones(scenes, 3, dtype=torch.bool)
    assert score_matrix(slots, primitives, present, alignment=alignment).shape == (images, scenes)
