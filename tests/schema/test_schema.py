"""A schema defines the layout of primitives, their encoding and decoding, and its JSON."""

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.support.errors import ConfigError, SchemaError

MIXED = Schema(
    (
        Continuous("position", 2, -3, 3),
        Categorical("shape", ("cube", "sphere")),
        Continuous("size", 1, 0, 2),
        Categorical("material", ("rubber", "metal", "glass")),
    ),
    max_objects=3,
)
BALL = {"position": (1.5, -2.0), "shape": "sphere", "size": 0.25, "material": "glass"}
ALL_MISSING = dict.fromkeys(BALL)

names = st.text(min_size=1, max_size=5)
float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def properties(draw: st.DrawFn) -> Categorical | Continuous:
    name = draw(names)
    if draw(st.booleans()):
        return Categorical(name, tuple(draw(st.lists(names, min_size=1, max_size=4, unique=True))))
    low = draw(st.floats(-1e3, 1e3))
    return Continuous(name, draw(st.integers(1, 3)), low, low + draw(st.floats(0.1, 1e3)))


@st.composite
def schemas_with_objects(draw: st.DrawFn) -> tuple[Schema, list[dict[str, object]]]:
    items = draw(st.lists(properties(), min_size=1, max_size=4, unique_by=lambda p: p.name))
    schema = Schema(tuple(items), draw(st.integers(1, 4)))
    one = st.fixed_dictionaries({item.name: st.none() | _values(item) for item in items})
    return schema, draw(st.lists(one, max_size=schema.max_objects))


def _values(item: Categorical | Continuous) -> st.SearchStrategy[object]:
    if isinstance(item, Categorical):
        return st.sampled_from(item.values)
    return float32s if item.size == 1 else st.tuples(*[float32s] * item.size)


def test_ids_precede_numbers_each_in_schema_order() -> None:
    assert MIXED.width == 5
    assert list(MIXED.columns) == ["shape", "material", "position", "size"]
    rows = MIXED.encode([BALL])
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1.0, 2.0, 1.5, -2.0, 0.25]]


def test_missing_values_are_minus_one_and_nan() -> None:
    (row,) = MIXED.encode([ALL_MISSING])
    assert row[:2].tolist() == [-1.0, -1.0]
    assert np.isnan(row[2:]).all()
    assert MIXED.decode([row]) == [ALL_MISSING]


@pytest.mark.slow
@given(schemas_with_objects())
def test_decoding_inverts_encoding(case: tuple[Schema, list[dict[str, object]]]) -> None:
    schema, objects = case
    rows = schema.encode(objects)
    assert rows.shape == (len(objects), schema.width)
    assert schema.decode(rows) == objects
    np.testing.assert_array_equal(schema.encode(schema.decode(rows)), rows)


@pytest.mark.slow
@given(schemas_with_objects())
def test_json_and_pickle_preserve_the_schema(
    case: tuple[Schema, list[dict[str, object]]],
) -> None:
    schema, _ = case
    for copy in (
        Schema.from_json(json.loads(json.dumps(schema.to_json()))),
        pickle.loads(pickle.dumps(schema)),
    ):
        assert copy == schema
        assert copy.fingerprint == schema.fingerprint


def test_the_order_of_values_changes_the_fingerprint() -> None:
    one = Schema((Categorical("shape", ("cube", "sphere")),), 3)
    other = Schema((Categorical("shape", ("sphere", "cube")),), 3)
    assert one.fingerprint != other.fingerprint


def test_a_property_is_found_by_its_name() -> None:
    assert MIXED["size"].columns == 1
    with pytest.raises(SchemaError, match="no property 'colour'"):
        MIXED["colour"]
    with pytest.raises(SchemaError) as caught:
        MIXED["materials"]
    assert caught.value.hint == "did you mean 'material'?"


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([BALL, {**BALL, "shape": "spere"}], "object 2: unknown shape 'spere'"),
        ([{**BALL, "position": (1.0,)}], r"object 1: position: \(1.0,\) is not 2 finite numbers"),
        ([{**BALL, "size": math.nan}], "object 1: size: nan is not a finite number"),
        ([{**BALL, "size": True}], "object 1: size: True is not a finite number"),
        ([{"shape": "cube"}], "object 1: .* no 'material', no 'position', no 'size'"),
        ([{**BALL, "colour": "red"}], "object 1: .* unknown 'colour'"),
        ([BALL] * 4, "a scene has 4 objects, but max_objects is 3"),
    ],
)
def test_an_object_that_does_not_fit_is_an_error(
    objects: list[dict[str, object]], message: str
) -> None:
    with pytest.raises(SchemaError, match=message) as caught:
        MIXED.encode(objects)
    assert caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("rows", [np.zeros(5), np.zeros((1, 4)), np.zeros((1, 1, 5))])
def test_rows_of_another_shape_are_not_decoded(rows: np.ndarray) -> None:
    with pytest.raises(SchemaError, match="do not fit a schema of width 5"):
        MIXED.decode(rows)


@pytest.mark.parametrize(
    ("items", "max_objects", "message"),
    [
        ((), 3, "properties with different names"),
        ((Continuous("x"), Continuous("x")), 3, "properties with different names"),
        (("shape",), 3, "is Categorical or Continuous, not 'shape'"),
        ((Continuous("x"),), 0, "max_objects must be"),
        ((Continuous("x"),), True, "max_objects must be"),
        ((Continuous("x"),), 2.0, "max_objects must be"),
    ],
)
def test_a_schema_needs_properties_and_a_maximum_of_objects(
    items: tuple[object, ...], max_objects: int, message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        Schema(items, max_objects)


PLAIN = MIXED.to_json()


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "schema",
        {},
        {**PLAIN, "max_objects": "10"},
        {**PLAIN, "properties": None},
        {**PLAIN, "properties": [None]},
        {**PLAIN, "properties": [{"kind": "colour"}]},
        {**PLAIN, "properties": [{"kind": "categorical", "name": "shape"}]},
        {**PLAIN, "properties": [{"kind": "categorical", "name": "shape", "values": "cube"}]},
        {**PLAIN, "properties": [{**PLAIN["properties"][0], "low": 0}]},
        {**PLAIN, "properties": [{**PLAIN["properties"][0], "size": 3}]},
    ],
)
def test_json_of_no_schema_is_refused(data: object) -> None:
    with pytest.raises(SchemaError):
        Schema.from_json(data)


def test_a_schema_without_some_properties_keeps_the_others_in_order() -> None:
    schema = MIXED.without(["size", "shape"])
    assert list(schema.columns) == ["material", "position"]
    assert schema.max_objects == MIXED.max_objects
    assert MIXED.without([]) == MIXED


def test_excluding_an_unknown_property_or_all_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="no property 'shap' to exclude") as caught:
        MIXED.without(["size", "shap"])
    assert "shape" in caught.value.hint
    with pytest.raises(ConfigError, match="every property is excluded"):
        MIXED.without(list(BALL))
