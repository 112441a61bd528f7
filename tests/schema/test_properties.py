"""Categorical and continuous properties: the values that they encode or refuse."""

import math

import numpy as np
import pytest

from nsi_cli.schema import Categorical, Continuous
from nsi_cli.support.errors import SchemaError

SHAPE = Categorical("shape", ("cube", "sphere", "monkey"))
POSITION = Continuous("position", 3, -3.0, 3.0)


def test_the_id_of_a_value_is_its_index() -> None:
    assert [SHAPE.encode(value) for value in SHAPE.values] == [0, 1, 2]
    assert SHAPE.decode(2.0) == "monkey"


def test_missing_values_are_minus_one_and_nan() -> None:
    assert SHAPE.encode(None) == -1
    assert SHAPE.decode(-1) is None
    assert all(map(math.isnan, POSITION.encode(None)))
    assert POSITION.decode([math.nan] * 3) is None


def test_an_unknown_value_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(SchemaError, match="unknown shape 'sphear'") as caught:
        SHAPE.encode("sphear")
    assert caught.value.hint == "did you mean 'sphere'?"
    with pytest.raises(SchemaError) as caught:
        SHAPE.encode("ψ")
    assert caught.value.hint == "known: cube, sphere, monkey"


@pytest.mark.parametrize("index", [3, -2, 0.5, math.nan, math.inf])
def test_an_id_without_a_value_is_refused(index: float) -> None:
    with pytest.raises(SchemaError, match="no value with id"):
        SHAPE.decode(index)


def test_one_number_decodes_to_a_float_and_more_to_a_tuple() -> None:
    assert Continuous("x").decode([0.5]) == 0.5
    assert POSITION.decode([1, 2, 3]) == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    "value",
    [(1, 2, 3), [1.0, 2.0, 3.0], np.array([1, 2, 3]), np.array([1, 2, 3], np.float16),
     (np.float32(1), np.int64(2), 3)],
)  # fmt: skip
def test_numbers_of_any_type_are_encoded(value: object) -> None:
    assert POSITION.encode(value) == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        (1, 2, 3, 4),
        (1, 2, 3, math.nan),
        1.0,
        (1, 2, math.nan),
        (1, 2, math.inf),
        (1, 2, 1e39),  # beyond float32
        (1, 2, 10**400),  # beyond any float
        (1, 2, True),
        (1, 2, "3"),
        "123",
        np.zeros((3, 1)),
    ],
)
def test_anything_but_three_finite_numbers_is_an_error(value: object) -> None:
    with pytest.raises(SchemaError, match="is not 3 finite numbers"):
        POSITION.encode(value)


@pytest.mark.parametrize("numbers", [(1, 2), (1, 2, math.nan), (math.nan,) * 2, (1, 2, math.inf)])
def test_numbers_that_encode_never_returns_are_not_decoded(numbers: tuple[float, ...]) -> None:
    with pytest.raises(SchemaError, match="position"):
        POSITION.decode(numbers)


def test_a_bound_is_one_number_for_all_components_or_one_for_each() -> None:
    assert POSITION.lows == (-3.0, -3.0, -3.0)
    both = Continuous("position", 2, 0, [1, np.float32(2)])
    assert (both.lows, both.highs) == ((0.0, 0.0), (1.0, 2.0))


@pytest.mark.parametrize("values", [(), ("a", "a"), ("a", ""), ("a", 1), "cube", None])
def test_values_must_be_distinct_words(values: object) -> None:
    with pytest.raises(SchemaError, match="'shape': values must be"):
        Categorical("shape", values)


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_property_needs_a_name(name: object) -> None:
    for make in (lambda: Categorical(name, ("a",)), lambda: Continuous(name)):
        with pytest.raises(SchemaError, match="name must be"):
            make()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 0}, "size must be"),
        ({"size": True}, "size must be"),
        ({"size": 1.0}, "size must be"),
        ({"low": 1, "high": 1}, "low must be below high"),
        ({"low": 1.6e9, "high": 1.6e9 + 50}, "low must be below high"),  # equal as float32
        ({"low": math.nan}, "a bound must be"),
        ({"high": 10**400}, "a bound must be"),
        ({"high": "1"}, "a bound must be"),
        ({"size": 2, "low": (0, math.inf, 0)}, "a bound must be"),
        ({"size": 3, "high": (1, 2)}, "a bound must be"),
    ],
)
def test_a_continuous_property_needs_a_size_and_finite_bounds_in_order(
    wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        Continuous("x", **wrong)
