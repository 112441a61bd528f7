from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsi_cli.evaluation.metrics.property_sample import PrimitiveSample, other_scenes


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


def sampled(predictions, most: int, seed: int) -> set[tuple[int, int]]:
    sample = PrimitiveSample(most, seed)
    sample.add(predictions)
    primitives = sample.primitives()
    return set(zip(primitives.scene.tolist(), primitives.position.tolist(), strict=True))


def test_the_sample_is_drawn_by_the_seed_from_all_rows_alike(make_predictions) -> None:
    predictions = make_predictions(200, true_masks=None, present=np.ones((200, 3), bool))
    chosen = sampled(predictions, 200, seed=0)
    for row in range(3):
        assert 40 < sum(position == row for _, position in chosen) < 95
    primitives = make_predictions(20, true_masks=None)
    assert sampled(primitives, 10, seed=0) != sampled(primitives, 10, seed=1)


def test_one_seed_gives_the_same_other_scenes() -> None:
    np.testing.assert_array_equal(other_scenes(20, 8, 1), other_scenes(20, 8, 1))
    assert (other_scenes(20, 8, 1) != other_scenes(20, 8, 2)).any()
