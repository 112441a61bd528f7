from __future__ import annotations

import numpy as np

from nsi_cli.evaluation.controls import aligned, outcome, random_slots, shuffled_schemas


def test_each_scene_gets_the_annotation_of_the_one_before_it(make_predictions) -> None:
    predictions = make_predictions(7)
    batches = [predictions.take(range(3)), predictions.take([3]), predictions.take(range(4, 7))]
    found = list(shuffled_schemas(batches))
    before = [2, 0, 1, 2, 3, 4, 5]
    for name in ("primitives", "present", "primitive_embeddings"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(batch, name) for batch in found]),
            getattr(predictions, name)[before],
        )
    for batch in found:
        products = np.einsum("bke,bte->bkt", batch.slot_embeddings, batch.primitive_embeddings)
        np.testing.assert_array_equal(batch.aligned_slot, products.argmax(1))


def test_random_slots_have_the_mean_and_deviation_of_the_slots(make_predictions) -> None:
    slots = np.random.default_rng(7).normal([1, -2, 0, 5, 3], [1, 2, 3, 0, 1], (200, 4, 5))
    predictions = make_predictions(200, slot_embeddings=slots.astype(np.float32))
    (found,) = random_slots([predictions])
    drawn = found.slot_embeddings
    np.testing.assert_allclose(drawn.mean((0, 1)), slots.mean((0, 1)), atol=0.4)
    np.testing.assert_allclose(drawn.std((0, 1)), slots.std((0, 1)), atol=0.2)
    correlation = np.corrcoef(drawn[..., 0].ravel(), slots[..., 0].ravel())[0, 1]
    assert abs(correlation) < 0.2
    (again,) = random_slots([predictions])
    np.testing.assert_array_equal(drawn, again.slot_embeddings)
    np.testing.assert_array_equal(found.aligned_slot, aligned(found).aligned_slot)


def test_the_outcome_has_what_is_expected_beside_each_measure() -> None:
    null = {"value": 0.1, "ci95": [0.0, 0.2]}
    measured = {"value": 0.5, "ci95": [0.4, 0.6]}
    result = {
        "task": "toy",
        "retrieval": {"x": {"R@1": {**measured, "null": null}, "ties": 3, "mean_rank": measured},
                      "by_objects": {"3": {"R@1": measured}}},
        "set_prediction": {"place": {**measured, "measure": "error"}},
        "segmentation": {"masks": {"slots_used": measured, "fg_ari": measured}, "kmeans": None},
    }  # fmt: skip
    assert outcome(result, at_chance=True) == {
        "retrieval": {"x": {"R@1": {**measured, "expected": null}}}
    }
    best = outcome(result, at_chance=False)
    assert best["retrieval"]["x"]["mean_rank"]["expected"]["value"] == 1
    assert best["set_prediction"]["place"]["expected"]["value"] == 0
    assert best["segmentation"] == {
        "masks": {"fg_ari": {**measured, "expected": {"value": 1.0, "ci95": [1.0, 1.0]}}}
    }
