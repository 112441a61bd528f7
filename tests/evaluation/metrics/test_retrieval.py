from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score

from nsi_cli.evaluation.embeddings import SplitEmbeddings
from nsi_cli.evaluation.metrics.retrieval import (
    Ranks,
    Retrieval,
    _tile_sides,
    all_ranks,
    random_median,
    random_recall,
)
from nsi_cli.support.errors import NsiError


def plain_ranks(scores: np.ndarray) -> np.ndarray:
    own = scores.diagonal()[:, None]
    return np.array([(scores > own).sum(1), (scores == own).sum(1) - 1])


def counts_of(ranks: Ranks) -> np.ndarray:
    return np.array([ranks.higher, ranks.alike])


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
        np.testing.assert_array_equal(counts_of(by_image), plain_ranks(scores))
        np.testing.assert_array_equal(counts_of(by_schema), plain_ranks(scores.T))


def test_recall_and_reciprocal_rank_are_those_of_scikit_learn(make_predictions) -> None:
    metric, predictions = Retrieval(), make_predictions(40)
    metric.update(predictions)
    result = metric.compute()["retrieval"]
    scores = np.einsum(
        "ijkt,jt->ij",
        np.einsum("ike,jte->ijkt", predictions.slot_embeddings, predictions.primitive_embeddings)
        .max(2, keepdims=True),
        predictions.present,
    )  # fmt: skip
    for direction, matrix in (("image_to_schema", scores), ("schema_to_image", scores.T)):
        found, labels = result[direction], np.arange(40)
        for depth in (1, 5, 10):
            expected = top_k_accuracy_score(labels, matrix, k=depth, labels=labels)
            assert found[f"R@{depth}"]["value"] == pytest.approx(expected)
            assert found[f"R@{depth}_expected"]["value"] == pytest.approx(expected)
        mrr = label_ranking_average_precision_score(np.eye(40), matrix)
        assert found["mrr"]["value"] == pytest.approx(mrr)


@given(higher=st.integers(0, 9), alike=st.integers(0, 9))
def test_ties_are_broken_by_expectation(higher: int, alike: int) -> None:
    ranks = Ranks(np.array([higher], float), np.array([alike], float))
    possible = np.arange(higher + 1, higher + alike + 2)  # each as likely as the others
    assert ranks.mean == pytest.approx(possible.mean())
    assert ranks.reciprocal == pytest.approx((1 / possible).mean())
    for depth in (1, 5, 10):
        assert ranks.expected_recall(depth) == pytest.approx((possible <= depth).mean())


@pytest.mark.slow
def test_recall_and_reciprocal_rank_are_those_of_torchmetrics(make_predictions) -> None:
    from torchmetrics.retrieval import RetrievalHitRate, RetrievalMRR

    metric, predictions = Retrieval(), make_predictions(40, seed=3)
    metric.update(predictions)
    products = np.einsum(
        "ike,jte->ijkt", predictions.slot_embeddings, predictions.primitive_embeddings
    )
    scores = torch.from_numpy((products.max(2) * predictions.present).sum(2))
    target = torch.eye(40, dtype=torch.bool).flatten()
    query = torch.arange(40).repeat_interleave(40)
    for direction, matrix in (("image_to_schema", scores), ("schema_to_image", scores.T)):
        found = metric.compute()["retrieval"][direction]
        expected = {f"R@{depth}": RetrievalHitRate(top_k=depth) for depth in (1, 5, 10)}
        expected["mrr"] = RetrievalMRR()
        for name, public in expected.items():
            public.update(matrix.flatten(), target, query)
            assert found[name]["value"] == pytest.approx(float(public.compute()), abs=1e-6)


def test_twins_share_a_rank_and_are_counted(make_predictions) -> None:
    metric, predictions = Retrieval(), make_predictions(20)
    metric.update(predictions)
    plain = metric.compute()["retrieval"]
    assert (plain["duplicate_schemas"], plain["schema_to_image"]["ties"]) == (0, 0)
    for part in ("primitives", "present", "primitive_embeddings", "slot_embeddings"):
        getattr(predictions, part)[5] = getattr(predictions, part)[4]
    predictions.primitives[5, :2] = predictions.primitives[5, 1::-1]  # in another order
    predictions.present[4:6, :2] = True
    metric = Retrieval()
    metric.update(predictions)
    result = metric.compute()["retrieval"]
    assert result["duplicate_schemas"] == 2
    found = result["image_to_schema"]
    assert found["ties"] == 2
    assert found["R@1_expected"]["value"] - found["R@1"]["value"] in (0, pytest.approx(1 / 20))


