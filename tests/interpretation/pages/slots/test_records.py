from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsi_cli.interpretation.pages.slots.records import SlotRecords, objects_of_slots


def test_a_slot_lies_on_the_object_that_covers_most_of_its_segment(split) -> None:
    objects = objects_of_slots(split.predictions)
    # The fixture reads slot masks; they are the attention masks upside down and mirrored.
    overlap = split.predictions.overlap("slot_masks")
    for scene in range(len(objects)):
        for slot in range(objects.shape[1]):
            counts = overlap[scene, :, slot].tolist()
            assert objects[scene, slot] == counts.index(max(counts)) - 1


def test_without_masks_a_slot_lies_on_the_object_that_aligns_with_it_best(split) -> None:
    aligned = np.array([[1, 1]] * 8)
    score = np.array([[1.0, 2.0]] * 8, np.float32)
    objects = objects_of_slots(
        replace(split.predictions, true_masks=None, aligned_slot=aligned, aligned_score=score)
    )
    assert objects[0].tolist() == [-1, 1, -1, -1]  # two objects
    assert objects[1].tolist() == [-1, 0, -1, -1]  # one object


def test_an_object_without_a_slot_takes_none(split) -> None:
    aligned = np.full((8, 2), -1)
    objects = objects_of_slots(replace(split.predictions, true_masks=None, aligned_slot=aligned))
    assert (objects == -1).all()


def test_batches_are_joined_in_order(split) -> None:
    records, whole = SlotRecords(), SlotRecords()
    for rows in ([0, 1, 2], [3, 4, 5, 6, 7]):
        records.add(split.predictions.take(rows))
    whole.add(split.predictions)
    np.testing.assert_array_equal(records.objects, whole.objects)
    np.testing.assert_array_equal(records.peaks, whole.peaks)
    assert records.peaks.shape == (8, 4, 2)
    assert ((records.peaks >= 0) & (records.peaks < 1)).all()
