"""A scene's JSON gives the properties of its objects, or one line that says what is wrong."""

import json

import pytest
from nsi_clevrtex.annotation import read_annotation, read_objects
from nsi_clevrtex.layout import SceneSource

from nsi_cli.support.errors import DataError

WORDS = ("shape", "size", "material")


def _read(data, *, words=WORDS, any_material=False):
    return read_objects(SceneSource(7, "S_000007.json"), data, words, any_material=any_material)


def _refused(data, result: str, **how) -> DataError:
    with pytest.raises(DataError, match=rf"^S_000007: .*{result}") as caught:
        _read(data, **how)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


def test_objects_come_in_the_order_of_their_index(thing) -> None:
    read = _read({"objects": [thing(2), thing(3), thing(1)]})
    assert [one["shape"] for one in read] == ["sphere", "cylinder", "monkey"]
    assert [one["position"] for one in read] == [(0.25 * i, -0.5 * i, 0.5) for i in (1, 2, 3)]
    assert set(read[0]) == {*WORDS, "position"}


def test_two_names_of_one_material_are_one(thing) -> None:
    names = [
        "poliigonfabricupholsterybrightanglepattern001",
        "poliigonfabricupholsterymidcenturypebbles001",
        "PoliigonFabricUpholsteryMidCenturyPebbles001",
    ]
    read = _read({"objects": [thing(i, material=name) for i, name in enumerate(names, start=1)]})
    assert {one["material"] for one in read} == {names[0]}


def test_an_unknown_material_is_told_with_the_nearest_known_one(thing) -> None:
    error = _refused({"objects": [thing(1, material="whitemarbel")]}, "unknown material")
    assert error.hint == "did you mean 'whitemarble'?"


def test_any_material_is_taken_where_none_is_published(thing) -> None:
    data = {"objects": [thing(1, material="polyhaven_kitchen_wood")]}
    assert _read(data, any_material=True)[0]["material"] == "polyhaven_kitchen_wood"


@pytest.mark.parametrize("shape", ["cone", "icosahedron", "torus", "teapot"])
def test_the_shapes_of_outd_are_known(thing, shape: str) -> None:
    assert _read({"objects": [thing(1, shape=shape)]})[0]["shape"] == shape


def test_a_word_that_is_not_asked_for_is_not_looked_at(thing) -> None:
    data = {"objects": [thing(1, color="ultraviolet")]}
    assert "color" not in _read(data)[0]
    _refused(data, "unknown color 'ultraviolet'", words=(*WORDS, "color"))


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"shape": "cuve"}, "unknown shape 'cuve'"),
        ({"size": 0.9}, "'size' is 0.9, not a word"),
        ({"material": None}, "'material' is None"),
        ({"material": ""}, "'material' is ''"),
        ({"index": "1"}, "'index' is '1'"),
        ({"index": True}, "'index' is True"),
        ({"index": 0}, "not numbered 1 to 1"),
        ({"index": 2}, "not numbered 1 to 1"),
        ({"3d_coords": [0.0, float("nan"), 1.0]}, "'3d_coords' is .0.0, nan, 1.0., not three"),
        ({"3d_coords": [0.0, float("inf"), 1.0]}, "'3d_coords'"),
        ({"3d_coords": [0.0, 10**400, 1.0]}, "'3d_coords'"),
        ({"3d_coords": [0.0, 1.0]}, "'3d_coords'"),
        ({"3d_coords": [0.0, 1.0, True]}, "'3d_coords'"),
        ({"3d_coords": None}, "'3d_coords'"),
    ],
)
def test_a_property_that_cannot_be_is_told(thing, changes: dict[str, object], result: str) -> None:
    _refused({"objects": [thing(1, **changes)]}, result)


def test_a_wrong_number_of_objects_is_told(thing) -> None:
    many = [thing(i) for i in range(1, 12)]
    _refused({"objects": many, "num_objects": 11}, "11 objects, 1 to 10 are expected")
    _refused({"objects": many[:3], "num_objects": 4}, "3 objects, but 'num_objects' is 4")
    _refused({"objects": []}, "0 objects")
    _refused({"objects": [thing(1), thing(1)]}, "not numbered 1 to 2")
    _refused({"objects": [thing(1), "cube"]}, "object 2 is not a JSON object")


@pytest.mark.parametrize(
    "content",
    [b"", b'{"objects": [', b"\xff\xfe", b"[]", b"{}", b'{"objects": {}}', b"[" * 100_000],
)
def test_json_that_is_not_whole_is_told(tmp_path, content: bytes) -> None:
    path = tmp_path / "S_000007.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"^S_000007: its JSON (is not whole|has no list)"):
        read_annotation(SceneSource(7, str(path)))


def test_json_that_is_gone_is_told(tmp_path) -> None:
    with pytest.raises(DataError, match="S_000007: its JSON cannot be read: No such file"):
        read_annotation(SceneSource(7, str(tmp_path / "S_000007.json")))


def test_whole_json_is_read(make_raw) -> None:
    made = make_raw()
    made.scene(0, 10)
    read = read_annotation(SceneSource(0, str(made.json(0))))
    assert read == json.loads(made.json(0).read_text())
    assert len(_read(read)) == 10
