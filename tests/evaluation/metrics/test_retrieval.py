from __future__ import annotations

import numpy as np
import pytest

from nsi_cli.evaluation.embeddings import SplitEmbeddings
from nsi_cli.evaluation.metrics.retrieval import Retrieval, all_ranks, random_median, random_recall
from nsi_cli.support.errors import NsiError


def plain_ranks(scores: np.ndarray) -> np.ndarray:
    own = scores.diagonal()[:, None]
    ahead = (scores > own).sum(1) + (scores == own).sum(1) / 2 - 0.5
    return 1 + ahead


def test_ranks_agree_with_the_whole_matrix_whatever_the_tiles(make_predictions) -> None:
    predictions = make_predictions(23)
    embeddings = SplitEmbeddings()
    for start in (0, 10):
        embeddings.add(predictions.take(range(start, 23 if start else 10)))
    products = np.einsum(
        "ike,jte->ijkt",
        predictions.slot_embeddings.astype(float),
        predictions.primitive_embeddings.astype(float),
    )
    scores = (products.max(2) * predictions.present).sum(2)
    for tile in (4, 256):
        by_image, by_schema = all_ranks(embeddings, tile)
        np.testing.assert_array_equal(by_image, plain_ranks(scores))
        np.testing.assert_array_equal(by_schema, plain_ranks(scores.T))


def test_a_model_that_tells_nothing_apart_ranks_in_the_middle(make_predictions) -> None:
    predictions = make_predictions(
        21,
        slot_embeddings=np.ones((21, 4, 5), np.float32),
        primitive_embeddings=np.ones((21, 3, 5), np.float32),
        present=np.ones((21, 3), bool),
    )
    metric = Retrieval()
    metric.update(predictions)
    found = metric.compute()["retrieval"]["image_to_schema"]
    assert found["median_rank"]["value"] == 11
    assert found["R@10"]["value"] == 0


def test_a_model_that_tells_everything_apart_is_always_first(make_predictions) -> None:
    own = np.eye(20, dtype=np.float32)[:, None]
    predictions = make_predictions(
        20,
        slot_embeddings=np.repeat(own, 4, axis=1),
        primitive_embeddings=np.repeat(own, 3, axis=1),
    )
    metric = Retrieval()
    metric.update(predictions)
    for direction in metric.compute()["retrieval"].values():
        assert (direction["R@1"]["value"], direction["R@1"]["ci95"]) == (1, [1, 1])
        assert [direction[f"R@{depth}"]["null"]["value"] * 20 for depth in (1, 5, 10)] == [1, 5, 10]
        assert direction["median_rank"]["value"] == 1


def test_each_direction_has_its_own_ranks(make_predictions) -> None:
    """Image 0 scores highest with every schema, and alike with all of them."""
    own = np.eye(20, dtype=np.float32)[:, None]
    slots = np.repeat(own, 4, axis=1)
    slots[0] = 2
    metric = Retrieval()
    metric.update(
        make_predictions(
            20,
            slot_embeddings=slots,
            primitive_embeddings=np.repeat(own, 3, axis=1),
            present=np.ones((20, 3), bool),
        )
    )
    found = metric.compute()["retrieval"]
    assert found["image_to_schema"]["R@1"]["value"] == 19 / 20
    assert found["schema_to_image"]["R@1"]["value"] == 1 / 20


def test_embeddings_of_absent_primitives_do_not_matter(make_predictions) -> None:
    predictions = make_predictions()
    garbage = np.where(predictions.present[..., None], predictions.primitive_embeddings, np.nan)
    one, other = SplitEmbeddings(), SplitEmbeddings()
    one.add(predictions)
    other.add(make_predictions(primitive_embeddings=garbage))
    np.testing.assert_array_equal(all_ranks(one), all_ranks(other))


@pytest.mark.parametrize("name", ["slot_embeddings", "primitive_embeddings"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_embeddings_that_are_not_finite_are_refused(
    make_predictions, name: str, value: float
) -> None:
    predictions = make_predictions()
    getattr(predictions, name)[0, 0, 0] = value  # the first primitive of a scene is present
    with pytest.raises(NsiError, match="not finite"):
        Retrieval().update(predictions)


def test_scores_are_those_of_the_alignment_that_the_model_was_trained_with(
    make_predictions,
) -> None:
    scores = {}
    for alignment in ("max", "hungarian"):
        embeddings = SplitEmbeddings()
        embeddings.add(make_predictions(8, slots=3, alignment=alignment))
        scores[alignment] = embeddings.scores(embeddings.slots, slice(None))
    assert (scores["hungarian"] <= scores["max"]).all()
    assert (scores["hungarian"] < scores["max"]).any()


def test_the_nulls_are_where_random_ranks_fall() -> None:
    count, rng = 60, np.random.default_rng(0)
    drawn = rng.integers(1, count + 1, size=(4000, count))
    for depth in (1, 5, 10):
        null, found = random_recall(depth, count), (drawn <= depth).mean(1)
        assert null["value"] == pytest.approx(found.mean(), abs=0.002)
        np.testing.assert_allclose(null["ci95"], np.percentile(found, (2.5, 97.5)), atol=1 / count)
    null, found = random_median(count), np.median(drawn, axis=1)
    assert null["value"] == pytest.approx(found.mean(), abs=0.3)
    np.testing.assert_allclose(null["ci95"], np.percentile(found, (2.5, 97.5)), atol=1)


@pytest.mark.parametrize("count", [1, 3, 10])
def test_with_fewer_scenes_than_the_depth_every_rank_is_a_hit(count: int) -> None:
    assert random_recall(10, count) == {"value": 1, "ci95": [1, 1]}
    low, high = random_median(count)["ci95"]
    assert 1 <= low <= (count + 1) / 2 <= high <= count
