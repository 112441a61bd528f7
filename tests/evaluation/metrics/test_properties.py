from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsi_cli.evaluation.metrics import properties
from nsi_cli.evaluation.metrics.properties import DRAWS, Properties
from nsi_cli.evaluation.metrics.property_sample import NULL_IMAGES, PrimitiveSample


def embed(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Shape as one-hot, place as a point on a paraboloid: dot products fall with distance."""
    shape = np.eye(4, dtype=np.float32)[primitives[..., 0].astype(int)]
    place = np.nan_to_num(primitives[..., 1:])
    return np.concatenate([shape, 2 * place, -(place**2).sum(-1, keepdims=True)], -1)


def as_slot(embedded: np.ndarray) -> np.ndarray:
    """The slot that a primitive fits best: dot products are then 2ab − b², largest at b = a."""
    return np.concatenate(
        [embedded[..., :4], embedded[..., 4:6] / 2, embedded[..., :1] * 0 + 1], -1
    )


def seeing(make_predictions, scenes: int = 40, **given):
    """Each object has a slot of its own, right on it; the last slot is the background's."""
    predictions = make_predictions(scenes, **given)
    slots = as_slot(embed(predictions.primitives, predictions.present)).astype(np.float32)
    rows = np.arange(8)[:, None] // 2 + 1  # object i on rows 2i − 2 and 2i − 1
    true = np.where(rows <= predictions.present.sum(1)[:, None, None], rows, 0)
    masks = np.zeros((scenes, 4, 4, 4), np.float32)
    masks[:, range(4), range(4)] = 1
    return replace(
        predictions,
        slot_embeddings=np.pad(slots, ((0, 0), (0, 1), (0, 0))),
        true_masks=np.broadcast_to(true, (scenes, 8, 8)).astype(np.uint8),
        attention_masks=masks,
        aligned_slot=np.full((scenes, 3), 3),  # the background's, which no measure may use
    )


def measured(predictions, schema, encode=embed, **options) -> dict:
    metric = Properties(schema, encode, **options)
    metric.update(predictions)
    return metric.compute()["properties"]


def test_a_model_that_sees_every_property_reads_it_off(make_predictions, schema) -> None:
    found = measured(seeing(make_predictions), schema)
    assert found["shape"]["value"] == 1
    assert found["shape"]["measure"] == "accuracy"
    assert found["shape"]["chance"] == 0.25
    assert found["place"]["value"] == pytest.approx(1, abs=0.02)
    assert found["place"]["measure"] == "percentile"


def test_the_null_is_what_other_images_slots_reach(make_predictions, schema) -> None:
    found = measured(seeing(make_predictions, 300), schema)
    assert found["shape"]["null"]["value"] == pytest.approx(0.25, abs=0.03)
    assert found["place"]["null"]["value"] == pytest.approx(0.5, abs=0.03)
    for measure in found.values():
        assert measure["value"] > measure["null"]["ci95"][1]


def test_the_slot_is_the_one_with_the_largest_iou_with_the_true_mask(
    make_predictions, schema
) -> None:
    predictions = seeing(make_predictions)
    order = np.array([2, 3, 0, 1])
    moved = replace(
        predictions,
        slot_embeddings=predictions.slot_embeddings[:, order],
        attention_masks=predictions.attention_masks[:, order],
    )
    assert measured(moved, schema) == measured(predictions, schema)
    elsewhere = replace(predictions, attention_masks=predictions.attention_masks[:, order])
    assert measured(elsewhere, schema)["shape"]["value"] < 0.8
    assert measured(predictions, schema)["shape"]["slot_chosen_by"] == "true_mask"


def test_a_slot_that_holds_much_more_than_the_object_is_not_chosen(
    make_predictions, schema
) -> None:
    """Of four cells of object 1, slot 0 holds one and nothing else, slot 1 three and the rest."""
    predictions = seeing(make_predictions)
    masks = np.zeros_like(predictions.attention_masks)
    masks[:, 0, 0, 0] = 1
    masks[:, 1] = 1 - masks[:, 0]
    first = np.broadcast_to(np.arange(3) < 1, (40, 3))
    found = measured(replace(predictions, attention_masks=masks, present=first), schema)
    assert found["shape"]["value"] == 1


def test_the_null_chooses_among_another_images_slots_by_their_own_masks(
    make_predictions, schema
) -> None:
    """Where the place gives the shape away, so does another image's slot at that place."""
    primitives = make_predictions(40).primitives.copy()
    primitives[..., 0] = np.arange(3)
    predictions = seeing(make_predictions, primitives=primitives)
    order = np.random.default_rng(0).permuted(np.tile(np.arange(4), (40, 1)), axis=1)
    shuffled = replace(
        predictions,
        slot_embeddings=np.take_along_axis(predictions.slot_embeddings, order[..., None], 1),
        attention_masks=np.take_along_axis(predictions.attention_masks, order[..., None, None], 1),
    )
    everywhere = replace(shuffled, present=np.ones((40, 3), bool))
    everywhere.true_masks[:, :6] = np.arange(6)[:, None] // 2 + 1
    assert measured(everywhere, schema)["shape"]["null"]["value"] == 1


def test_slot_masks_come_before_attention_masks(make_predictions, schema) -> None:
    predictions = seeing(make_predictions)
    swapped = replace(
        predictions,
        slot_masks=predictions.attention_masks,
        attention_masks=predictions.attention_masks[:, ::-1],
    )
    assert measured(swapped, schema)["shape"]["value"] == 1


def noise(predictions, schema, slots: int = 12):
    """Random slots and a random table of embeddings: the model knows nothing."""
    scenes = len(predictions)
    rng = np.random.default_rng(1)
    table, weights = rng.standard_normal((4, 7)), rng.standard_normal((2, 7))

    def encode(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        embedded = table[primitives[..., 0].astype(int)] + np.tanh(primitives[..., 1:] @ weights)
        return embedded.astype(np.float32)

    masks = rng.random((scenes, slots, 4, 4), np.float32)
    embeddings = rng.standard_normal((scenes, slots, 7), np.float32)
    return replace(predictions, slot_embeddings=embeddings, attention_masks=masks), encode


@pytest.mark.parametrize("masks", [True, False], ids=["by true mask", "by alignment"])
def test_a_model_that_knows_nothing_is_at_the_null(make_predictions, schema, masks: bool) -> None:
    """With the true value in the choice of the slot, alignment gives 0.5 and more here."""
    predictions, encode = noise(make_predictions(400, seed=3), schema)
    predictions = predictions if masks else replace(predictions, true_masks=None)
    for name, found in measured(predictions, schema, encode).items():
        low, high = found["null"]["ci95"]
        assert low <= found["value"] <= high, name
        assert found["null"]["value"] == pytest.approx(found["chance"], abs=0.03), name
        assert found["slot_chosen_by"] == ("true_mask" if masks else "alignment")


def test_a_model_blind_to_a_property_does_not_get_it_by_ties(make_predictions, schema) -> None:
    def blind(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        return np.ones((*present.shape, 7), np.float32)

    found = measured(seeing(make_predictions), schema, blind)
    assert found["shape"]["value"] == 0
    assert found["place"]["value"] == 0.5


def test_each_column_of_a_drawn_value_comes_from_that_column_of_the_split(
    make_predictions, schema
) -> None:
    predictions = seeing(make_predictions)
    predictions.primitives[..., 1] = np.round(predictions.primitives[..., 1], 1) / 10
    predictions.primitives[..., 2] = 0.9 + predictions.primitives[..., 1]
    tried = []

    def watch(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        tried.append(primitives[present][:, 1:])
        return embed(primitives, present)

    measured(predictions, schema, watch)
    values = np.concatenate(tried)
    for column in (0, 1):
        known = predictions.primitives[predictions.present][:, 1 + column]
        assert set(values[:, column]) == set(known)
    assert (values[:, 1] != np.float32(0.9) + values[:, 0]).mean() > 0.2
    assert len(tried) == 1 + 4 + 1 + DRAWS


def test_what_all_objects_share_tells_nothing_of_a_continuous_property(
    make_predictions, schema
) -> None:
    """All objects stand in one corner, and the model likes corners: chance all the same."""
    predictions = seeing(make_predictions, 200)
    predictions.primitives[..., 1:] = 0.9 + predictions.primitives[..., 1:] / 10

    def corners(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        return np.repeat(primitives[..., 1:].sum(-1, keepdims=True), 7, -1)

    slots = np.ones_like(predictions.slot_embeddings)
    found = measured(replace(predictions, slot_embeddings=slots), schema, corners)["place"]
    assert found["value"] == pytest.approx(0.5, abs=0.05)


def test_primitives_are_encoded_in_parts_where_a_vocabulary_is_long(
    make_predictions, schema, monkeypatch
) -> None:
    predictions = seeing(make_predictions)
    whole = measured(predictions, schema)
    monkeypatch.setattr(properties, "MAX_FLOATS", 7 * 7 * 33)  # 7 primitives of width 7 at once
    assert measured(predictions, schema) == whole


def test_missing_values_are_left_out_of_their_property_only(make_predictions, schema) -> None:
    primitives = make_predictions(40).primitives.copy()
    primitives[:20, :, 0] = -1
    primitives[20:, :, 1:] = np.nan
    predictions = seeing(make_predictions, primitives=primitives)
    found = measured(predictions, schema)
    assert found["shape"]["primitives"] == predictions.present[20:].sum()
    assert found["place"]["primitives"] == predictions.present[:20].sum()


def test_a_value_of_which_one_component_is_missing_is_missing(make_predictions, schema) -> None:
    primitives = make_predictions(40).primitives.copy()
    primitives[:20, :, 2] = np.nan
    predictions = seeing(make_predictions, primitives=primitives)
    found = measured(predictions, schema)
    assert found["place"]["primitives"] == predictions.present[20:].sum()
    assert found["shape"]["primitives"] == predictions.present.sum()


def test_an_object_without_a_visible_pixel_has_no_slot_to_ask(make_predictions, schema) -> None:
    predictions = seeing(make_predictions)
    predictions.true_masks[predictions.true_masks == 1] = 0
    found = measured(predictions, schema)["shape"]
    assert found["primitives"] == predictions.present[:, 1:].sum()
    assert found["value"] == 1


@pytest.mark.parametrize("size", [1, 7, 40])
@pytest.mark.parametrize("masks", [True, False])
def test_the_sample_is_capped_and_does_not_depend_on_batches(
    make_predictions, schema, size: int, masks: bool
) -> None:
    predictions = seeing(make_predictions)
    predictions = predictions if masks else replace(predictions, true_masks=None)
    metric = Properties(schema, embed, most=10)
    for start in reversed(range(0, 40, size)):
        metric.update(predictions.take(range(start, min(start + size, 40))))
    found = metric.compute()["properties"]
    assert found == measured(predictions, schema, most=10)
    assert found["shape"]["primitives"] == 10


def test_only_the_scenes_of_the_sample_are_kept_and_without_their_batches(make_predictions) -> None:
    sample = PrimitiveSample(5, seed=0)
    predictions = seeing(make_predictions)
    for start in range(0, 40, 8):
        sample.add(predictions.take(range(start, start + 8)))
    primitives = sample.primitives()
    assert len(primitives) == 5
    assert len(primitives.slots) <= 5
    kept = [array for scene in sample._scenes.values() for array in vars(scene).values()]
    assert all(array.base is None for array in kept)


def test_each_primitive_is_scored_with_its_own_image_and_then_with_others(make_predictions) -> None:
    sample = PrimitiveSample(500, seed=0)
    sample.add(seeing(make_predictions))
    primitives = sample.primitives()
    np.testing.assert_array_equal(primitives.images[0], primitives.scene)
    assert primitives.images.shape[0] == 1 + NULL_IMAGES
    assert (primitives.images[1:] != primitives.scene).all()


def test_a_property_that_the_model_does_not_see_has_no_measure(make_predictions, schema) -> None:
    assert list(measured(seeing(make_predictions), schema, excluded=["place"])) == ["shape"]


def test_objects_that_no_slot_was_left_for_are_not_asked_about(make_predictions, schema) -> None:
    """Three objects share two slots where each must have its own: one of them has none."""
    predictions = replace(
        seeing(make_predictions),
        true_masks=None,
        present=np.ones((40, 3), bool),
        alignment="hungarian",
    )
    two = replace(predictions, slot_embeddings=predictions.slot_embeddings[:, :2])
    assert measured(predictions, schema)["shape"]["primitives"] == 120
    assert 40 <= measured(two, schema)["shape"]["primitives"] <= 100
    assert measured(replace(two, alignment="max"), schema)["shape"]["primitives"] == 120


def test_a_large_vocabulary_is_sampled(
    make_predictions, schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured(seeing(make_predictions), schema)["shape"]
    assert "compared" not in whole
    monkeypatch.setattr(properties, "MOST_VALUES", 2)
    found = measured(seeing(make_predictions), schema)["shape"]
    values = len(schema["shape"].values)
    assert (found["value"], found["compared"]) == (1, 2)
    assert found["chance"] == pytest.approx(1 / values + (1 - 2 / values) / 3)
