from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from nsi_cli.evaluation.metrics import property_retrieval as module
from nsi_cli.evaluation.metrics.property_retrieval import NAMES, PropertyRetrieval, measures
from nsi_cli.schema import Categorical, Continuous, Schema

SHAPES, COLOURS = ("cube", "ball", "cone"), ("red", "blue")


@pytest.fixture
def schema() -> Schema:
    items = (Categorical("shape", SHAPES), Categorical("colour", COLOURS), Continuous("x"))
    return Schema(items, max_objects=3)


def one_hot(primitives, present=None):
    """A dot product of two of these counts equal values."""
    shape, colour = primitives[..., 0].astype(int), primitives[..., 1].astype(int)
    return np.concatenate([np.eye(3)[shape], np.eye(2)[colour]], -1).astype(np.float32)


def predictions_of(make_predictions, scenes):
    """Predictions with a slot for each object, which the embedding describes exactly."""
    primitives = np.zeros((len(scenes), 3, 3), np.float32)
    present = np.zeros((len(scenes), 3), bool)
    for row, scene in enumerate(scenes):
        for number, values in enumerate(scene):
            primitives[row, number, :2] = values
            present[row, number] = True
    slots = np.where(present[..., None], one_hot(primitives), 0)
    return make_predictions(
        len(scenes),
        primitives=primitives,
        present=present,
        slot_embeddings=slots,
        primitive_embeddings=slots,
    )


SCENES = [
    [(0, 0), (1, 1)],
    [(0, 1)],
    [(1, 0), (1, 0)],
    [(2, 1), (0, 0), (1, 1)],
    [(1, 1)],
]


def test_the_measures_are_those_of_a_ranking_by_brute_force(schema, make_predictions) -> None:
    metric = PropertyRetrieval(schema, one_hot)
    predictions = predictions_of(make_predictions, SCENES)
    for rows in (range(2), range(2, 5)):
        metric.update(predictions.take(rows))
    result = metric.compute()["property_retrieval"]
    assert list(result) == ["shape", "colour", "shape + colour"]
    for name, columns in (("shape", [0]), ("colour", [1]), ("shape + colour", [0, 1])):
        queries = sorted({tuple(one[c] for c in columns) for scene in SCENES for one in scene})
        precisions, firsts = [], []
        for query in queries:
            relevant = [
                any(tuple(one[c] for c in columns) == query for one in scene) for scene in SCENES
            ]
            if all(relevant):
                continue
            completions = [
                (shape, colour)
                for shape in range(3)
                for colour in range(2)
                if tuple((shape, colour)[c] for c in columns) == query
            ]
            codes = one_hot(np.array(completions, float))
            scores = [
                np.mean([max(one_hot(np.array(one, float)) @ code for one in scene)
                         for code in codes])
                for scene in SCENES
            ]  # fmt: skip
            precisions.append(average_precision_score(relevant, scores))
            best = np.array(relevant)[np.isclose(scores, max(scores))]
            firsts.append(best.mean())
        assert result[name]["queries"] == len(precisions)
        assert result[name]["mAP"]["value"] == pytest.approx(np.mean(precisions))
        assert result[name]["R@1"]["value"] == pytest.approx(np.mean(firsts))


def test_slots_that_match_only_their_own_values_find_all_images(schema, make_predictions) -> None:
    def own_values_only(primitives, present):
        return np.eye(6, dtype=np.float32)[
            (primitives[..., 0] * 2 + primitives[..., 1]).astype(int)
        ]

    predictions = predictions_of(make_predictions, SCENES)
    slots = own_values_only(predictions.primitives, None) * predictions.present[..., None]
    metric = PropertyRetrieval(schema, own_values_only)
    metric.update(replace(predictions, slot_embeddings=slots))
    for part in metric.compute()["property_retrieval"].values():
        assert [part[name]["value"] for name in NAMES] == [1, 1, 1, 1]


