"""The files of both releases are found, in the order of their index."""

import os
from pathlib import Path

import numpy as np
import pytest
from nsi_clevrtex.layout import find_scenes, mask_name, picture_paths
from nsi_clevrtex.splits import choose_rule, split, split_notes

from nsi_cli.support.errors import DataError


@pytest.mark.parametrize("release", ["v1", "v2"])
@pytest.mark.parametrize("option", ["auto", "same"])
def test_scenes_are_ordered_by_index_not_by_folder(make_raw, release: str, option: str) -> None:
    writer = make_raw(release)
    for index in (2000, 7, 1000, 10_001, 999):
        writer.scene(index, 1)
    folder = find_scenes(writer.raw, "full", release if option == "same" else option)
    assert folder.release == release
    assert [source.index for source in folder.sources] == [7, 999, 1000, 2000, 10_001]
    assert str(folder.sources[0]) == writer.stem(7).name


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_the_folder_of_the_variant_may_be_given(make_raw, release: str) -> None:
    writer = make_raw(release, "outd")
    writer.scene(3, 1)
    inner = next(writer.raw.iterdir())
    (source,) = find_scenes(inner, "outd", "auto").sources
    assert Path(source.path) == writer.json(3)


def test_other_files_and_variants_are_ignored(make_raw) -> None:
    writer = make_raw()
    writer.scene(0, 1)
    make_raw(variant="camo").scene(1, 1)
    folder = writer.json(0).parent
    for name in ("CLEVRTEX_full_000001.json.part", "CLEVRTEX_full_1.json", "notes.txt"):
        (folder / name).touch()
    (writer.raw / "clevrtex_full" / "README").touch()
    assert [source.index for source in find_scenes(writer.raw, "full", "auto").sources] == [0]


def test_v2_names_its_pictures_by_frame_and_its_mask_in_the_json(make_raw) -> None:
    writer = make_raw("v2")
    writer.scene(12, 1)
    (source,) = find_scenes(writer.raw, "full", "v2").sources
    result = mask_name(source, {"mask_filename": "mask12"}, "v2")
    image, mask = picture_paths(source.path, result, "v2")
    assert (image.name, mask.name) == ("CLEVRTEXv2_full_000012_0003.png", "mask12_0003.png")
    assert image.is_file()
    assert mask.is_file()


@pytest.mark.parametrize("name", [None, 3, "../../elsewhere", "/etc/mask", ""])
def test_an_invalid_mask_name_in_v2_is_an_error(make_raw, name: object) -> None:
    writer = make_raw("v2")
    writer.scene(0, 1)
    (source,) = find_scenes(writer.raw, "full", "v2").sources
    with pytest.raises(DataError, match=r"CLEVRTEXv2_full_000000: 'mask_filename' is"):
        mask_name(source, {"mask_filename": name}, "v2")


def test_a_missing_raw_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no raw folder at") as caught:
        find_scenes(tmp_path / "none", "full", "auto")
    assert "--synthetic" in caught.value.hint


def test_a_folder_without_scenes_is_an_error_with_the_expected_path(make_raw) -> None:
    writer = make_raw()
    writer.scene(0, 1)
    with pytest.raises(DataError, match="no scenes of variant 'outd'") as caught:
        find_scenes(writer.raw, "outd", "auto")
    assert "clevrtex_outd/0/CLEVRTEX_outd_000000.json" in caught.value.hint
    with pytest.raises(DataError, match="no scenes of variant 'full'"):
        find_scenes(writer.raw, "full", "v2")


def test_if_both_releases_exist_one_must_be_chosen(make_raw) -> None:
    for release in ("v1", "v2"):
        make_raw(release).scene(0, 1)
    with pytest.raises(DataError, match="both releases"):
        find_scenes(make_raw().raw, "full", "auto")
    assert find_scenes(make_raw().raw, "full", "v2").release == "v2"


def test_a_scene_that_exists_twice_is_an_error(make_raw) -> None:
    writer = make_raw()
    writer.scene(5, 1)
    again = writer.raw / "clevrtex_full" / "copy" / writer.json(5).name
    again.parent.mkdir()
    again.write_bytes(writer.json(5).read_bytes())
    with pytest.raises(DataError, match="scene 5 exists twice"):
        find_scenes(writer.raw, "full", "auto")


