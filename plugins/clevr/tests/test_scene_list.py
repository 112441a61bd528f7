"""The scenes of a JSON file are found without holding them in memory."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nsi_clevr import scene_list
from nsi_clevr.scene_list import SceneList, read_scene_list

from nsi_cli.plugins import DataError

SCENES: list[Any] = [
    {"image_index": 0, "text": 'brackets ]} and "quotes"', "objects": [{"a": [1.5, -2e3]}]},
    {},
    {"image_index": 2, "text": "sphère ∞", "objects": []},
]


def content(scenes: SceneList) -> list[Any]:
    """Parse the bytes of each scene alone."""
    parts = []
    for source in scenes:
        data = Path(source.path).read_bytes()
        parts.append(json.loads(data[source.start : source.start + source.size].decode()))
    return parts


@pytest.fixture(params=[1, 7, 1 << 20])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The size of the blocks in which a file is read."""
    monkeypatch.setattr(scene_list, "_BLOCK", request.param)
    return int(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "CLEVR_train_scenes.json"


LAYOUTS = {
    "published": json.dumps({"info": {"version": "1.0"}, "scenes": SCENES}),
    "scenes first": json.dumps({"scenes": SCENES, "info": {"split": "train"}}),
    "only scenes": json.dumps({"scenes": SCENES}, ensure_ascii=False),
    "indented": json.dumps({"count": 12, "scenes": SCENES, "end": None}, indent=2),
    "without spaces": json.dumps({"n": -12.5, "scenes": SCENES}, separators=(",", ":")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_scene_can_be_read_alone(layout: str, block: int, path: Path) -> None:
    path.write_text(LAYOUTS[layout], encoding="utf-8")
    assert content(read_scene_list(path, "train")) == SCENES


def test_a_file_that_is_cut_anywhere_is_refused(block: int, path: Path) -> None:
    text = LAYOUTS["published"].encode()
    for size in range(0, len(text) - 1, 1 if block > 7 else 37):
        path.write_bytes(text[:size])
        with pytest.raises(DataError, match="damaged or truncated") as caught:
            read_scene_list(path, "train")
        assert "\n" not in caught.value.message
        assert "--download" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", r"'\[' instead of {, at byte 0"),
        ("{}", "no list 'scenes'"),
        ('{"scenes": {}}', r"'{' instead of \[, at byte 11"),
        ('{"scenes": [3]}', "a scene is not a JSON object, at byte 12"),
        ('{"scenes": [{}] "info"}', "instead of , or }, at byte 16"),
        ('{"scenes": [{}]} {}', "other data follows its end, at byte 17"),
        ('{"scenes": [{}, ]}', r"(Expecting value|Illegal trailing comma).*, at byte 1[46]"),
        ('{"scenes": [{"a": 1 2}]}', "Expecting ',' delimiter, at byte 20"),
        ("<html>", "instead of {"),
        ('{"scenes": []}', "has no scene"),
        ('{"scenes": [' + '{"a":' * 99_999, "damaged or truncated"),
    ],
)
def test_a_file_of_other_content_is_refused(text: str, reason: str, path: Path) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match=reason) as caught:
        read_scene_list(path, "train")
    assert caught.value.hint


def test_a_scene_of_many_megabytes_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_list, "_BLOCK", 100)
    monkeypatch.setattr(scene_list, "LARGEST_SCENE", 1000)
    path.write_text('{"scenes": [{"a": "' + "x" * 5000 + '"}]}')
    with pytest.raises(DataError, match="Unterminated string"):
        read_scene_list(path, "train")


def test_a_file_that_is_no_file_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(DataError, match="cannot be read: it is a folder"):
        read_scene_list(path, "train")


def numbered(count: int) -> Iterator[str]:
    yield '{"scenes": ['
    filler = "x" * 3000
    for number in range(count):
        yield json.dumps({"image_index": number, "filler": filler}) + ", " * (number < count - 1)
    yield "]}"


def test_a_scene_takes_a_few_bytes_of_memory(path: Path) -> None:
    count = 5000
    path.write_text("".join(numbered(count)))  # 15 MB
    tracemalloc.start()
    scenes = read_scene_list(path, "train")
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(scenes) == count
    assert held < 20 * count
    assert peak < 6_000_000
    source = scenes[count - 1]
    assert str(source) == "scene 4999 of CLEVR_train_scenes.json"
    assert len(pickle.dumps(source)) < 300


def test_a_part_of_a_list_keeps_the_numbers_of_its_scenes(path: Path) -> None:
    path.write_text("".join(numbered(10)))
    scenes = read_scene_list(path, "train")
    part = scenes[4:]
    assert [source.number for source in part] == [4, 5, 6, 7, 8, 9]
    assert [source.number for source in part[-2:]] == [8, 9]
    assert part[0] == scenes[4]
    with pytest.raises(IndexError):
        _ = part[6]
