from __future__ import annotations

import numpy as np
import pytest

from nsi_cli.evaluation import read_out as module
from nsi_cli.evaluation.candidates import candidates, embed_objects, with_range
from nsi_cli.evaluation.read_out import GRID, SHRINK, SWEEPS, read_out
from nsi_cli.schema import Categorical, Continuous, Schema

LAST_SPACING = 1 / (GRID - 1) / SHRINK ** (SWEEPS - 1)
"""The spacing of the last grid, as a share of the bounds."""


def categorical(name: str, size: int) -> Categorical:
    return Categorical(name, tuple(f"{name}{number}" for number in range(size)))


SHAPE, COLOUR = categorical("shape", 3), categorical("colour", 5)
PLACE, ANGLE = Continuous("place", 2, (-1, 0), (1, 5)), Continuous("angle")
SCHEMAS = {
    "both": (SHAPE, PLACE, COLOUR, ANGLE),
    "categorical": (SHAPE, COLOUR),
    "continuous": (PLACE, ANGLE),
}


class Oracle:
    """Embeddings whose dot product, of a slot and a primitive, is highest if they are equal.

    It is the number of equal values minus half the squared distance, p·x − |p|²/2 − |x|²/2.
    """

    def __init__(self, schema: Schema, width: int = 256) -> None:
        self.tables = [_codes(len(item.values), width) for item in schema.categorical]
        self.encoded = 0

    def slots(self, primitives: np.ndarray) -> np.ndarray:
        numbers = primitives[..., len(self.tables) :]
        half = (numbers**2).sum(-1, keepdims=True) / 2
        parts = [numbers, np.ones_like(half), -half]
        return np.concatenate([*self._codes(primitives), *parts], -1)

    def encode(self, primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        assert present.all()
        self.encoded += len(primitives)
        numbers = primitives[..., len(self.tables) :]
        half = (numbers**2).sum(-1, keepdims=True) / 2
        return np.concatenate([*self._codes(primitives), numbers, -half, np.ones_like(half)], -1)

    def _codes(self, primitives: np.ndarray) -> list[np.ndarray]:
        return [
            table[primitives[..., column].astype(int)] for column, table in enumerate(self.tables)
        ]


def _codes(count: int, width: int) -> np.ndarray:
    """One-hot rows, or random directions if these would be too wide."""
    if count <= width:
        return np.eye(count, dtype=np.float32)
    codes = np.random.default_rng(count).standard_normal((count, width), np.float32)
    return codes / np.float32(width**0.5)


def objects(schema: Schema, count: int = 50) -> np.ndarray:
    """Random primitives within the bounds."""
    rng = np.random.default_rng(0)
    ids = [rng.integers(len(item.values), size=(count, 1)) for item in schema.categorical]
    numbers = [rng.uniform(item.lows, item.highs, (count, item.size)) for item in schema.continuous]
    return np.concatenate([*ids, *numbers], -1).astype(np.float32)


@pytest.mark.parametrize("properties", SCHEMAS.values(), ids=SCHEMAS.keys())
def test_the_primitive_of_each_slot_is_found(properties) -> None:
    schema = Schema(properties, max_objects=2)
    oracle, true = Oracle(schema), objects(schema)
    found = read_out(oracle.slots(true), schema, oracle.encode)
    for item in schema.properties:
        own, expected = (rows[:, schema.columns[item.name]] for rows in (found.primitives, true))
        if isinstance(item, Categorical):
            np.testing.assert_array_equal(own, expected)
        else:
            span = np.array(item.highs) - np.array(item.lows)
            assert (np.abs(own - expected) / span).max() <= LAST_SPACING / 2 + 1e-4


def test_the_scores_are_those_of_the_primitives_and_not_below_any_candidate() -> None:
    schema = Schema(SCHEMAS["both"], max_objects=2)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((2, schema.width, 8), np.float32)

    def encode(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        return np.sin(primitives @ weights[0]) + np.tanh(primitives @ weights[1])

    slots = rng.standard_normal((30, 8), np.float32)
    found = read_out(slots, schema, encode)
    scores = (slots * embed_objects(encode, found.primitives)).sum(1)
    np.testing.assert_allclose(found.scores, scores, atol=1e-4)
    tried = candidates(schema, encode, np.zeros((0, 2), int)).embeddings.reshape(-1, 8)
    best = (slots @ tried.T).max(1)
    assert (found.scores >= best - 1e-4).all()
    assert (found.scores > best + 0.1).any()
    again = read_out(slots, schema, encode)
    np.testing.assert_array_equal(found.primitives, again.primitives)


def test_values_stay_within_the_bounds() -> None:
    schema = Schema((SHAPE, PLACE), max_objects=1)
    oracle = Oracle(schema)
    outside = oracle.slots(np.array([[1, 4, -9], [2, -4, 2]], np.float32))
    found = read_out(outside, schema, oracle.encode).primitives
    np.testing.assert_allclose(found, [[1, 1, 0], [2, -1, 2]], atol=5 * LAST_SPACING)


def test_without_slots_there_is_nothing_to_read_out() -> None:
    schema = Schema(SCHEMAS["both"], max_objects=1)
    oracle = Oracle(schema)
    found = read_out(np.zeros((0, 12), np.float32), schema, oracle.encode)
    assert found.primitives.shape == (0, schema.width)
    assert found.scores.shape == (0,)


def test_an_excluded_property_is_not_searched() -> None:
    schema = Schema(SCHEMAS["both"], max_objects=1)
    oracle, true = Oracle(schema), objects(schema)

    def blind(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        seen = primitives.copy()
        seen[..., schema.columns["colour"]] = 0
        seen[..., schema.columns["angle"]] = 0.5
        return oracle.encode(seen, present)

    found = read_out(oracle.slots(true), schema, blind, excluded=["colour", "angle"]).primitives
    assert (found[:, schema.columns["colour"]] == 0).all()
    points = candidates(schema, oracle.encode, np.zeros((0, 2), int)).primitives
    column = schema.columns["angle"].start
    assert set(found[:, column]) <= set(points[0, :, column])
    np.testing.assert_array_equal(found[:, 0], true[:, 0])


@pytest.mark.slow
def test_values_of_a_long_vocabulary_are_found_with_a_bounded_number_of_tries() -> None:
    schema = Schema((categorical("word", 10_000), SHAPE, COLOUR, ANGLE), max_objects=1)
    oracle, true = Oracle(schema), objects(schema)
    found = read_out(oracle.slots(true), schema, oracle.encode).primitives
    np.testing.assert_array_equal(found[:, :3], true[:, :3])
    started = 10_008 * 16
    tried = SWEEPS * (module.MOST_VALUES + 3 + 5 + GRID)
    assert oracle.encoded <= started + tried * len(true)


def test_slots_are_searched_in_blocks(monkeypatch) -> None:
    schema = Schema(SCHEMAS["both"], max_objects=1)
    oracle, true = Oracle(schema), objects(schema)
    whole = read_out(oracle.slots(true), schema, oracle.encode)
    monkeypatch.setattr(module, "_MAX_FLOATS", 7 * 15 * 16)  # 7 slots by 15 · 16 candidates
    parts = read_out(oracle.slots(true), schema, oracle.encode)
    np.testing.assert_array_equal(parts.primitives, whole.primitives)
    np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-5)


def test_the_range_of_values_replaces_the_bounds() -> None:
    schema = Schema((SHAPE, PLACE, ANGLE), max_objects=1)
    values = np.array([[2, -0.5, 3, np.nan], [1, 0.25, 3, np.nan]], np.float32)
    found = with_range(schema, values)
    assert found.properties[0] == SHAPE
    place, angle = found.properties[1:]
    assert place.lows == (-0.5, 3)
    assert place.highs == (0.25, pytest.approx(3))
    assert (angle.lows, angle.highs) == (ANGLE.lows, ANGLE.highs)
    assert with_range(schema, values[:0])["place"].lows == PLACE.lows