@pytest.mark.slow
def test_average_precision_and_hits_are_those_of_torchmetrics() -> None:
    from torchmetrics.retrieval import RetrievalHitRate, RetrievalMAP

    rng = np.random.default_rng(0)
    scores = rng.permutation(400).reshape(10, 40).astype(np.float32)
    relevant = rng.random((10, 40)) < 0.2
    relevant[:, 7] = True
    found = np.mean(
        [measures(row, own[None])[:, 0] for row, own in zip(scores, relevant, strict=True)], axis=0
    )
    public = (RetrievalMAP(), *(RetrievalHitRate(top_k=depth) for depth in module.DEPTHS))
    query = torch.arange(10).repeat_interleave(40)
    for value, expected in zip(found, public, strict=True):
        expected.update(
            torch.from_numpy(scores).flatten(), torch.from_numpy(relevant).flatten(), query
        )
        assert value == pytest.approx(float(expected.compute()), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_average_precision_is_that_of_scikit_learn(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for _ in range(50):
        scores = rng.integers(levels, size=20).astype(np.float32)
        relevant = rng.random((3, 20)) < 0.3
        relevant[:, 0] = True
        expected = [average_precision_score(row, scores) for row in relevant]
        np.testing.assert_allclose(measures(scores, relevant)[0], expected)


def test_ties_are_ordered_at_random_by_expectation() -> None:
    scores = np.array([3, 2, 2, 2, 2, 1, 1], np.float32)
    relevant = np.array([[0, 1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 1, 0]], bool)
    for depth, value in zip(module.DEPTHS, measures(scores, relevant)[1:].T[0], strict=True):
        orders = [
            (0, *middle, *last)
            for middle in permutations((1, 2, 3, 4))
            for last in permutations((5, 6))
        ]
        hits = [relevant[0, list(order[:depth])].any() for order in orders]
        assert value == pytest.approx(np.mean(hits))
    # The first five hold none of the second; with the sixth, one of two.
    assert measures(scores, relevant)[1:, 1].tolist() == [0, 0, 1]


def test_constant_scores_are_at_chance() -> None:
    relevant = np.zeros((1, 50), bool)
    relevant[0, :5] = True
    precision, first, *_ = measures(np.zeros(50, np.float32), relevant)[:, 0]
    assert precision == pytest.approx(0.1)
    assert first == pytest.approx(0.1)


def test_a_ranking_by_number_of_objects_lies_within_the_null(schema, make_predictions) -> None:
    rng = np.random.default_rng(0)
    scenes = [
        [tuple(rng.integers((3, 2))) for _ in range(count)]
        for count in rng.integers(1, 4, size=200)
    ]
    counts = np.array([len(scene) for scene in scenes], np.float32)
    slots = np.zeros((200, 4, 5), np.float32)
    slots[:, 0] = counts[:, None]
    metric = PropertyRetrieval(schema, one_hot)
    fields = predictions_of(make_predictions, scenes)
    metric.update(
        make_predictions(
            200, primitives=fields.primitives, present=fields.present, slot_embeddings=slots
        )
    )
    for part in metric.compute()["property_retrieval"].values():
        relevant_share = part["mAP"]
        low, high = relevant_share["null"]["ci95"]
        assert low <= relevant_share["value"] <= high


def test_random_slots_lie_within_the_null(schema, make_predictions) -> None:
    inside = []
    for seed in range(20):
        metric = PropertyRetrieval(schema, one_hot, seed=seed)
        primitives = np.zeros((60, 3, 3), np.float32)
        rng = np.random.default_rng(seed)
        primitives[..., 0] = rng.integers(3, size=(60, 3))
        primitives[..., 1] = rng.integers(2, size=(60, 3))
        metric.update(make_predictions(60, seed=seed, primitives=primitives))
        part = metric.compute()["property_retrieval"]["shape"]["mAP"]
        inside.append(part["null"]["ci95"][0] <= part["value"] <= part["null"]["ci95"][1])
    assert np.mean(inside) >= 0.8


def test_excluded_and_missing_properties_are_no_queries(schema, make_predictions) -> None:
    predictions = predictions_of(make_predictions, SCENES)
    predictions.primitives[0, 0, 1] = -1
    metric = PropertyRetrieval(schema, one_hot, excluded=["shape"])
    metric.update(predictions)
    assert list(metric.compute()["property_retrieval"]) == ["colour"]
    predictions.primitives[..., :2] = -1
    metric = PropertyRetrieval(schema, one_hot)
    metric.update(predictions)
    assert metric.compute() == {"property_retrieval": {}}
    assert PropertyRetrieval(schema, None).compute() == {"property_retrieval": {}}


def test_many_queries_are_sampled_by_the_seed(schema, make_predictions, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_QUERIES", 2)
    results = []
    for seed in (0, 0, 3):
        metric = PropertyRetrieval(schema, one_hot, seed=seed)
        metric.update(predictions_of(make_predictions, SCENES))
        results.append(metric.compute()["property_retrieval"])
    assert results[0] == results[1]
    assert all(part["queries"] <= 2 for part in results[0].values())


def test_a_value_of_every_image_is_no_query(schema, make_predictions) -> None:
    metric = PropertyRetrieval(schema, one_hot)
    metric.update(predictions_of(make_predictions, [[(0, 0)], [(0, 1)]]))
    assert list(metric.compute()["property_retrieval"]) == ["colour", "shape + colour"]
    metric = PropertyRetrieval(schema, one_hot)
    metric.update(predictions_of(make_predictions, [[(0, 0)]]))
    assert metric.compute() == {"property_retrieval": {}}
