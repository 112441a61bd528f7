"""Which scenes count as annotated is the seed's choice, and exactly the share that was asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsi_cli.training.prepare import annotated_scenes

SEEDS = st.integers(0, 2**32 - 1)
COUNTS = st.integers(1, 300)
SHARES = st.floats(0, 1, exclude_min=True)


@given(seed=SEEDS, count=COUNTS, share=SHARES)
def test_the_share_is_exact_and_never_nothing(seed: int, count: int, share: float) -> None:
    chosen = annotated_scenes(seed, count, share)
    assert chosen.shape == (count,)
    assert chosen.dtype == bool
    assert chosen.sum() == max(1, round(share * count))


@given(seed=SEEDS, count=COUNTS, share=SHARES, more=SHARES)
def test_a_smaller_share_is_part_of_a_larger(
    seed: int, count: int, share: float, more: float
) -> None:
    small, large = sorted((share, more))
    assert (annotated_scenes(seed, count, small) <= annotated_scenes(seed, count, large)).all()


def test_another_seed_chooses_others() -> None:
    chosen = [annotated_scenes(seed, 1000, 0.1) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert (chosen[0] & chosen[2]).sum() < 30  # 10 by chance


def test_the_choice_favours_no_place() -> None:
    counts = np.sum([annotated_scenes(seed, 20, 0.25) for seed in range(2000)], axis=0)
    assert counts / 2000 == pytest.approx(0.25, abs=0.05)


def test_the_whole_share_is_every_scene() -> None:
    assert annotated_scenes(3, 7, 1.0).all()
