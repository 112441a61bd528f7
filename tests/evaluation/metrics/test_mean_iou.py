from __future__ import annotations

import numpy as np
import pytest

from nsi_cli.evaluation.metrics.mean_iou import MEAN_IOUS, mean_ious


def ious(*rows: list[int]) -> dict[str, float]:
    return dict(zip(MEAN_IOUS, mean_ious(np.array([rows]))[0], strict=True))


def test_a_scene_worked_out_by_hand() -> None:
    # Background 4/5, object one 1/2, object two 2/2; a fourth slot holds nothing.
    found = ious([4, 0, 0, 0], [1, 1, 0, 0], [0, 0, 2, 0])
    assert found["miou"] == pytest.approx((4 / 5 + 1 / 2 + 1) / 3)
    assert found["miou_fg"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["miou_gt"] == pytest.approx(found["miou"])


def test_slots_left_over_count_in_the_pairs_but_not_among_the_true_segments() -> None:
    found = ious([0, 0], [3, 1])  # one object in two slots
    assert found["miou"] == pytest.approx((3 / 4) / 2)
    assert found["miou_gt"] == pytest.approx(3 / 4)


def test_a_slot_without_a_pixel_pairs_with_an_object_left_over() -> None:
    """The pairs that count depend on the solver: here two, though three segments have a pixel."""
    found = ious([6, 0], [2, 0])
    assert found["miou"] == pytest.approx((6 / 8) / 2)
    assert found["miou_gt"] == pytest.approx((6 / 8) / 2)


def test_true_rows_without_a_pixel_change_nothing() -> None:
    table = np.random.default_rng(0).integers(3, size=(50, 4, 3))
    padded = np.pad(table, ((0, 0), (0, 9), (0, 0)))
    np.testing.assert_array_equal(mean_ious(table), mean_ious(padded))


def test_an_image_of_one_pair_has_no_foreground_to_average() -> None:
    assert np.isnan(ious([5])["miou_fg"])
    assert ious([5])["miou"] == 1
