"""Scenes are divided at random, the same each time."""

from __future__ import annotations

import pytest

from nsi_cli.plugins import DataError, split_randomly

SCENES = [f"{number:03d}" for number in range(100)]


def test_each_scene_is_in_one_split_and_keeps_its_order() -> None:
    splits = split_randomly(SCENES, val=0.05, test=0.2)
    assert {name: len(part) for name, part in splits.items()} == {"train": 75, "val": 5, "test": 20}
    assert sorted(scene for part in splits.values() for scene in part) == SCENES
    assert all(part == sorted(part) for part in splits.values())
    assert splits["train"] != SCENES[:75]


def test_the_seed_alone_decides() -> None:
    assert split_randomly(SCENES) == split_randomly(SCENES)
    assert split_randomly(SCENES, seed=1) != split_randomly(SCENES)


def test_a_split_has_at_least_one_scene_unless_its_share_is_zero() -> None:
    assert [*map(len, split_randomly(SCENES[:3]).values())] == [1, 1, 1]
    assert split_randomly(SCENES, test=0).keys() == {"train", "val"}


def test_too_few_scenes_are_refused() -> None:
    with pytest.raises(DataError, match="2 scenes are too few for 10% for val and 10% for test"):
        split_randomly(SCENES[:2])
