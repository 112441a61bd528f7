"""A store with the vocabulary of another: known values keep their ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsi_cli.data.build.vocabulary import Vocabulary, read_vocabulary, translation
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.schema.scene import Scene
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import write_json

GIVEN = Schema(
    (
        Categorical("shape", ("monkey", "cube", "sphere")),
        Continuous("place", 2, -3, 3),
        Categorical("size", ("large", "small")),
        Continuous("turn", 1, 0, 360),
    ),
    5,
)
OWN = Schema(
    (
        Continuous("turn", 1, 0, 1),
        Categorical("size", ("small", "large")),
        Continuous("place", 2, 0, 9),
        Categorical("shape", ("cone", "cube", "torus")),
    ),
    3,
)
OBJECTS = [
    {"shape": "cone", "place": (1, 2), "size": "large", "turn": 90},
    {"shape": "cube", "place": None, "size": None, "turn": 0},
    {"shape": None, "place": (0, -1), "size": "small", "turn": None},
]


def vocabulary(new_values: str, schema: Schema = GIVEN) -> Vocabulary:
    return Vocabulary(schema, "data/full", new_values)


def scene(schema: Schema, objects: list) -> Scene:
    return Scene("one", np.zeros((4, 4, 3), np.uint8), schema.encode(objects))


def test_known_values_keep_the_ids_of_the_vocabulary() -> None:
    translate = translation(OWN, vocabulary("drop"))
    assert translate.schema == GIVEN
    stored = translate.apply(scene(OWN, OBJECTS))
    assert GIVEN.decode(stored.primitives) == [{**OBJECTS[0], "shape": None}, *OBJECTS[1:]]
    assert stored.lost == (("shape", "cone"),)
    assert stored.primitives.dtype == np.float32


def test_new_values_are_an_error_that_lists_them_and_both_options() -> None:
    with pytest.raises(DataError, match=r"data/full lacks .*: shape: cone, torus") as caught:
        translation(OWN, vocabulary("refuse"))
    assert "--new-values extend" in caught.value.hint
    assert "--new-values drop" in caught.value.hint


def test_new_values_are_appended_in_order() -> None:
    translate = translation(OWN, vocabulary("extend"))
    assert translate.schema["shape"].values == ("monkey", "cube", "sphere", "cone", "torus")
    assert translate.schema["place"] == GIVEN["place"]
    stored = translate.apply(scene(OWN, OBJECTS))
    assert translate.schema.decode(stored.primitives) == OBJECTS
    assert stored.lost == ()
    assert translate.record()["vocabulary"]["added"] == {"shape": ("cone", "torus")}


def test_without_a_vocabulary_nothing_changes() -> None:
    translate = translation(OWN, None)
    one = scene(OWN, OBJECTS)
    assert translate.schema == OWN
    assert translate.apply(one) is one
    assert translate.record() == {}


def test_a_vocabulary_with_every_value_refuses_nothing() -> None:
    small = Schema((Categorical("shape", ("sphere", "cube")),), 3)
    large = Schema((Categorical("shape", ("cube", "monkey", "sphere")),), 10)
    translate = translation(small, vocabulary("refuse", large))
    stored = translate.apply(scene(small, [{"shape": "sphere"}, {"shape": "cube"}]))
    assert stored.primitives.tolist() == [[2], [0]]


OTHER = {
    "a property more": ((*OWN.properties, Categorical("color", ("red",))), "it lacks 'color'"),
    "a property less": (OWN.properties[1:], "this data lacks 'turn'"),
    "another kind": ((Categorical("turn", ("left",)), *OWN.properties[1:]),
                     "'turn' is continuous of size 1 there, categorical in this data"),
    "another size": ((Continuous("turn", 3), *OWN.properties[1:]),
                     "is continuous of size 1 there, continuous of size 3 in this data"),
}  # fmt: skip


@pytest.mark.parametrize("new_values", ["refuse", "extend", "drop"])
@pytest.mark.parametrize("case", OTHER)
def test_other_properties_never_fit(case: str, new_values: str) -> None:
    items, message = OTHER[case]
    with pytest.raises(DataError, match=message):
        translation(Schema(items, 3), vocabulary(new_values))


def test_scenes_with_more_objects_fit_only_an_extended_vocabulary() -> None:
    full = Schema(OWN.properties, 9)
    with pytest.raises(DataError, match="up to 5 objects, those of this data up to 9"):
        translation(full, vocabulary("drop"))
    assert translation(full, vocabulary("extend")).schema.max_objects == 9


@given(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True),
       st.lists(st.sampled_from("abcdef"), min_size=1, unique=True), st.data())  # fmt: skip
def test_stored_values_decode_to_the_values_of_the_data(own, given_words, data) -> None:
    objects = data.draw(st.lists(st.sampled_from([*own, None]), max_size=4))
    mine, theirs = (Schema((Categorical("w", tuple(words)),), 4) for words in (own, given_words))
    given_objects = [{"w": word} for word in objects]
    for new_values in ("extend", "drop"):
        translate = translation(mine, vocabulary(new_values, theirs))
        stored = translate.apply(scene(mine, given_objects))
        known = translate.schema["w"].values
        read = [one["w"] for one in translate.schema.decode(stored.primitives)]
        assert read == [word if word in known else None for word in objects]
        assert [value for _, value in stored.lost] == [
            w for w in objects if w not in (*known, None)
        ]
        assert known[: len(given_words)] == tuple(given_words)


def test_it_is_read_from_whatever_folder_has_a_schema(tmp_path: Path) -> None:
    write_json(tmp_path / "schema.json", GIVEN.to_json())
    assert read_vocabulary(tmp_path, "drop") == Vocabulary(GIVEN, str(tmp_path), "drop")
    with pytest.raises(DataError, match="no vocabulary at"):
        read_vocabulary(tmp_path / "none")
