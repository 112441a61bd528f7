from __future__ import annotations

import numpy as np
import pytest

from nsi_cli.evaluation import candidates as module
from nsi_cli.evaluation.candidates import OPEN, candidates, completed, embed_objects
from nsi_cli.schema import Categorical, Continuous, Schema


@pytest.fixture
def schema() -> Schema:
    colour, shape = Categorical("colour", ("red", "blue")), Categorical("shape", ("a", "b", "c"))
    return Schema((shape, Continuous("place", 2, (-1, 0), (1, 5)), colour), max_objects=2)


def encode(primitives, present):
    assert present.all()
    return primitives[..., :3] * 2


def test_all_combinations_are_tried_with_points_within_the_bounds(schema) -> None:
    found = candidates(schema, encode, np.array([[0, OPEN]]))
    ids = found.primitives[:, 0, :2]
    assert sorted(map(tuple, ids.tolist())) == [(a, b) for a in range(3) for b in range(2)]
    places = found.primitives[..., 2:]
    assert (places == places[:1]).all()
    assert (places > [-1, 0]).all()
    assert (places < [1, 5]).all()
    assert len(np.unique(places[0], axis=0)) == module.POINTS
    np.testing.assert_array_equal(found.embeddings, found.primitives[..., :3] * 2)


def test_completions_have_the_values_of_a_partial_combination(schema) -> None:
    found = candidates(schema, encode, np.array([[2, OPEN], [OPEN, OPEN]]))
    first, every = found.completions
    assert found.primitives[first, 0, :2].tolist() == [[2, 0], [2, 1]]
    assert len(every) == 6


def test_many_values_are_sampled_so_that_each_partial_combination_is_completed() -> None:
    items = [Categorical(name, tuple(f"{name}{i}" for i in range(100))) for name in "xyz"]
    schema = Schema(tuple(items), max_objects=1)
    partial = np.array([[7, OPEN, OPEN], [OPEN, 99, 3], [7, 5, OPEN]])
    found = candidates(schema, encode, partial)
    assert len(found.primitives) <= 3 * module.COMPLETIONS
    for query, rows in zip(partial, found.completions, strict=True):
        ids = found.primitives[rows, 0, :3]
        assert ((ids == query) | (query == OPEN)).all()
        assert module.COMPLETIONS // 2 < len(rows) <= module.COMPLETIONS
    # Those that were drawn for the third are no random completions of the first.
    assert (found.primitives[found.completions[0], 0, 1] == 5).mean() < 0.5
    again = candidates(schema, encode, partial)
    np.testing.assert_array_equal(found.primitives, again.primitives)
    assert not np.array_equal(
        found.primitives, candidates(schema, encode, partial, seed=1).primitives
    )


def test_an_excluded_property_has_one_value(schema) -> None:
    found = candidates(schema, encode, np.array([[OPEN, OPEN]]), excluded=["shape"])
    assert found.primitives[:, 0, :2].tolist() == [[0, 0], [0, 1]]


def test_a_schema_without_numbers_or_without_words_has_candidates() -> None:
    words = Schema((Categorical("shape", ("a", "b")),), max_objects=1)
    assert candidates(words, encode, np.array([[OPEN]])).primitives.shape == (2, 1, 1)
    numbers = Schema((Continuous("x"),), max_objects=1)
    found = candidates(numbers, encode, np.zeros((1, 0), int))
    assert found.primitives.shape == (1, module.POINTS, 1)


def test_objects_are_embedded_in_chunks_each_alone(monkeypatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    rows = np.random.default_rng(0).random((8, 4), np.float32)
    np.testing.assert_array_equal(embed_objects(encode, rows), rows[:, :3] * 2)
    assert embed_objects(encode, rows[:0]).shape == (0, 3)


def test_a_partial_combination_and_numbers_are_completed_as_the_candidates_are(schema) -> None:
    partial = np.array([2, OPEN])
    found = candidates(schema, encode, partial[None])
    expected = found.primitives[found.completions[0]]
    np.testing.assert_array_equal(completed(schema, partial, {}), expected)
    fixed = completed(schema, partial, {2: 0.5})
    assert (fixed[..., 2] == 0.5).all()
    np.testing.assert_array_equal(fixed[..., 3], expected[..., 3])
