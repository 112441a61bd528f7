from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsi_cli.evaluation.metrics.donors import donors


@given(scenes=st.integers(1, 40), most=st.integers(1, 10), seed=st.integers(0, 5))
def test_every_scene_gets_other_scenes_and_none_of_them_twice(
    scenes: int, most: int, seed: int
) -> None:
    found = donors(scenes, most, seed)
    assert found.shape == (min(most, scenes - 1), scenes)
    for row in found:
        assert sorted(row) == list(range(scenes))
        assert (row != np.arange(scenes)).all()
    for column in found.T:
        assert len(set(column)) == len(column)


def test_the_donors_are_random_but_the_seed_decides() -> None:
    np.testing.assert_array_equal(donors(20, 8, 1), donors(20, 8, 1))
    assert (donors(20, 8, 1) != donors(20, 8, 2)).any()
