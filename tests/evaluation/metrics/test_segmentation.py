from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import adjusted_rand_score

from nsi_cli.evaluation.metrics.kmeans import (
    KMeansSegmentation,
    kmeans_masks,
    sampled_scenes,
)
from nsi_cli.evaluation.metrics.mean_iou import mean_ious
from nsi_cli.evaluation.metrics.segmentation import (
    NAMES,
    Segmentation,
    adjusted_rand_index,
    mean_best_overlap,
)
from nsi_cli.evaluation.segments import contingency, segments


def table(true: object, predicted: object, objects: int = 3, slots: int = 4) -> np.ndarray:
    return contingency(
        np.asarray(true, np.uint8)[None],
        np.asarray(predicted, np.uint8)[None],
        objects=objects,
        slots=slots,
    )


def numbers(below: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.uint8, (5, 5), elements=st.integers(0, below - 1))


@pytest.mark.slow
@given(true=numbers(4), predicted=numbers(4))
def test_ari_is_that_of_scikit_learn(true: np.ndarray, predicted: np.ndarray) -> None:
    overlap = table(true, predicted)
    expected = adjusted_rand_score(true.ravel(), predicted.ravel())
    assert adjusted_rand_index(overlap)[0] == pytest.approx(expected, abs=1e-9)
    front = true > 0
    if front.any():
        expected = adjusted_rand_score(true[front], predicted[front])
        assert adjusted_rand_index(overlap[:, 1:])[0] == pytest.approx(expected, abs=1e-9)


@given(true=numbers(4), predicted=numbers(4), order=st.permutations(range(4)))
def test_the_order_of_slots_matters_to_no_metric_but_ties_in_miou(
    true: np.ndarray, predicted: np.ndarray, order: list[int]
) -> None:
    one, other = table(true, predicted), table(true, np.asarray(order)[predicted])
    for metric in (adjusted_rand_index, mean_best_overlap, lambda table: mean_ious(table)[:, 2]):
        np.testing.assert_allclose(metric(one), metric(other), atol=1e-7)


@given(true=numbers(4))
def test_perfect_segments_score_one_in_every_metric(true: np.ndarray) -> None:
    overlap = table(true, true)
    assert adjusted_rand_index(overlap)[0] == pytest.approx(1)
    np.testing.assert_allclose(mean_ious(overlap)[:, [0, 2]], 1)
    if (true > 0).any():
        assert mean_best_overlap(overlap)[0] == pytest.approx(1)


def test_a_scene_worked_out_by_hand() -> None:
    true = [[0, 0, 1, 1], [0, 0, 2, 2]]
    predicted = [[0, 0, 0, 1], [0, 0, 2, 2]]
    overlap = table(true, predicted)
    # Object one best 1/2, object two 2/2.
    assert mean_best_overlap(overlap)[0] == pytest.approx((1 / 2 + 1) / 2)


def test_one_segment_on_both_sides_has_an_ari_of_one() -> None:
    assert adjusted_rand_index(table([[1, 1]], [[2, 2]]))[0] == 1


def test_an_image_without_objects_has_an_fg_ari_of_one_and_no_mbo() -> None:
    overlap = table([[0, 0]], [[0, 1]])
    assert adjusted_rand_index(overlap[:, 1:])[0] == 1
    assert np.isnan(mean_best_overlap(overlap)[0])


def test_a_split_of_images_without_objects_has_its_fg_ari_and_null_for_mbo(
    make_predictions,
) -> None:
    metric = Segmentation()
    metric.update(make_predictions(true_masks=np.zeros((6, 8, 8), np.uint8)))
    found = metric.compute()["segmentation"]["attention_masks"]
    assert found["fg_ari"] == {"value": 1.0, "ci95": [1.0, 1.0]}
    assert found["mbo"] is None


def test_an_object_without_a_pixel_is_not_counted() -> None:
    assert mean_best_overlap(table([[2, 2, 0, 0]], [[1, 1, 0, 0]]))[0] == 1


def test_segments_are_the_largest_mask_after_bilinear_enlargement() -> None:
    masks = np.random.default_rng(0).random((2, 3, 4, 4), np.float32)
    large = torch.nn.functional.interpolate(torch.from_numpy(masks), (9, 9), mode="bilinear")
    np.testing.assert_array_equal(segments(masks, 9), large.argmax(1).numpy())


def test_each_value_is_the_mean_of_its_metric_over_images(make_predictions) -> None:
    predictions = make_predictions()
    metric = Segmentation()
    metric.update(predictions)
    overlap = predictions.overlap("attention_masks")
    ious = mean_ious(overlap).T
    expected = (
        adjusted_rand_index(overlap),
        adjusted_rand_index(overlap[:, 1:]),
        mean_best_overlap(overlap),
        *ious,
        np.array([len(np.unique(one)) for one in predictions.segments_of("attention_masks")]),
    )
    found = metric.compute()["segmentation"]["attention_masks"]
    assert [found[name]["value"] for name in NAMES] == pytest.approx(
        [values.mean() for values in expected]
    )