def test_recall_is_also_given_by_number_of_objects(make_predictions) -> None:
    metric, predictions = Retrieval(), make_predictions(30)
    metric.update(predictions)
    found = metric.compute()["retrieval"]["image_to_schema"]
    objects = predictions.present.sum(1)
    groups = found["by_objects"]
    assert {int(name): group["scenes"] for name, group in groups.items()} == {
        int(number): int((objects == number).sum()) for number in np.unique(objects)
    }
    for depth in (1, 5, 10):
        weighted = sum(group["scenes"] * group[f"R@{depth}"]["value"] for group in groups.values())
        assert weighted / 30 == pytest.approx(found[f"R@{depth}"]["value"])


def test_random_ranks_are_at_the_null_of_the_means(make_predictions) -> None:
    metric = Retrieval()
    metric.update(make_predictions(40))
    found = metric.compute()["retrieval"]["image_to_schema"]
    ranks = np.random.default_rng(0).integers(1, 41, size=(4000, 40))
    for name, drawn in (("mrr", (1 / ranks).mean(1)), ("mean_rank", ranks.mean(1))):
        null = found[name]["null"]
        assert null["value"] == pytest.approx(drawn.mean(), rel=0.01)
        np.testing.assert_allclose(null["ci95"], np.percentile(drawn, (2.5, 97.5)), rtol=0.05)


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


@pytest.mark.parametrize("count", [33, 257, 258, 514])
@pytest.mark.parametrize("sizes", [(1, 4, 64), (11, 10, 64), (15, 10, 64)])
def test_equal_scores_are_equal_to_the_bit_in_every_tile(
    make_predictions, count: int, sizes: tuple[int, int, int]
) -> None:
    slots, most, size = sizes
    draw = np.random.default_rng(0).standard_normal((slots + most, size)).astype(np.float32)
    side, chunk = _tile_sides(count, 256)
    rows, columns = map(torch.from_numpy, np.split(draw, [slots]))
    products = (rows.repeat(chunk, 1) @ columns.repeat(side, 1).T).view(chunk, slots, side, most)
    if not torch.equal(products, products[:1, :, :1].expand_as(products)):
        pytest.skip("here, a dot product depends on its position in the matrix")
    embeddings = SplitEmbeddings()
    embeddings.add(
        make_predictions(
            count,
            slot_embeddings=np.repeat(draw[None, :slots], count, 0),
            primitive_embeddings=np.repeat(draw[None, slots:], count, 0),
            present=np.ones((count, most), bool),
        )
    )
    for ranks in all_ranks(embeddings):
        assert (ranks.higher == 0).all()
        assert (ranks.alike == count - 1).all()


def test_scores_that_are_not_finite_are_refused(make_predictions) -> None:
    predictions = make_predictions()
    predictions.slot_embeddings[:] *= 1e30
    predictions.primitive_embeddings[:] *= 1e30
    metric = Retrieval()
    metric.update(predictions)
    with pytest.raises(NsiError, match="scores that are not finite"):
        metric.compute()


def test_a_model_that_tells_everything_apart_is_always_first(make_predictions) -> None:
    own = np.eye(20, dtype=np.float32)[:, None]
    predictions = make_predictions(
        20,
        slot_embeddings=np.repeat(own, 4, axis=1),
        primitive_embeddings=np.repeat(own, 3, axis=1),
    )
    metric = Retrieval()
    metric.update(predictions)
    result = metric.compute()["retrieval"]
    for direction in (result["image_to_schema"], result["schema_to_image"]):
        assert direction["R@1"]["value"] == 1
        assert direction["R@1"]["ci95"] == pytest.approx([0.8389, 1], abs=1e-4)  # Wilson
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
    for ranks, others in zip(all_ranks(one), all_ranks(other), strict=True):
        np.testing.assert_array_equal(counts_of(ranks), counts_of(others))


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
