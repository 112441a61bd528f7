from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsi_cli.api import answer_table
from nsi_cli.evaluation.candidates import candidates
from nsi_cli.evaluation.metrics.property_retrieval import image_scores
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.interpretation.query import parse_query
from nsi_cli.interpretation.search import Search, scored
from nsi_cli.schema import Categorical, Continuous, Schema

SCHEMA = Schema(
    (Categorical("shape", ("cube", "ball")), Categorical("hue", ("red", "blue")), Continuous("x")),
    max_objects=2,
)


def encode(primitives, present):
    rows = np.random.default_rng(5).normal(size=(3, 6))
    return (primitives @ rows).astype(np.float32)


def predictions(scenes: int = 30) -> Predictions:
    rng = np.random.default_rng(0)
    primitives = np.concatenate(
        [rng.integers(2, size=(scenes, 2, 2)), rng.random((scenes, 2, 1))], -1
    ).astype(np.float32)
    return Predictions(
        index=np.arange(scenes),
        primitives=primitives,
        present=np.array([[True, bool(row % 2)] for row in range(scenes)]),
        attention_masks=rng.random((scenes, 4, 3, 3), np.float32),
        slot_embeddings=rng.standard_normal((scenes, 4, 6), np.float32),
        primitive_embeddings=encode(primitives, None),
        aligned_slot=np.zeros((scenes, 2), int),
        aligned_score=np.zeros((scenes, 2), np.float32),
    )


def searched(text: str, top: int = 7, sizes: tuple[int, ...] = (30,)) -> Search:
    search, given, start = Search(parse_query(text, SCHEMA), SCHEMA, encode, top), predictions(), 0
    for size in sizes:
        search.add(given.take(range(start, start + size)))
        start += size
    return search


@pytest.mark.parametrize("text", ["ball", "red", "blue cube", "x=0.3", "ball x=0.9"])
def test_matches_are_those_of_brute_force(text: str) -> None:
    query, given = parse_query(text, SCHEMA), predictions()
    partial = query.ids
    found = candidates(SCHEMA, encode, partial[None])
    completions = found.primitives[found.completions[0]]
    for column, value in query.numbers.items():
        completions[..., column] = value
    codes = encode(completions.reshape(-1, 3), None)
    scores = [
        np.mean([max(slot @ code for slot in slots) for code in codes])
        for slots in given.slot_embeddings
    ]
    best = np.argsort(-np.array(scores), kind="stable")[:7]
    search = searched(text)
    assert [match.index for match in search.matches] == best.tolist()
    np.testing.assert_allclose(
        [match.score for match in search.matches], np.array(scores)[best], rtol=1e-5
    )
    for match in search.matches:
        means = given.slot_embeddings[match.index] @ codes.T
        assert match.slot == means.mean(1).argmax()
        np.testing.assert_array_equal(match.mask, given.attention_masks[match.index, match.slot])


def test_a_search_ranks_like_the_property_retrieval_metric() -> None:
    query = parse_query("ball", SCHEMA)
    found = candidates(SCHEMA, encode, query.ids[None])
    scores = image_scores(predictions().slot_embeddings, found.embeddings)
    mean = scores[found.completions[0]].mean(0)
    own, _ = scored(predictions().slot_embeddings, searched("ball").completions)
    np.testing.assert_allclose(own, mean, rtol=1e-5)


def test_batches_do_not_change_a_search() -> None:
    one, other = searched("ball"), searched("ball", sizes=(1, 12, 9, 8))
    for first, second in zip(one.matches, other.matches, strict=True):
        assert first.to_dict() == pytest.approx(second.to_dict())
    assert (one.scenes, one.relevant) == (other.scenes, other.relevant) == (30, one.relevant)


def test_right_is_a_scene_with_an_object_that_has_all_values() -> None:
    search, given = searched("blue cube", top=30), predictions()
    right = {match.index for match in search.matches if match.right}
    expected = {
        scene
        for scene in range(30)
        for row in range(2)
        if given.present[scene, row] and given.primitives[scene, row, :2].tolist() == [0, 1]
    }
    assert right == expected
    assert {match.on_it for match in search.matches} == {None}
    assert search.relevant == len(expected)
    assert len(searched("ball", top=100).matches) == 30


def test_a_query_of_numbers_alone_has_no_right_answers() -> None:
    search = Search(parse_query("x=0.3", SCHEMA), SCHEMA, encode, 3)
    search.add(replace(predictions(), true_masks=np.ones((30, 6, 6), np.uint8)))
    assert {(match.right, match.on_it) for match in search.matches} == {(None, None)}
    assert search.relevant is None
    found = search.retrieved(
        "test", [str(n) for n in range(30)], lambda rows: np.zeros((3, 8, 8, 3))
    )
    assert {row[-2:] for row in found.rows()} == {("–", "–")}
    assert answer_table(found).notes[0].startswith("relevant, on it: unknown")


def test_with_true_masks_it_is_known_whether_the_slot_lies_on_such_an_object() -> None:
    given = predictions()
    masks = np.zeros((30, 6, 6), np.uint8)
    masks[:, :3] = 1
    masks[given.present[:, 1], 3:] = 2
    search = Search(parse_query("ball", SCHEMA), SCHEMA, encode, 30)
    search.add(replace(given, true_masks=masks))
    for match in search.matches:
        y, x = np.divmod(match.mask.argmax(), 3)
        number = masks[match.index, 2 * y + 1, 2 * x + 1]
        shape = given.primitives[match.index, number - 1, 0] if number else -1
        assert match.on_it == (shape == 1)
    assert {match.on_it for match in search.matches} == {True, False}
