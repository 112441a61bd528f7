from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsi_cli.evaluation import oracle as module
from nsi_cli.evaluation.controls import ORACLE_METRICS, outcome
from nsi_cli.evaluation.metrics.retrieval import Retrieval
from nsi_cli.evaluation.oracle import Oracle
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.suite import evaluate
from nsi_cli.schema import Categorical, Continuous, Schema


def true_scenes(make_predictions, scenes: int = 40):
    """Scenes whose true masks show every object."""
    rng = np.random.default_rng(1)
    predictions = make_predictions(scenes, side=12, seed=3)
    masks = np.zeros((scenes, 12, 12), np.uint8)
    for row, present in enumerate(predictions.present):
        for number in range(1, present.sum() + 1):
            y, x = rng.integers(0, 9), 4 * (number - 1)
            masks[row, y : y + 3, x : x + 3] = number
    return make_predictions(scenes, side=12, seed=3, true_masks=masks)


@pytest.mark.parametrize("alignment", ["max", "hungarian"])
def test_the_oracle_reaches_the_best_value_of_every_metric(
    make_predictions, schema, alignment: str
) -> None:
    oracle = Oracle(schema)
    given = replace(true_scenes(make_predictions), alignment=alignment)
    result = evaluate(
        oracle.predictions([given.take(range(15)), given.take(range(15, 40))]), schema,
        task="toy", split="test", metrics=[name for name in ORACLE_METRICS if name != "probes"],
        encode_primitives=oracle.encode,
    ).result  # fmt: skip
    found = list(measures(outcome(result, at_chance=False)))
    assert len(found) > 30
    for path, part in found:
        expected = part["expected"]["value"]
        # A drawn number can be the true one, and the search for numbers ends at a grid.
        near = 1e-3 if path == "/properties/place" else 1e-6 if expected else 0.05
        assert part["value"] == pytest.approx(expected, abs=near), path


def test_the_oracle_finds_every_schema_beside_a_scene_without_objects(
    make_predictions, schema
) -> None:
    given = true_scenes(make_predictions)
    given.present[3] = False
    oracle, metric = Oracle(schema), Retrieval()
    for batch in oracle.predictions([given]):
        metric.update(batch)
    found = metric.compute()["retrieval"]
    assert found["duplicate_schemas"] == 0
    assert found["image_to_schema"]["R@1"]["value"] == 1
    assert found["schema_to_image"]["R@1"]["value"] == 1 - 1 / len(given)


def measures(part, path=""):
    for name, value in part.items():
        if "value" in value:
            yield f"{path}/{name}", value
        else:
            yield from measures(value, f"{path}/{name}")


def test_a_score_is_zero_for_the_same_object_and_lower_for_any_other(schema) -> None:
    primitives = np.array([[[0, 0.5, 0.2], [0, 0.5, 0.3], [1, 0.5, 0.2]]], np.float32)
    scores = scores_of(Oracle(schema), primitives)
    np.testing.assert_allclose(np.diag(scores), 0, atol=2e-12)
    assert -1e-3 < scores[0, 1] < 0
    assert scores[0, 2] == pytest.approx(-1)


def test_excluded_properties_make_no_difference() -> None:
    schema = Schema((Categorical("shape", ("a", "b")), Continuous("x"), Continuous("y")), 2)
    primitives = np.array([[[0, 0.1, 0.5], [1, 0.9, 0.5]]], np.float32)
    scores = scores_of(Oracle(schema, ["shape", "x"]), primitives)
    np.testing.assert_allclose(scores, 0, atol=2e-12)


def test_missing_values_are_values_of_their_own(schema) -> None:
    primitives = np.array([[[-1, np.nan, np.nan], [0, 0, 0]]], np.float32)
    scores = scores_of(Oracle(schema), primitives)
    np.testing.assert_allclose(np.diag(scores), 0, atol=2e-12)
    assert scores[0, 1] == pytest.approx(-1)


@pytest.mark.parametrize(("shapes", "sizes"), [(2, 3), (3, 2), (3, 3)])
def test_different_combinations_of_values_have_different_codes(shapes: int, sizes: int) -> None:
    schema = Schema(
        (Categorical("shape", tuple("abc"[:shapes])), Categorical("size", tuple("abc"[:sizes]))), 2
    )
    pairs = [[shape, size] for shape in range(-1, shapes) for size in range(-1, sizes)]
    scores = scores_of(Oracle(schema), np.array([pairs], np.float32))
    np.testing.assert_allclose(scores, np.eye(len(pairs)) - 1, atol=2e-12)


def test_long_vocabularies_are_coded_one_by_one(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_COMBINATIONS", 3)
    schema = Schema(tuple(Categorical(name, ("a", "b", "c")) for name in "xy"), 3)
    primitives = np.array([[[0, 0], [0, 1], [1, 1]]], np.float32)
    scores = scores_of(Oracle(schema), primitives)
    np.testing.assert_allclose(scores, [[0, -0.5, -1], [-0.5, 0, -0.5], [-1, -0.5, 0]], atol=2e-12)


def scores_of(oracle: Oracle, primitives):
    """The scores of the oracle's slots (T) with its primitives (T) of one scene."""
    present = np.ones(primitives.shape[:2], bool)
    empty = np.zeros((1, 1, 1, 1), np.float32)
    given = Predictions(
        index=np.arange(1), primitives=primitives, present=present, attention_masks=empty,
        slot_embeddings=empty[0], primitive_embeddings=empty[0],
        aligned_slot=np.zeros((1, 3), int), aligned_score=np.zeros((1, 3), np.float32),
    )  # fmt: skip
    (found,) = oracle.predictions([given])
    assert found.slot_embeddings.shape[1] == primitives.shape[1] + 1
    return found.slot_embeddings[0, 1:] @ oracle.encode(primitives, present)[0].T
