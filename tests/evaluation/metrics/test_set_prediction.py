from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nsi_cli.evaluation.metrics.set_prediction.average_precision import (
    average_precision,
    detections,
    precision_with_interval,
)
from nsi_cli.evaluation.metrics.set_prediction.matched_properties import differences
from nsi_cli.evaluation.metrics.set_prediction.scene_sample import SceneSample
from nsi_cli.evaluation.metrics.set_prediction.set_prediction import THRESHOLDS, SetPrediction
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.schema import Categorical, Continuous, Schema

FINE = 1 / 64
"""The largest error of a component after the last sweep is half of this: bounds are 2 apart."""


def embed(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Shape as one-hot, and the place so that dot products with `as_slot` fall with distance."""
    shape = np.eye(4, dtype=np.float32)[primitives[..., 0].astype(int)]
    place = primitives[..., 1:]
    half = (place**2).sum(-1, keepdims=True) / 2
    return np.concatenate([shape, place, -half, np.ones_like(half)], -1)


def as_slot(primitives: np.ndarray) -> np.ndarray:
    """The slot that shows a primitive: its score with p is [same shape] − |x − p|² / 2."""
    embedded = embed(np.nan_to_num(primitives), np.ones(0))
    return embedded[..., [*range(6), 7, 6]]


def seeing(make_predictions, scenes: int = 40, shown=None, **given) -> Predictions:
    """Each object has a slot of its own, right on it; the last slot is the background's.

    The slots show the primitives, or ``shown``.
    """
    predictions = make_predictions(scenes, **given)
    slots = as_slot(predictions.primitives if shown is None else shown).astype(np.float32)
    slots[~predictions.present] = 0
    rows = np.arange(8)[:, None] // 2 + 1  # object i on rows 2i − 2 and 2i − 1
    true = np.where(rows <= predictions.present.sum(1)[:, None, None], rows, 0)
    masks = np.zeros((scenes, 4, 4, 4), np.float32)
    masks[:, range(4), range(4)] = 1
    return replace(
        predictions,
        slot_embeddings=np.pad(slots, ((0, 0), (0, 1), (0, 0))),
        true_masks=np.broadcast_to(true, (scenes, 8, 8)).astype(np.uint8),
        attention_masks=masks,
    )


def measured(predictions: Predictions, schema: Schema, encode=embed, **options) -> dict[str, Any]:
    metric = SetPrediction(schema, encode, **options)
    metric.update(predictions)
    return metric.compute()["set_prediction"]


def values(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Every measure of a result."""
    if "value" in part:
        return [part]
    return [found for inner in part.values() if isinstance(inner, dict) for found in values(inner)]


class Case:
    """Random read-outs and objects, some scenes empty, with many equal values."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        scenes, slots, objects = rng.integers(1, 7, size=3)
        self.schema = Schema(
            (
                Categorical("shape", ("a", "b")),
                Continuous("place", 2, (0, -4), (1, 5)),
                Categorical("size", ("s", "l")),
            ),
            max_objects=int(objects),
        )

        def drawn(count: int) -> np.ndarray:
            ids = rng.integers(2, size=(scenes, count, 2))
            places = rng.choice([[0.1, -3], [0.2, -2.8], [0.5, 1]], (scenes, count), axis=0)
            places[..., 1] = rng.permuted(places[..., 1], axis=-1)
            return np.concatenate([ids, places], -1).astype(np.float32)

        self.read, self.objects = drawn(slots), drawn(objects)
        self.confidence = rng.permutation(scenes * slots).reshape(scenes, slots) / 10
        self.present = rng.random((scenes, objects)) < rng.choice([0.3, 0.8])
        self.objects[rng.random(self.present.shape) < 0.1, 0] = -1
        self.objects[rng.random(self.present.shape) < 0.1, 2:] = np.nan
        self.copies = rng.integers(3, size=scenes)

    def ours(self, threshold: float, weights: np.ndarray) -> float:
        wrong, distance = differences(self.read, self.objects, self.schema, self.schema.properties)
        distance[(wrong > 0) | ~np.broadcast_to(self.present[:, None], wrong.shape)] = np.inf
        found = detections(self.confidence, distance, threshold)
        return average_precision(found, self.present.sum(1), weights[None]).item()

    def direct(self, threshold: float, copies: np.ndarray) -> float:
        """The evaluation of Locatello et al. 2020, restated: one detection after the other."""
        images = [row for row, count in enumerate(copies) for _ in range(count)]
        ranked = sorted(
            (
                (-self.confidence[row, slot], image, row, slot)
                for image, row in enumerate(images)
                for slot in range(self.read.shape[1])
            ),
        )
        total = sum(int(self.present[row].sum()) for row in images)
        if not total:
            return math.nan
        detected: set[tuple[int, int]] = set()
        precision, recall, right = [0.0], [0.0], 0
        for number, (_, image, row, slot) in enumerate(ranked, start=1):
            nearest, best = None, 10_000.0
            for target, distance in self.matching(row, slot):
                if distance < best:
                    nearest, best = target, distance
            if nearest is not None and best < threshold and (image, nearest) not in detected:
                detected.add((image, nearest))
                right += 1
            precision.append(right / number)
            recall.append(right / total)
        for number in reversed(range(1, len(precision))):
            precision[number - 1] = max(precision[number - 1], precision[number])
        steps = range(len(recall) - 1)
        return sum(precision[i + 1] * (recall[i + 1] - recall[i]) for i in steps)

    def matching(self, row: int, slot: int) -> Iterator[tuple[int, float]]:
        """The objects whose categorical values a read-out has, with their distances."""
        shape, size, x, y = self.read[row, slot].tolist()
        for target, there in enumerate(self.present[row]):
            its_shape, its_size, its_x, its_y = self.objects[row, target].tolist()
            if there and its_shape in (-1, shape) and size == its_size:
                squares = (6 * (x - its_x)) ** 2 + (6 / 9 * (y - its_y)) ** 2
                yield target, 0.0 if math.isnan(squares) else math.sqrt(squares)


@pytest.mark.slow
@pytest.mark.parametrize("threshold", THRESHOLDS.values(), ids=THRESHOLDS.keys())
def test_average_precision_is_that_of_the_public_evaluation(threshold: float) -> None:
    found = []
    for seed in range(300):
        case = Case(seed)
        once = np.ones_like(case.copies)
        found.append(case.direct(threshold, once))
        assert case.ours(threshold, once) == pytest.approx(found[-1], nan_ok=True)
        drawn = case.direct(threshold, case.copies)
        assert case.ours(threshold, case.copies) == pytest.approx(drawn, nan_ok=True)
    assert len({round(value, 6) for value in found if value == value}) > 30


def scored(confidence: list[float], distance: list[list[float]], threshold: float = 1) -> float:
    """The average precision of one scene's slots, from their distances to its objects."""
    found = detections(np.array([confidence]), np.array([distance]), threshold)
    objects = np.array([len(distance[0])])
    return average_precision(found, objects, np.ones((1, 1), int)).item()


def test_average_precision_by_hand() -> None:
    miss, here = math.inf, 0.0
    assert scored([3, 2], [[here, miss], [miss, here]]) == 1
    assert scored([3, 2, 1], [[here, miss], [miss, miss], [miss, here]]) == pytest.approx(5 / 6)
    assert scored([3, 2], [[here, miss], [here, miss]]) == 0.5  # the second one is a duplicate
    assert scored([1, 2], [[0.1, miss], [0.9, miss]]) == 0.5
    assert scored([1, 2], [[0.1, miss], [1.0, miss]]) == 0.25  # the threshold itself is too far
    assert scored([2, 1], [[0.1, 0.5], [0.1, 0.5]]) == 0.5  # the nearest object is already detected
    assert scored([2, 1], [[miss, miss], [miss, miss]]) == 0
    assert scored([2, 1], [[1e9], [miss]], math.inf) == 1


def test_equal_confidences_keep_the_order_of_scenes() -> None:
    found = detections(np.zeros((50, 2)), np.zeros((50, 2, 1)), 1)
    assert found.scene.tolist() == [scene for scene in range(50) for _ in range(2)]
    assert found.correct.tolist() == [True, False] * 50


def test_the_null_of_equal_repetitions_is_the_measure_itself() -> None:
    generator = np.random.default_rng(0)
    distance = generator.choice([0.2, 5.0], (30, 4, 3))
    found = detections(generator.random((30, 4)), distance, 1)
    part = precision_with_interval(found, [found] * 3, np.full(30, 3))
    assert part is not None
    assert part["null"]["value"] == pytest.approx(part["value"])
    assert part["null"]["ci95"] == pytest.approx(part["ci95"])
    assert part["ci95"][0] < part["value"] < part["ci95"][1]


def test_slots_that_show_the_objects_are_right_everywhere(make_predictions, schema) -> None:
    found = measured(seeing(make_predictions), schema)
    for name in THRESHOLDS:
        assert found[name]["value"] == pytest.approx(1), name
    for part in (found["by_mask"], found["by_prediction"]):
        assert part["shape"]["value"] == 1
        assert part["shape"]["measure"] == "accuracy"
        assert part["place"]["value"] < FINE / 2 * 2**0.5
        assert part["place"]["measure"] == "error"
    assert found["scenes"] == 40


def test_the_read_outs_of_other_scenes_are_worse(make_predictions, schema) -> None:
    found = measured(seeing(make_predictions, 100), schema)
    for name in THRESHOLDS:
        assert found[name]["ci95"][0] > found[name]["null"]["ci95"][1], name
    assert found["by_mask"]["shape"]["null"]["value"] == pytest.approx(0.25, abs=0.05)
    for part in (found["by_mask"], found["by_prediction"]):
        assert part["shape"]["ci95"][0] > part["shape"]["null"]["ci95"][1]
        assert part["place"]["ci95"][1] < part["place"]["null"]["ci95"][0]


def test_slots_that_show_something_else_are_never_right(make_predictions, schema) -> None:
    primitives = make_predictions(40).primitives.copy()
    primitives[..., 0] = 1
    shown = primitives.copy()
    shown[..., 0] = 2
    predictions = seeing(make_predictions, shown=shown, primitives=primitives)
    predictions.slot_embeddings[:, 3] = predictions.slot_embeddings[:, 0]
    predictions.slot_embeddings[
        ~np.pad(predictions.present, ((0, 0), (0, 1)), constant_values=1)
    ] = predictions.slot_embeddings[0, 0]
    found = measured(predictions, schema)
    assert [found[name]["value"] for name in THRESHOLDS] == [0] * 5
    assert found["by_mask"]["shape"]["value"] == 0
    assert found["by_prediction"]["shape"]["value"] == 0
    assert found["by_mask"]["place"]["value"] < FINE


def test_a_distance_counts_in_units_of_a_sixth_of_the_bounds(make_predictions, schema) -> None:
    """Bounds from −1 to 1 span 6: a place that is off by 0.3 is 0.9 away."""
    primitives = make_predictions(40).primitives.copy()
    primitives[..., 1:] *= 0.6
    shown = primitives.copy()
    shown[..., 1] += 0.3
    predictions = seeing(make_predictions, shown=shown, primitives=primitives)
    last = np.flatnonzero(predictions.present[:, 2])[0]
    predictions.primitives[last, 2, 1] = 1  # lets the search reach every shown place
    found = measured(predictions, schema)
    assert found["by_mask"]["place"]["value"] == pytest.approx(0.3, abs=0.02)
    assert found["AP@1"]["value"] > 0.8
    assert found["AP@0.5"]["value"] < 0.2


def test_continuous_values_are_read_out_within_their_range_in_the_split(
    make_predictions, schema
) -> None:
    primitives = make_predictions(40).primitives.copy()
    primitives[..., 1:] *= 0.1
    shown = primitives.copy()
    shown[..., 1:] = 0.9
    found = measured(seeing(make_predictions, shown=shown, primitives=primitives), schema)
    corner = np.linalg.norm(primitives[..., 1:] - 0.1, axis=-1)
    present = make_predictions(40).present
    assert found["by_mask"]["place"]["value"] == pytest.approx(corner[present].mean(), abs=0.01)


def test_by_mask_asks_the_slot_on_the_object_and_by_prediction_any_slot(
    make_predictions, schema
) -> None:
    predictions = seeing(make_predictions)
    moved = replace(predictions, attention_masks=predictions.attention_masks[:, [1, 2, 0, 3]])
    found, original = measured(moved, schema), measured(predictions, schema)
    assert found["by_mask"]["shape"]["value"] < 0.7
    assert found["by_prediction"] == original["by_prediction"]
    assert found["AP@0.5"] == original["AP@0.5"]


def test_an_object_without_a_slot_is_a_miss_and_has_no_error(make_predictions, schema) -> None:
    everywhere = np.ones((40, 3), bool)
    predictions = seeing(make_predictions, present=everywhere)
    one = replace(
        predictions,
        slot_embeddings=predictions.slot_embeddings[:, :1],
        attention_masks=predictions.attention_masks[:, :1],
    )
    found = measured(one, schema)
    for part in (found["by_mask"], found["by_prediction"]):
        assert part["shape"]["value"] == pytest.approx(1 / 3)
        assert part["place"]["value"] < FINE


def test_a_slot_that_does_not_overlap_the_object_is_not_matched_with_it(
    make_predictions, schema
) -> None:
    """Slot 1 covers objects 1 and 2, and slot 0 has no pixel, although it shows object 1."""
    primitives = make_predictions(40).primitives.copy()
    primitives[..., 0] = 1
    everywhere = np.ones((40, 3), bool)
    predictions = seeing(make_predictions, primitives=primitives, present=everywhere)
    predictions.slot_embeddings[:, 3] = predictions.slot_embeddings[:, 0]
    predictions.attention_masks[:, 1, 0] = 1
    predictions.attention_masks[:, 0] = 0
    found = measured(predictions, schema)
    assert found["by_mask"]["shape"]["value"] == pytest.approx(2 / 3)
    assert found["by_prediction"]["shape"]["value"] == 1


def test_by_mask_leaves_invisible_objects_out(make_predictions, schema) -> None:
    shown = make_predictions(40).primitives.copy()
    shown[:, 0, 0] = (shown[:, 0, 0] + 1) % 4
    predictions = seeing(make_predictions, shown=shown)
    assert measured(predictions, schema)["by_mask"]["shape"]["value"] < 0.7
    predictions.true_masks[predictions.true_masks == 1] = 0
    assert measured(predictions, schema)["by_mask"]["shape"]["value"] == 1


def test_the_null_matches_with_the_segments_of_the_other_scene(make_predictions, schema) -> None:
    """If the region gives the shape away, the slot there shows it in every other scene too."""
    primitives = make_predictions(40).primitives.copy()
    primitives[..., 0] = np.arange(3)
    everywhere = np.ones((40, 3), bool)
    predictions = seeing(make_predictions, primitives=primitives, present=everywhere)
    order = np.random.default_rng(0).permuted(np.tile(np.arange(4), (40, 1)), axis=1)
    shuffled = replace(
        predictions,
        slot_embeddings=np.take_along_axis(predictions.slot_embeddings, order[..., None], 1),
        attention_masks=np.take_along_axis(predictions.attention_masks, order[..., None, None], 1),
    )
    assert measured(shuffled, schema)["by_mask"]["shape"]["null"]["value"] == 1


@pytest.mark.slow
def test_a_model_that_knows_nothing_is_at_the_null(make_predictions, schema) -> None:
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        table, weights = rng.standard_normal((4, 7)), rng.standard_normal((2, 7))

        def encode(primitives: np.ndarray, present: np.ndarray, table=table, weights=weights):
            embedded = table[primitives[..., 0].astype(int)] + np.tanh(
                primitives[..., 1:] @ weights
            )
            return embedded.astype(np.float32)

        predictions = replace(
            make_predictions(60, seed=seed),
            slot_embeddings=rng.standard_normal((60, 6, 7), np.float32),
            attention_masks=rng.random((60, 6, 4, 4), np.float32),
        )
        found += values(measured(predictions, schema, encode, seed=seed))
    inside = [part["null"]["ci95"][0] <= part["value"] <= part["null"]["ci95"][1] for part in found]
    assert len(inside) == 4 * 9
    assert np.mean(inside) >= 0.9


def test_a_missing_value_matches_any_and_is_not_measured(make_predictions, schema) -> None:
    primitives = make_predictions(40).primitives.copy()
    primitives[:20, :, 0] = -1
    primitives[20:, :, 1:] = np.nan
    shown = np.nan_to_num(primitives)
    shown[..., 0] = np.maximum(shown[..., 0], 3)
    predictions = seeing(make_predictions, shown=shown, primitives=primitives)
    predictions.slot_embeddings[20:] = as_slot(shown)[20:, [0, 1, 2, 2]]
    found = measured(predictions, schema)
    assert found["by_mask"]["place"]["value"] < FINE
    unknown = replace(predictions, primitives=np.where([1, 0, 0], -1, predictions.primitives))
    found = measured(unknown.take(range(20)), schema)
    assert found["AP@0.125"]["value"] == pytest.approx(1)
    assert found["by_mask"]["shape"] is None
    assert found["by_prediction"]["shape"] is None


def test_one_scene_has_no_null(make_predictions, schema) -> None:
    found = measured(seeing(make_predictions, 1), schema)
    assert len(values(found)) == 9
    assert all(part["null"] is None for part in values(found))


def test_without_masks_there_is_no_matching_by_them(make_predictions, schema) -> None:
    found = measured(replace(seeing(make_predictions), true_masks=None), schema)
    assert found["by_mask"] is None
    assert found["by_prediction"]["shape"]["value"] == 1


def test_without_objects_there_is_no_value(make_predictions, schema) -> None:
    found = measured(seeing(make_predictions, present=np.zeros((40, 3), bool)), schema)
    assert found["AP@inf"] is None
    assert found["by_mask"] == found["by_prediction"] == {"shape": None, "place": None}


def test_without_an_encoder_or_a_scene_there_is_nothing(make_predictions, schema) -> None:
    assert measured(seeing(make_predictions), schema, None) == {}
    assert SetPrediction(schema, embed).compute() == {"set_prediction": {}}


def test_excluded_properties_are_not_compared(make_predictions, schema) -> None:
    predictions = seeing(make_predictions)
    found = measured(predictions, schema, excluded=["place"])
    assert [name for name in found if name.startswith("AP")] == ["AP@inf"]
    assert list(found["by_mask"]) == list(found["by_prediction"]) == ["shape"]
    shapeless = np.where([1, 0, 0], 0, predictions.primitives)
    found = measured(seeing(make_predictions, shown=shapeless), schema, excluded=["shape"])
    assert found["AP@0.125"]["value"] == pytest.approx(1)
    assert list(found["by_mask"]) == ["place"]


def test_a_schema_without_continuous_properties_has_one_average_precision(
    make_predictions,
) -> None:
    shapes = Schema((Categorical("shape", ("a", "b", "c", "d")),), max_objects=3)
    predictions = seeing(make_predictions)
    only = replace(predictions, primitives=predictions.primitives[..., :1])

    def encode(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        return embed(np.pad(primitives, ((0, 0), (0, 0), (0, 2))), present)

    found = measured(only, shapes, encode)
    assert [name for name in found if name.startswith("AP")] == ["AP@inf"]
    assert found["by_mask"]["shape"]["value"] == 1


@pytest.mark.parametrize("size", [1, 7, 40])
@pytest.mark.parametrize("masks", [True, False])
def test_the_sample_is_capped_and_does_not_depend_on_batches(
    make_predictions, schema, size: int, masks: bool
) -> None:
    predictions = seeing(make_predictions)
    predictions = predictions if masks else replace(predictions, true_masks=None)
    metric = SetPrediction(schema, embed, most=10)
    for start in reversed(range(0, 40, size)):
        metric.update(predictions.take(range(start, min(start + size, 40))))
    found = metric.compute()["set_prediction"]
    assert found == measured(predictions, schema, most=10)
    assert found["scenes"] == 10


def test_only_the_scenes_of_the_sample_are_kept_and_without_their_batches(make_predictions) -> None:
    predictions = seeing(make_predictions)
    kept = {}
    for seed in (0, 1):
        sample = SceneSample(5, seed)
        for start in range(0, 40, 8):
            sample.add(predictions.take(range(start, start + 8)))
        assert len(sample.scenes()) == 5
        scenes = sample._scenes
        arrays = [array for scene in scenes.values() for array in vars(scene).values()]
        assert all(array.base is None for array in arrays)
        kept[seed] = {index for _, index in scenes}
    assert kept[0] != kept[1]
