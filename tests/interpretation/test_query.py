from __future__ import annotations

import pytest

from nsi_cli.interpretation.query import parse_query
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.support.errors import ConfigError

SCHEMA = Schema(
    (
        Categorical("size", ("small", "large")),
        Continuous("position", 3, -3, 3),
        Categorical("shape", ("sphere", "cube", "half sphere")),
        Categorical("material", ("poliigonbricks01", "poliigonwood04", "whitemarble", "glass")),
        Categorical("lid", ("glass", "none")),
        Continuous("turn", 1, 0, 360),
    ),
    max_objects=4,
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (
            "large sphere whitemarble",
            {"size": "large", "shape": "sphere", "material": "whitemarble"},
        ),
        ("whitemarble LARGE", {"size": "large", "material": "whitemarble"}),
        ("bricks", {"material": "poliigonbricks01"}),
        ("'half sphere' small", {"size": "small", "shape": "half sphere"}),
        ("half", {"shape": "half sphere"}),
        ("material=glass lid=none", {"material": "glass", "lid": "none"}),
        ("material=wood", {"material": "poliigonwood04"}),
        ("cube position=1,0,0.5", {"shape": "cube", "position": (1, 0, 0.5)}),
        ("turn=90", {"turn": (90,)}),
    ],
)
def test_values_stand_in_any_order_and_can_be_shortened(text: str, values: dict) -> None:
    assert parse_query(text, SCHEMA).values == values


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("sphere cube", "two values of shape", "single object"),
        ("glass", "several values: material=glass, lid=glass", "write one of them"),
        ("poliigon", "material=poliigonbricks01, material=poliigonwood04", "write one"),
        ("sphre", "no property has a value 'sphre'", "'sphere'?"),
        ("", "the query is empty", "small sphere"),
        ("  ", "the query is empty", "small sphere"),
        ("shpe=cube", "no property 'shpe'", "'shape'?"),
        ("shape=cub shape=sphere", "two values of shape", ""),
        ("shape=kube", "shape has no value 'kube'", "'cube'?"),
        ("shape=", "several values of shape", "write more"),
        ("material=poliigon", "several values of material", "write more"),
        ("position=1,2", "position=1,2: expected 3 numbers", "position=0,0,0"),
        ("position=a,b,c", "expected 3 numbers", ""),
        ("turn=nan", "expected a number", "turn=180"),
        ("turn=1e999", "expected a number", ""),
        ("'half", "open quote", ""),
    ],
)
def test_what_is_no_query_is_one_line_and_a_hint(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_query(text, SCHEMA)
    assert message in error.value.message
    assert hint in error.value.hint


def test_a_property_that_was_excluded_from_training_is_refused() -> None:
    with pytest.raises(ConfigError, match="trained without shape"):
        parse_query("small sphere", SCHEMA, ["shape", "lid"])
    assert parse_query("small", SCHEMA, ["shape", "lid"]).values == {"size": "small"}


def test_a_query_fixes_ids_and_numbers_and_leaves_the_rest_open() -> None:
    query = parse_query("position=1,-2,0.5 cube", SCHEMA)
    assert query.ids.tolist() == [-1, 1, -1, -1]
    assert query.numbers == {4: 1, 5: -2, 6: 0.5}
    assert str(query) == "position=1,-2,0.5 cube"  # in the order of the text


def test_a_schema_of_numbers_alone_has_an_example() -> None:
    schema = Schema((Continuous("x", 2, 0, 4),), max_objects=1)
    with pytest.raises(ConfigError) as error:
        parse_query("red", schema)
    assert "x=2,2" in error.value.hint
    assert parse_query("x=1,1", schema).numbers == {0: 1, 1: 1}


def test_a_component_of_a_number_can_be_left_open() -> None:
    schema = Schema((Continuous("position", 3, -1.0, 1.0),), 2)
    query = parse_query("position=?,?,0.5", schema)
    assert query.numbers == {2: 0.5}
    assert str(query) == "position=?,?,0.5"
    for text in ("position=?,?,?", "position=nan,0,0", "position=?,1"):
        with pytest.raises(ConfigError, match="expected 3 numbers"):
            parse_query(text, schema)


def test_the_error_for_an_unknown_word_lists_few_values_and_says_where_many_are() -> None:
    shape = Categorical("shape", ("cube", "sphere"))
    material = Categorical("material", tuple(f"stone{number}" for number in range(21)))
    with pytest.raises(ConfigError) as error:
        parse_query("purple", Schema((shape, material), max_objects=1))
    assert error.value.hint == (
        "shape: cube, sphere; material: 21 values, listed in schema.json in the run's folder"
    )
