from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsi_cli.evaluation.metrics.grounding import Grounding, peak_pixels, peaks_inside


def one_scene(make_predictions, aligned: list[int]):
    """Two objects: the left half of a 4 × 8 … 8 × 8 image, and its lower right quarter."""
    true = np.zeros((1, 8, 8), np.uint8)
    true[0, :, :4], true[0, 4:, 4:] = 1, 2
    masks = np.zeros((1, 3, 4, 4), np.float32)
    masks[0, 0, :, :2] = 1
    masks[0, 1, 2:, 2:] = 1
    masks[0, 2, :2, 2:] = 1
    return make_predictions(
        1,
        slots=3,
        true_masks=true,
        attention_masks=masks,
        present=np.array([[True, True, False]]),
        aligned_slot=np.array([[*aligned, 0]]),
    )


def test_slots_on_their_objects_are_grounded(make_predictions) -> None:
    metric = Grounding()
    metric.update(one_scene(make_predictions, [0, 1]))
    found = metric.compute()["grounding"]
    assert found["pointing"]["value"] == 1
    assert found["iou"]["value"] > 0.9
    assert found["masks"] == "attention_masks"


def test_slots_on_each_others_objects_are_not(make_predictions) -> None:
    metric = Grounding()
    metric.update(one_scene(make_predictions, [1, 2]))
    found = metric.compute()["grounding"]
    assert found["pointing"]["value"] == 0
    assert found["iou"]["value"] == 0


def test_slot_masks_come_before_attention_masks(make_predictions) -> None:
    predictions = one_scene(make_predictions, [0, 1])
    swapped = predictions.attention_masks[:, [1, 2, 0]]
    metric = Grounding()
    metric.update(replace(predictions, slot_masks=swapped))
    found = metric.compute()["grounding"]
    assert found["masks"] == "slot_masks"
    assert found["pointing"]["value"] == 0


def test_an_object_without_a_visible_pixel_does_not_count(make_predictions) -> None:
    predictions = one_scene(make_predictions, [0, 0])
    predictions.true_masks[predictions.true_masks == 2] = 0
    metric = Grounding()
    metric.update(predictions)
    assert metric.compute()["grounding"]["pointing"]["value"] == 1


def test_without_true_masks_there_is_no_value(make_predictions) -> None:
    metric = Grounding()
    metric.update(make_predictions(true_masks=None))
    found = metric.compute()["grounding"]
    assert found["pointing"] is None
    assert found["iou"] is None


def test_a_peak_is_the_centre_of_its_cell() -> None:
    mask = np.zeros((1, 2, 4), np.float32)
    mask[0, 1, 2] = 1
    assert peak_pixels(mask, 16).tolist() == [[12, 10]]


def test_an_object_that_no_slot_was_left_for_is_missed(make_predictions) -> None:
    metric = Grounding()
    metric.update(one_scene(make_predictions, [0, -1]))
    found = metric.compute()["grounding"]
    assert found["pointing"]["value"] == 0.5
    assert 0.45 < found["iou"]["value"] <= 0.5


def test_the_last_slot_does_not_stand_in_for_a_missing_one(make_predictions) -> None:
    predictions = one_scene(make_predictions, [0, -1])
    last_on_object = predictions.attention_masks[:, [0, 2, 1]]
    assert peaks_inside(replace(predictions, attention_masks=last_on_object)).tolist() == [
        [True, False, False]
    ]


def test_the_null_is_that_of_a_random_slot_and_its_interval_holds_every_slot(
    make_predictions,
) -> None:
    scenes = [one_scene(make_predictions, [0, 1]) for _ in range(30)]
    metric = Grounding()
    for predictions in scenes:
        metric.update(predictions)
    null = metric.compute()["grounding"]["pointing"]["null"]
    # Of three slots one lies on each object: a random one hits one time of three, slot 0 and slot
    # 1 every second object, slot 2 none.
    assert null["value"] == pytest.approx(1 / 3)
    assert null["ci95"] == [0, 0.5]


def test_a_missed_object_is_missed_by_a_random_slot_too(make_predictions) -> None:
    metric = Grounding()
    metric.update(one_scene(make_predictions, [0, -1]))
    assert metric.compute()["grounding"]["pointing"]["null"]["value"] == pytest.approx(1 / 6)


def test_exchanged_slots_are_those_of_the_next_visible_object(make_predictions) -> None:
    metric = Grounding()
    metric.update(one_scene(make_predictions, [1, 0]))  # each object has the other's slot
    found = metric.compute()["grounding"]
    assert found["pointing"]["value"] == 0
    assert found["pointing"]["shuffled"]["value"] == 1
    assert found["iou"]["shuffled"]["value"] > 0.9


def test_a_lone_object_has_no_slot_to_exchange(make_predictions) -> None:
    predictions = one_scene(make_predictions, [0, 0])
    predictions.true_masks[predictions.true_masks == 2] = 0
    metric = Grounding()
    metric.update(predictions)
    assert metric.compute()["grounding"]["pointing"]["shuffled"] is None


def test_an_object_without_a_slot_is_a_miss_for_the_next_one_too(make_predictions) -> None:
    metric = Grounding()
    metric.update(one_scene(make_predictions, [-1, 0]))
    found = metric.compute()["grounding"]["pointing"]
    assert (found["value"], found["shuffled"]["value"]) == (0, 0.5)