def test_a_folder_that_cannot_be_read_is_an_error(
    make_raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make_raw()
    writer.scene(0, 1)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        find_scenes(writer.raw, "full", "auto")


def _cut(indices: list[int], split_by: str) -> dict[str, list[int]]:
    cut = split(np.array(indices), split_by)
    return {name: [indices[position] for position in positions] for name, positions in cut.items()}


EDGES = [0, 4999, 5000, 9999, 10_000, 37_499, 37_500, 39_999, 40_000, 49_999, 50_000]


def test_the_splits_of_nsi() -> None:
    assert _cut(EDGES, "nsi") == {
        "train": [0, 4999, 5000, 9999, 10_000, 37_499],
        "val": [37_500, 39_999],
        "test": [40_000, 49_999],
    }


@pytest.mark.parametrize(
    ("scenes", "first_of_val", "first_of_train"),
    [
        (range(50_000), 5000, 10_000),  # full
        (range(20_000), 2000, 4000),  # camo
        (range(10_000), 1000, 2000),  # one part of full
        (range(40_000, 50_000), 41_000, 42_000),
        (range(0, 200, 2), 20, 40),  # every other one is missing
        (range(57), 5, 11),  # rounded down
        (range(3), 0, 0),
        (range(1), 0, 0),
    ],
    ids=str,
)
def test_the_benchmark_splits_are_tenths_of_the_existing_scenes(
    scenes: range, first_of_val: int, first_of_train: int
) -> None:
    cut = _cut(list(scenes), "benchmark")
    assert cut.get("test", []) == [index for index in scenes if index < first_of_val]
    assert cut.get("val", []) == [i for i in scenes if first_of_val <= i < first_of_train]
    assert cut["train"] == [index for index in scenes if index >= first_of_train]


@pytest.mark.parametrize(
    ("split_by", "variant", "synthetic", "rule"),
    [
        ("auto", "full", False, "nsi"),
        ("auto", "full", True, "proportional"),
        ("auto", "camo", False, "test"),
        ("auto", "vbg", True, "test"),
        ("nsi", "full", True, "nsi"),
        ("nsi", "camo", False, "test"),
        ("nsi", "outd", False, "test"),
        ("benchmark", "full", False, "benchmark"),
        ("benchmark", "camo", False, "benchmark"),
        ("benchmark", "outd", False, "test"),
        ("proportional", "outd", False, "proportional"),
        ("test", "full", False, "test"),
    ],
)
def test_each_variant_has_a_suitable_rule(
    split_by: str, variant: str, synthetic: bool, rule: str
) -> None:
    assert choose_rule(split_by, variant, synthetic=synthetic) == rule


def _notes(count: int, split_by: str, variant: str) -> list[str]:
    rule = choose_rule(split_by, variant, synthetic=False)
    return split_notes(np.arange(count), split_by, rule, variant)


def test_notes_explain_the_splits() -> None:
    (nsi,) = _notes(20_000, "nsi", "camo")
    assert "ranges of the 50,000 scenes of full; all 20,000 scenes of camo are for test" in nsi
    (outd,) = _notes(10_000, "benchmark", "outd")
    assert "do not divide outd; all 10,000 scenes of outd are for test" in outd
    (camo,) = _notes(20_000, "benchmark", "camo")
    assert "test 0–1999 (2,000), val 2000–3999 (2,000), train 4000–19999 (16,000)" in camo
    _, warning = _notes(10_000, "benchmark", "full")
    assert warning.startswith("warning: full has 50,000 scenes, but the raw folder has only 10,000")
    assert _notes(100, "auto", "camo") == _notes(100, "nsi", "full") == []


def test_the_rule_test_uses_all_scenes_for_test() -> None:
    assert _cut(EDGES, "test") == {"test": EDGES}


def test_proportional_splits_are_fractions_of_the_existing_scenes() -> None:
    cut = _cut([3 * i for i in range(40)], "proportional")
    assert {name: len(items) for name, items in cut.items()} == {"train": 34, "val": 2, "test": 4}
    assert [*cut["train"], *cut["val"], *cut["test"]] == [3 * i for i in range(40)]


def test_a_split_without_scenes_is_omitted() -> None:
    assert _cut([1, 2], "nsi") == {"train": [1, 2]}
