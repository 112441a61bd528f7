"""Reading a scene's JSON returns the properties of its objects or a one-line error."""

import json

import pytest
from nsi_clevrtex.annotation import read_annotation, read_objects
from nsi_clevrtex.layout import SceneSource

from nsi_cli.support.errors import DataError

KEYS = ("shape", "size", "material")


def _read(data, *, keys=KEYS, any_material=False):
    return read_objects(SceneSource(7, "S_000007.json"), data, keys, any_material=any_material)


def _refused(data, result: str, **options) -> DataError:
    with pytest.raises(DataError, match=rf"^S_000007: .*{result}") as caught:
        _read(data, **options)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


def test_objects_are_ordered_by_their_index(make_object) -> None:
    objects = _read({"objects": [make_object(2), make_object(3), make_object(1)]})
    assert [item["shape"] for item in objects] == ["sphere", "cylinder", "monkey"]
    assert [item["position"] for item in objects] == [(0.25 * i, -0.5 * i, 0.5) for i in (1, 2, 3)]
    assert set(objects[0]) == {*KEYS, "position"}


def test_two_names_of_one_material_are_the_same_value(make_object) -> None:
    names = [
        "poliigonfabricupholsterybrightanglepattern001",
        "poliigonfabricupholsterymidcenturypebbles001",
        "PoliigonFabricUpholsteryMidCenturyPebbles001",
    ]
    objects = _read(
        {"objects": [make_object(i, material=name) for i, name in enumerate(names, start=1)]}
    )
    assert {item["material"] for item in objects} == {names[0]}


def test_an_unknown_material_is_an_error_with_a_suggestion(make_object) -> None:
    error = _refused({"objects": [make_object(1, material="whitemarbel")]}, "unknown material")
    assert error.hint == "did you mean 'whitemarble'?"


def test_any_material_is_accepted_if_the_materials_are_not_published(make_object) -> None:
    data = {"objects": [make_object(1, material="polyhaven_kitchen_wood")]}
    assert _read(data, any_material=True)[0]["material"] == "polyhaven_kitchen_wood"


@pytest.mark.parametrize("shape", ["cone", "icosahedron", "torus", "teapot"])
def test_the_shapes_of_outd_are_known(make_object, shape: str) -> None:
    assert _read({"objects": [make_object(1, shape=shape)]})[0]["shape"] == shape


def test_a_key_that_is_not_requested_is_not_checked(make_object) -> None:
    data = {"objects": [make_object(1, color="ultraviolet")]}
    assert "color" not in _read(data)[0]
    _refused(data, "unknown color 'ultraviolet'", keys=(*KEYS, "color"))


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
def test_an_invalid_property_is_an_error(
    make_object, changes: dict[str, object], result: str
) -> None:
    _refused({"objects": [make_object(1, **changes)]}, result)


def test_a_wrong_number_of_objects_is_an_error(make_object) -> None:
    many = [make_object(i) for i in range(1, 12)]
    _refused({"objects": many, "num_objects": 11}, "11 objects, but 1 to 10 are expected")
    _refused({"objects": many[:3], "num_objects": 4}, "3 objects, but 'num_objects' is 4")
    _refused({"objects": []}, "0 objects")
    _refused({"objects": [make_object(1), make_object(1)]}, "not numbered 1 to 2")
    _refused({"objects": [make_object(1), "cube"]}, "object 2 is not a JSON object")


@pytest.mark.parametrize(
    "content",
    [b"", b'{"objects": [', b"\xff\xfe", b"[]", b"{}", b'{"objects": {}}', b"[" * 100_000],
)
def test_damaged_json_is_an_error(tmp_path, content: bytes) -> None:
    path = tmp_path / "S_000007.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"^S_000007: its JSON (is damaged|has no list)"):
        read_annotation(SceneSource(7, str(path)))


def test_missing_json_is_an_error(tmp_path) -> None:
    with pytest.raises(DataError, match="S_000007: its JSON cannot be read: No such file"):
        read_annotation(SceneSource(7, str(tmp_path / "S_000007.json")))


def test_complete_json_is_read(make_raw) -> None:
    writer = make_raw()
    writer.scene(0, 10)
    data = read_annotation(SceneSource(0, str(writer.json(0))))
    assert data == json.loads(writer.json(0).read_text())
    assert len(_read(data)) == 10
