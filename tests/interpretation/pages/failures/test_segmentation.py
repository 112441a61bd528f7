from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsi_cli.evaluation.metrics.grounding import Grounding
from nsi_cli.interpretation.pages.collect import collect
from nsi_cli.interpretation.pages.failures import segmentation as module
from nsi_cli.interpretation.pages.failures.pictures import drawn, failure_shelves
from nsi_cli.interpretation.pages.failures.segmentation import Failures


def one_scene(split, true, masks, slots=(1, 2)):
    """A scene with two objects; masks (K, h, w)."""
    return replace(
        split.predictions.take([0]),
        true_masks=np.array(true, np.uint8)[None],
        slot_masks=None,
        attention_masks=np.array(masks, np.float32)[None],
        aligned_slot=np.array([slots]),
    )


TRUE = np.zeros((4, 4), int)
TRUE[:2, :2], TRUE[2:, 2:] = 1, 2


def masks_of(segments):
    """Masks whose largest value at each pixel is that of these segments."""
    return [np.where(np.array(segments) == slot, 0.9, 0.01 * slot) for slot in range(4)]


def test_perfect_slots_have_no_failure(split) -> None:
    failures = Failures()
    failures.add(one_scene(split, TRUE, masks_of(TRUE)))
    assert [failures.elsewhere.count, failures.several.count, failures.divided.count] == [0, 0, 0]
    assert [failures.elsewhere.total, failures.several.total, failures.divided.total] == [2, 2, 2]


def test_a_slot_that_takes_two_objects_counts_once(split) -> None:
    failures = Failures()
    failures.add(one_scene(split, TRUE, masks_of(TRUE > 0), slots=(1, 1)))
    assert (failures.several.count, failures.several.total) == (1, 1)
    (example,) = failures.several.examples
    assert (example.rows, example.slots) == ((0, 1), (1,))
    np.testing.assert_array_equal(example.outline, TRUE > 0)


def test_an_object_that_no_slot_covers_by_half_is_divided(split) -> None:
    segments = TRUE.copy()
    segments[:2, :2] = [[1, 3], [2, 0]]
    failures = Failures()
    failures.add(one_scene(split, TRUE, masks_of(segments)))
    (example,) = failures.divided.examples
    assert (example.rows, example.severity) == ((0,), 0.75)
    assert len(example.slots) == 2


def test_objects_pointed_at_elsewhere_are_the_complement_of_the_metric(split) -> None:
    rng = np.random.default_rng(1)
    predictions = replace(
        split.predictions,
        slot_masks=rng.random(split.predictions.slot_masks.shape).astype(np.float32),
    )
    failures, metric = Failures(), Grounding()
    for rows in ([0, 1, 2], [3, 4, 5, 6, 7]):
        failures.add(predictions.take(rows))
    metric.update(predictions)
    missed = failures.elsewhere.count / failures.elsewhere.total
    assert 1 - missed == pytest.approx(metric.compute()["grounding"]["pointing"]["value"])
    assert 0 < missed < 1


def test_the_clearest_examples_of_all_batches_are_kept(split, monkeypatch) -> None:
    monkeypatch.setattr(module, "EXAMPLES", 2)
    failures = Failures()
    for width in (1, 4, 2, 3):
        true = np.zeros((8, 8), int)
        true[0, :width] = 1
        far = np.zeros((8, 8), int)
        far[7, 7] = 1
        failures.add(one_scene(split, true, masks_of(far), slots=(1, 2)))
    assert [example.severity for example in failures.elsewhere.examples] == [4, 3]
    assert failures.elsewhere.count == 4


def test_a_store_without_masks_has_none(split) -> None:
    failures = Failures()
    failures.add(replace(split.predictions, true_masks=None))
    assert failures.elsewhere.total == failures.divided.total == 0


def test_a_picture_outlines_the_objects_and_lights_the_slot(split) -> None:
    failures = Failures()
    failures.add(one_scene(split, TRUE, masks_of(TRUE > 0), slots=(1, 1)))
    image = np.full((4, 4, 3), 100, np.uint8)
    example = failures.several.examples[0]
    picture = drawn(image, example)
    assert (picture[TRUE == 1] >= 99).all()  # lit, inside the line
    assert (picture[0, 2] == 255).all()
    assert (picture[0, 3] < 40).all()
    large = replace(example, outline=np.zeros((24, 24), bool))
    failures.several.examples[0] = large
    failures.elsewhere.examples.clear()
    shelves = failure_shelves(
        failures, collect([split.predictions], []), split.schema, split.ids, split.pictures
    )
    assert [shelf.name for shelf in shelves] == ["elsewhere", "several", "divided"]
    assert shelves[1].examples[0].scene == split.ids[0]
    assert len(shelves[1].examples[0].objects) == 2
