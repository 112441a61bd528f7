"""Both releases' files are found wherever the user points, in the order of their index."""

import os
from pathlib import Path

import numpy as np
import pytest
from nsi_clevrtex.layout import find_scenes, mask_name, picture_paths
from nsi_clevrtex.splits import split

from nsi_cli.errors import DataError


@pytest.mark.parametrize("release", ["v1", "v2"])
@pytest.mark.parametrize("asked", ["auto", "same"])
def test_scenes_are_ordered_by_index_not_by_folder(make_raw, release: str, asked: str) -> None:
    made = make_raw(release)
    for index in (2000, 7, 1000, 10_001, 999):
        made.scene(index, 1)
    found = find_scenes(made.raw, "full", release if asked == "same" else asked)
    assert found.release == release
    assert [source.index for source in found.sources] == [7, 999, 1000, 2000, 10_001]
    assert str(found.sources[0]) == made.stem(7).name


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_the_variants_own_folder_may_be_given(make_raw, release: str) -> None:
    made = make_raw(release, "outd")
    made.scene(3, 1)
    inner = next(made.raw.iterdir())
    (source,) = find_scenes(inner, "outd", "auto").sources
    assert Path(source.path) == made.json(3)


def test_other_files_and_variants_are_passed_by(make_raw) -> None:
    made = make_raw()
    made.scene(0, 1)
    make_raw(variant="camo").scene(1, 1)
    folder = made.json(0).parent
    for name in ("CLEVRTEX_full_000001.json.part", "CLEVRTEX_full_1.json", "notes.txt"):
        (folder / name).touch()
    (made.raw / "clevrtex_full" / "README").touch()
    assert [source.index for source in find_scenes(made.raw, "full", "auto").sources] == [0]


def test_v2_names_its_pictures_by_frame_and_its_mask_in_the_json(make_raw) -> None:
    made = make_raw("v2")
    made.scene(12, 1)
    (source,) = find_scenes(made.raw, "full", "v2").sources
    told = mask_name(source, {"mask_filename": "mask12"}, "v2")
    image, mask = picture_paths(source.path, told, "v2")
    assert (image.name, mask.name) == ("CLEVRTEXv2_full_000012_0003.png", "mask12_0003.png")
    assert image.is_file()
    assert mask.is_file()


@pytest.mark.parametrize("name", [None, 3, "../../elsewhere", "/etc/mask", ""])
def test_a_mask_that_v2_does_not_name_is_told(make_raw, name: object) -> None:
    made = make_raw("v2")
    made.scene(0, 1)
    (source,) = find_scenes(made.raw, "full", "v2").sources
    with pytest.raises(DataError, match=r"CLEVRTEXv2_full_000000: 'mask_filename' is"):
        mask_name(source, {"mask_filename": name}, "v2")


def test_a_missing_raw_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no raw folder at") as caught:
        find_scenes(tmp_path / "none", "full", "auto")
    assert "--synthetic" in caught.value.hint


def test_a_folder_without_scenes_is_told_with_what_was_expected(make_raw) -> None:
    made = make_raw()
    made.scene(0, 1)
    with pytest.raises(DataError, match="no scenes of variant 'outd'") as caught:
        find_scenes(made.raw, "outd", "auto")
    assert "clevrtex_outd/0/CLEVRTEX_outd_000000.json" in caught.value.hint
    with pytest.raises(DataError, match="no scenes of variant 'full'"):
        find_scenes(made.raw, "full", "v2")


def test_of_two_releases_one_must_be_chosen(make_raw) -> None:
    for release in ("v1", "v2"):
        make_raw(release).scene(0, 1)
    with pytest.raises(DataError, match="both releases"):
        find_scenes(make_raw().raw, "full", "auto")
    assert find_scenes(make_raw().raw, "full", "v2").release == "v2"


def test_a_scene_that_is_there_twice_is_told(make_raw) -> None:
    made = make_raw()
    made.scene(5, 1)
    again = made.raw / "clevrtex_full" / "copy" / made.json(5).name
    again.parent.mkdir()
    again.write_bytes(made.json(5).read_bytes())
    with pytest.raises(DataError, match="scene 5 is there twice"):
        find_scenes(made.raw, "full", "auto")


def test_a_folder_that_cannot_be_read_is_told(make_raw, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_raw()
    made.scene(0, 1)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        find_scenes(made.raw, "full", "auto")


def _cut(indices: list[int], split_by: str) -> dict[str, list[int]]:
    cut = split(np.array(indices), split_by)
    return {name: [indices[place] for place in places] for name, places in cut.items()}


EDGES = [0, 4999, 5000, 9999, 10_000, 37_499, 37_500, 39_999, 40_000, 49_999, 50_000]


def test_the_splits_of_nsi() -> None:
    assert _cut(EDGES, "nsi") == {
        "train": [0, 4999, 5000, 9999, 10_000, 37_499],
        "val": [37_500, 39_999],
        "test": [40_000, 49_999],
    }


def test_the_splits_of_the_benchmark() -> None:
    assert _cut(EDGES, "benchmark") == {
        "train": [10_000, 37_499, 37_500, 39_999, 40_000, 49_999],
        "val": [5000, 9999],
        "test": [0, 4999],
    }


def test_all_for_test() -> None:
    assert _cut(EDGES, "test") == {"test": EDGES}


def test_shares_of_however_many_there_are() -> None:
    cut = _cut([3 * i for i in range(40)], "proportional")
    assert {name: len(items) for name, items in cut.items()} == {"train": 34, "val": 2, "test": 4}
    assert [*cut["train"], *cut["val"], *cut["test"]] == [3 * i for i in range(40)]


def test_a_split_without_scenes_is_left_out() -> None:
    assert _cut([1, 2], "nsi") == {"train": [1, 2]}
