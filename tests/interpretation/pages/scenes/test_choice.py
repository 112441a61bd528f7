from __future__ import annotations

import numpy as np
import pytest

from nsi_cli.interpretation.pages.scenes.choice import choose_scenes

IOUS = [0.1, 0.9, 0.5, 0.4, 0.6, 0.2, 0.8]


def records(ious=IOUS):
    """Two objects a scene: one with the IoU, one that is not visible."""
    count = len(ious)
    return {
        "index": np.repeat(np.arange(count), 2).astype(float),
        "iou": np.array([part for iou in ious for part in (iou, np.nan)]),
        "pointing": np.array([part for iou in ious for part in (float(iou > 0.45), np.nan)]),
    }


def test_the_best_the_median_and_the_worst_scenes_are_shown_in_that_order() -> None:
    choice = choose_scenes(7, 3, records())
    assert choice.scenes == (1, 2, 0)
    assert choice.kinds == {1: "best", 2: "median", 0: "worst"}


def test_the_shares_are_of_all_scenes() -> None:
    table = records([0.9, 0.5, 0.1])
    table["pointing"] = np.array([1.0, np.nan, 1.0, 0.0, 0.0, np.nan])
    table["iou"] = np.array([0.9, np.nan, 0.5, 0.5, 0.1, np.nan])
    shares = choose_scenes(3, 3, table).shares
    assert shares == {"all": pytest.approx(1 / 3), "some": pytest.approx(1 / 3),
                      "none": pytest.approx(1 / 3)}  # fmt: skip


@pytest.mark.parametrize(
    "table",
    [None, {"index": np.arange(7.0)}, records([*IOUS, 0.3])],
    ids=["not evaluated", "no masks", "another store"],
)
def test_without_fitting_records_scenes_are_evenly_spread(table) -> None:
    choice = choose_scenes(7, 4, table)
    assert choice.scenes == (0, 2, 4, 6)
    assert choice.kinds == {}


@pytest.mark.parametrize("most", [1, 2, 3, 7, 40])
def test_no_scene_is_shown_twice_and_never_more_than_asked_for(most) -> None:
    scenes = choose_scenes(7, most, records()).scenes
    assert len(set(scenes)) == len(scenes) <= most
    assert scenes
