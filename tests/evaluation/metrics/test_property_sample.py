from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsi_cli.evaluation.metrics.property_sample import other_scenes


@given(scenes=st.integers(1, 40), most=st.integers(1, 10), seed=st.integers(0, 5))
def test_every_scene_gets_other_scenes_and_none_of_them_twice(
    scenes: int, most: int, seed: int
) -> None:
    found = other_scenes(scenes, most, seed)
    assert found.shape == (min(most, scenes - 1), scenes)
    for row in found:
        assert sorted(row) == list(range(scenes))
        assert (row != np.arange(scenes)).all()
    for column in found.T:
        assert len(set(column)) == len(column)


def test_one_seed_gives_the_same_other_scenes() -> None:
    np.testing.assert_array_equal(other_scenes(20, 8, 1), other_scenes(20, 8, 1))
    assert (other_scenes(20, 8, 1) != other_scenes(20, 8, 2)).any()