def test_a_number_in_the_true_mask_beyond_the_objects_is_a_segment_too() -> None:
    overlap = table([[0, 1, 5, 5]], [[0, 1, 2, 3]], objects=3)
    assert overlap[0].sum(1).tolist() == [1, 1, 0, 0, 0, 2]


def test_slot_masks_and_attention_masks_are_not_mixed_up(make_predictions) -> None:
    one, two = make_predictions(), make_predictions(seed=2)
    other = replace(one, attention_masks=two.attention_masks)
    apart = {}
    for name, predictions in (("slot_masks", one), ("attention_masks", other)):
        metric = Segmentation()
        metric.update(replace(predictions, slot_masks=None))
        apart[name] = metric.compute()["segmentation"]["attention_masks"]
    metric = Segmentation()
    metric.update(replace(other, slot_masks=one.attention_masks))
    assert metric.compute()["segmentation"] == apart
    assert apart["slot_masks"] != apart["attention_masks"]


def test_each_kind_of_masks_is_measured_apart_and_a_missing_one_is_null(make_predictions) -> None:
    metric = Segmentation()
    metric.update(make_predictions())
    found = metric.compute()["segmentation"]
    assert found["slot_masks"] is None
    assert tuple(found["attention_masks"]) == NAMES


def blobs() -> tuple[np.ndarray, np.ndarray]:
    true = np.zeros((2, 8, 8), np.uint8)
    true[0, :4, :4], true[0, 4:, 4:], true[1, :, 4:] = 1, 2, 1
    colours = np.eye(3, dtype=np.float32)
    return true, colours[true[:, 1::2, 1::2]]


def test_k_means_finds_segments_of_one_appearance(make_predictions) -> None:
    true, tokens = blobs()
    present = np.array([[True, True, False], [True, False, False]])
    predictions = make_predictions(2, slots=3, true_masks=true, tokens=tokens, present=present)
    metric = KMeansSegmentation()
    metric.update(predictions)
    found = metric.compute()["segmentation"]["kmeans"]
    assert tuple(found) == (*NAMES, "scenes")
    assert found["fg_ari"]["value"] == 1
    assert found["mbo"]["value"] > 0.8  # corners are cut by the enlargement


def test_k_means_of_a_scene_does_not_depend_on_its_batch() -> None:
    tokens = np.random.default_rng(0).random((3, 4, 4, 2), np.float32)
    together = kmeans_masks(tokens, 4, [0, 1, 2], seed=3)
    np.testing.assert_array_equal(together[2:], kmeans_masks(tokens[2:], 4, [2], seed=3))


def test_k_means_starts_from_the_seed_and_the_scene() -> None:
    tokens = np.repeat(np.random.default_rng(0).random((1, 8, 8, 2), np.float32), 2, axis=0)
    first, second = kmeans_masks(tokens, 6, [0, 1], seed=0)
    assert (first != second).any()
    assert (kmeans_masks(tokens[:1], 6, [0], seed=1) != first).any()


@pytest.mark.slow
@pytest.mark.parametrize("slots", [4, 5, 6, 7, 9])
def test_k_means_uses_each_cluster_once_and_no_more_than_there_are_slots(slots: int) -> None:
    tokens = np.random.default_rng(0).random((1, 2, 3, 2), np.float32)
    (masks,) = kmeans_masks(tokens, slots, [0], seed=0)
    assert (masks.sum(0) == 1).all()
    assert (masks.sum((1, 2)) > 0).sum() == min(slots, 6)


def test_k_means_of_a_sample_is_that_of_its_scenes(make_predictions) -> None:
    tokens = np.random.default_rng(0).random((6, 4, 4, 2), np.float32)
    predictions = make_predictions(tokens=tokens)
    sample = sampled_scenes(6, 2)
    assert (len(sample), sampled_scenes(6, 2), sampled_scenes(6, 6)) == (2, sample, None)
    metric, other = KMeansSegmentation(sample=sample), KMeansSegmentation()
    for rows in (range(4), range(4, 6)):
        metric.update(predictions.take(rows))
    other.update(predictions.take(sample))
    assert metric.compute() == other.compute()
    assert metric.compute()["segmentation"]["kmeans"]["scenes"] == 2


@pytest.mark.parametrize("without", ["tokens", "true_masks"])
def test_k_means_needs_tokens_and_true_masks(make_predictions, without: str) -> None:
    metric = KMeansSegmentation()
    tokens = np.zeros((6, 4, 4, 2), np.float32)
    metric.update(replace(make_predictions(tokens=tokens), **{without: None}))
    assert metric.compute() == {}
